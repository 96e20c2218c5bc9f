"""The mailbox, used by SMTP and HTTP."""

import smtplib
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage

import httpx
import pytest
from goticket_local.mailbox.process import MailboxProcess
from goticket_local.mailbox.store import Mail, MailStore
from goticket_local.ports import free_ports


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailboxProcess]:
    folder = tmp_path_factory.mktemp("mailbox")
    mailbox = MailboxProcess(*free_ports(2), run_dir=folder, log_dir=folder)
    try:
        mailbox.start()
        yield mailbox
    finally:
        mailbox.stop()


@pytest.fixture
def mailbox(running: MailboxProcess) -> MailboxProcess:
    httpx.delete(f"{running.url}/api/v1/messages").raise_for_status()
    return running


@pytest.fixture
def api(mailbox: MailboxProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{mailbox.url}/api/v1") as client:
        yield client


@pytest.fixture
def smtp(mailbox: MailboxProcess) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", mailbox.smtp_port) as client:
        yield client


def ticket_mail(number: int = 1) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = f"Your tickets № {number}"
    mail["From"] = "GoTicket <tickets@goticket.example>"
    mail["To"] = "Bea Buyer <buyer@goticket.example>"
    mail["Message-ID"] = f"<{number}@goticket.example>"
    mail.set_content("Two tickets for Metallica 🎸 Live")
    mail.add_alternative("<h1>Metallica 🎸</h1><img src='cid:logo'>", subtype="html")
    html = list(mail.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(b"PNG", "image", "png", cid="<logo>", disposition="inline")
    mail.add_attachment(b"%PDF-1.7", "application", "pdf", filename="ticket.pdf")
    mail.add_attachment("BEGIN:VCALENDAR", subtype="calendar", filename="event.ics")
    return mail


def test_a_list_has_sender_recipients_and_subject(api: httpx.Client, smtp: smtplib.SMTP) -> None:
    smtp.send_message(ticket_mail())
    page = api.get("/messages").json()
    assert (page["total"], page["unread"], page["count"], page["messages_count"]) == (1, 1, 1, 1)
    (listed,) = page["messages"]
    assert listed["Subject"] == "Your tickets № 1"
    assert listed["From"] == {"Name": "GoTicket", "Address": "tickets@goticket.example"}
    assert listed["To"] == [{"Name": "Bea Buyer", "Address": "buyer@goticket.example"}]
    assert listed["MessageID"] == "1@goticket.example"
    assert listed["Attachments"] == 2
    assert listed["Snippet"] == "Two tickets for Metallica 🎸 Live"
    assert listed["Read"] is False


def test_a_message_has_its_bodies_and_its_parts(api: httpx.Client, smtp: smtplib.SMTP) -> None:
    smtp.send_message(ticket_mail())
    message = api.get("/message/latest").json()
    assert message["Text"].strip() == "Two tickets for Metallica 🎸 Live"
    assert message["HTML"].startswith("<h1>Metallica 🎸</h1>")
    pdf, ics = message["Attachments"]
    assert (pdf["FileName"], pdf["ContentType"], pdf["Size"]) == (
        "ticket.pdf",
        "application/pdf",
        8,
    )
    assert (ics["FileName"], ics["ContentType"]) == ("event.ics", "text/calendar")
    part = api.get(f"/message/{message['ID']}/part/{pdf['PartID']}")
    assert part.content == b"%PDF-1.7"
    assert part.headers["content-type"] == "application/pdf"
    assert [inline["ContentID"] for inline in message["Inline"]] == ["logo"]


def test_a_message_that_was_opened_is_no_longer_unread(
    api: httpx.Client, smtp: smtplib.SMTP
) -> None:
    smtp.send_message(ticket_mail())
    api.get("/message/latest")
    page = api.get("/messages").json()
    assert page["unread"] == 0
    assert page["messages"][0]["Read"] is True


def test_the_raw_message_and_its_headers_are_what_was_sent(
    api: httpx.Client, smtp: smtplib.SMTP
) -> None:
    mail = ticket_mail().as_bytes(policy=policy.SMTP)
    smtp.sendmail("tickets@goticket.example", "buyer@goticket.example", mail)
    assert api.get("/message/latest/raw").content == mail
    assert api.get("/message/latest/headers").json()["Message-ID"] == ["<1@goticket.example>"]


def test_the_newest_mail_comes_first_and_pages_do_not_overlap(
    api: httpx.Client, smtp: smtplib.SMTP
) -> None:
    for number in range(1, 6):
        smtp.send_message(ticket_mail(number))
    first = api.get("/messages", params={"limit": 2}).json()
    second = api.get("/messages", params={"start": 2, "limit": 2}).json()
    assert [each["MessageID"][0] for each in first["messages"]] == ["5", "4"]
    assert [each["MessageID"][0] for each in second["messages"]] == ["3", "2"]
    assert second["messages_count"] == 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("to:buyer@goticket.example", 1),
        ("to:nobody@goticket.example", 0),
        ("metallica", 1),
        ('"metallica 🎸 live"', 1),
        ("metallica to:hidden@goticket.example", 1),
        ("subject:№ is:unread has:attachment", 1),
        ("from:tickets@ abba", 0),
    ],
)
def test_a_search_finds_by_recipient_and_by_words(
    api: httpx.Client, smtp: smtplib.SMTP, query: str, found: int
) -> None:
    smtp.send_message(ticket_mail(), to_addrs=["buyer@goticket.example", "hidden@goticket.example"])
    assert api.get("/search", params={"query": query}).json()["messages_count"] == found


