"""MIME messages, compared with those of the standard library."""

from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notification import mime


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


@given(value=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200))
def test_a_text_header_equals_the_librarys(value: str) -> None:
    for each in (SMTP, SMTPUTF8):
        message = EmailMessage(policy=each)
        message["Subject"] = value
        expected = message.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n"
        assert mime.text("Subject", value, each) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Ada",
        "Ada Lovelace",
        "Ada, Countess",
        'A "Q" B',
        "Zoë",
        "=?utf-8?q?x?=",
        "a" * 80,
        "A. B",
    ],
)
def test_a_mailbox_header_equals_the_librarys(name: str) -> None:
    mailbox = Address(name, "ada", "buyers.example")
    message = EmailMessage(policy=SMTP)
    message["To"] = mailbox
    expected = message.as_bytes().partition(b"\r\n\r\n")[0] + b"\r\n"

    assert mime.address("To", mailbox, SMTP) == expected


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])),
    lines=st.integers(1, 3),
)
def test_texts_and_files_are_parsed_back_unchanged(text: str, lines: int) -> None:
    content = "\n".join([text] * lines) + "\n"
    data = content.encode()
    body = mime.mixed(
        mime.alternative(mime.text_part("plain", content), mime.text_part("html", content)),
        mime.file_part("application/pdf", "ticket-1.pdf", data),
    )
    whole = mime.message([mime.known("Message-ID", "<1@goticket.example>")], body)

    message = parsed(whole)

    for form in ("plain", "html"):
        part = message.get_body((form,))
        assert part is not None
        assert part.get_content().replace("\r\n", "\n") == content
        assert not part.defects
    (file,) = message.iter_attachments()
    assert file.get_content_type() == "application/pdf"
    assert file.get_filename() == "ticket-1.pdf"
    assert file.get_payload(decode=True) == data
    assert all(len(line) <= 76 for line in whole.split(b"\r\n"))
    assert b"\n" not in whole.replace(b"\r\n", b"")
