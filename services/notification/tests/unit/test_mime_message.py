"""MIME messages, parsed again by the standard library."""

from email import message_from_string, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from goticket_documents.sanitize import sanitize_text
from hypothesis import given
from hypothesis import strategies as st
from notification.mime_message import Attachment, Headers, build_message

SENDER = Address("GoTicket", "tickets", "goticket.example")
LINES = st.text(max_size=200).map(sanitize_text)


def parsed(content: bytes) -> EmailMessage:
    message = message_from_string(content.decode(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def message_to(name: str, subject: str = "Tickets", local: str = "ada") -> bytes:
    headers = Headers(SENDER, Address(name, local, "buyers.example"), subject)
    return build_message(headers, "text", "<p>text</p>", [])


def recipient_of(content: bytes) -> tuple[str, str]:
    """Return display name and address.

    `policy.default` keeps the blanks between the encoded words of a name (RFC 2047, 6.2).
    """
    raw = message_from_string(content.decode(), policy=policy.compat32)["To"]
    name, address = parseaddr("".join(raw.splitlines()))
    return str(make_header(decode_header(name))), address


@given(name=LINES, subject=LINES)
def test_names_and_subjects_are_parsed_back_unchanged(name: str, subject: str) -> None:
    for local in ("ada", "ädä"):
        content = message_to(name, subject, local)

        assert recipient_of(content) == (name, f"{local}@buyers.example")
        assert parsed(content)["Subject"] == subject


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Ada Lovelace",
        "Ada, Countess",
        'A "Q" B',
        "Zoë",
        "Zoë, <eve@evil.example>",
        "=?utf-8?q?x?=",
        "a" * 80,
        "é" * 200,
        "A. B",
    ],
)
def test_a_display_name_stays_a_display_name(name: str) -> None:
    content = message_to(name)

    assert recipient_of(content) == (name, "ada@buyers.example")
    assert len(parsed(content)["To"].addresses) == 1


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])),
    lines=st.integers(1, 3),
)
def test_texts_and_files_are_parsed_back_unchanged(text: str, lines: int) -> None:
    content = "\n".join([text] * lines) + "\n"
    data = content.encode()
    headers = Headers(SENDER, SENDER, "Tickets", (("Message-ID", "<1@goticket.example>"),))

    whole = build_message(
        headers, content, content, [Attachment("ticket-1.pdf", "application/pdf", data)]
    )
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
    assert all(len(line) <= 78 for line in whole.split(b"\r\n"))
    assert b"\n" not in whole.replace(b"\r\n", b"")