def test_a_recipient_without_header_is_a_blind_copy(api: httpx.Client, smtp: smtplib.SMTP) -> None:
    smtp.send_message(ticket_mail(), to_addrs=["buyer@goticket.example", "hidden@goticket.example"])
    (listed,) = api.get("/messages").json()["messages"]
    assert listed["Bcc"] == [{"Name": "", "Address": "hidden@goticket.example"}]


def test_some_mails_or_all_can_be_deleted(api: httpx.Client, smtp: smtplib.SMTP) -> None:
    for number in range(3):
        smtp.send_message(ticket_mail(number))
    newest = api.get("/message/latest").json()["ID"]
    api.request("DELETE", "/messages", json={"IDs": [newest]}).raise_for_status()
    assert api.get("/messages").json()["total"] == 2
    assert api.get(f"/message/{newest}").status_code == 404
    api.delete("/messages").raise_for_status()
    assert api.get("/messages").json()["total"] == 0


def test_a_malformed_mail_can_be_read(api: httpx.Client, smtp: smtplib.SMTP) -> None:
    broken = (
        b"From: <<<\r\nSubject: =?nope?b?x\r\nDate: yesterday\r\n"
        b"Content-Type: multipart/mixed; charset=klingon\r\n\r\n\xff\xfe"
    )
    smtp.sendmail("a@goticket.example", "b@goticket.example", broken)
    assert api.get("/messages").status_code == 200
    assert api.get("/message/latest").status_code == 200


def test_the_content_of_a_mail_cannot_run_scripts(
    mailbox: MailboxProcess, smtp: smtplib.SMTP
) -> None:
    smtp.send_message(ticket_mail())
    mail_id = httpx.get(f"{mailbox.url}/api/v1/message/latest").json()["ID"]
    view = httpx.get(f"{mailbox.url}/view/{mail_id}.html")
    assert "sandbox" in view.headers["content-security-policy"]
    assert f"/api/v1/message/{mail_id}/part/" in view.text


def test_the_page_loads_nothing_from_other_hosts(mailbox: MailboxProcess) -> None:
    page = httpx.get(mailbox.url)
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_the_oldest_mails_are_deleted_when_a_limit_is_exceeded() -> None:
    store = MailStore(max_messages=3, max_bytes=100)
    for number in range(5):
        store.add(Mail(b"x" * 10, "", (str(number),)))
    assert [mail.recipients for mail in store] == [("4",), ("3",), ("2",)]
    store.add(Mail(b"x" * 95, "", ("big",)))
    assert [mail.recipients for mail in store] == [("big",)]
