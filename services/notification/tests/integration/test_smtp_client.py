"""Sending e-mails to a real SMTP server."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from notification import smtp_client as module
from notification.email_rendering import Email
from notification.smtp_client import (
    EmailDeferred,
    EmailRefused,
    SmtpAccount,
    SmtpMailer,
    SmtpUnavailable,
    Tls,
)

# Defined in conftest.py; test folders are not packages to import from.
ScriptedSmtpServer = Any

CONTENT = b"From: a@shop.example\r\nTo: b@buyers.example\r\nMessage-ID: %s\r\n\r\nHello\r\n"


def email(number: int = 1, recipient: str = "b@buyers.example") -> Email:
    identity = f"<{number}@shop.example>"
    return Email("a@shop.example", recipient, identity, CONTENT % identity.encode())


def unencrypted_account(smtp: ScriptedSmtpServer) -> SmtpAccount:
    return SmtpAccount(smtp.host, smtp.port, Tls.NONE)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


async def test_one_connection_is_reused_for_several_emails(smtp: ScriptedSmtpServer) -> None:
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))

    for number in range(5):
        await mailer.send(email(number))
    await mailer.close()

    assert smtp.message_ids == [f"<{number}@shop.example>" for number in range(5)]
    assert smtp.connections == 1


async def test_concurrent_emails_share_a_bounded_number_of_connections(
    smtp: ScriptedSmtpServer,
) -> None:
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp), connections=3)

    await asyncio.gather(*(mailer.send(email(number)) for number in range(30)))
    await mailer.close()

    assert len(set(smtp.message_ids)) == 30
    assert smtp.connections <= 3


async def test_a_connection_closed_by_the_server_is_replaced(smtp: ScriptedSmtpServer) -> None:
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))
    await mailer.send(email(1))

    smtp.stop()
    await smtp.start()
    for number in (2, 3):
        try:
            await mailer.send(email(number))
        except SmtpUnavailable:  # the client had not noticed the closed connection yet
            await mailer.send(email(number))
    await mailer.close()

    assert set(smtp.message_ids) == {f"<{number}@shop.example>" for number in (1, 2, 3)}


async def test_a_connection_idle_for_long_is_checked_before_it_is_used(
    smtp: ScriptedSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))

    await mailer.send(email(1))
    await mailer.send(email(2))
    smtp.disconnect()
    await mailer.send(email(3))
    await mailer.close()

    assert len(smtp.messages) == 3
    assert smtp.connections == 2


@pytest.mark.parametrize(
    ("step", "reply", "error"),
    [
        ("rcpt", "550 5.1.1 No such user", EmailRefused),
        ("rcpt", "450 4.2.1 Mailbox busy", EmailDeferred),
        ("data", "554 5.7.1 Looks like spam", EmailRefused),
        ("data", "452 4.3.1 Out of storage", EmailDeferred),
    ],
)
async def test_the_reply_code_decides_between_refused_and_deferred(
    smtp: ScriptedSmtpServer, step: str, reply: str, error: type[Exception]
) -> None:
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))
    getattr(smtp, step).append(reply)

    with pytest.raises(error, match=reply.split(maxsplit=2)[2]):
        await mailer.send(email(1))
    await mailer.send(email(2))
    await mailer.close()

    assert smtp.message_ids == ["<2@shop.example>"]
    assert smtp.connections == 1, "a refusal does not close the connection"


async def test_an_email_larger_than_the_servers_limit_is_refused(smtp: ScriptedSmtpServer) -> None:
    smtp.options["data_size_limit"] = 50
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))

    with pytest.raises(EmailRefused, match="552"):
        await mailer.send(email())
    await mailer.close()


async def test_a_refusal_of_our_sender_is_an_outage(smtp: ScriptedSmtpServer) -> None:
    smtp.mail.append("550 5.7.1 Sender not allowed")
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))

    with pytest.raises(SmtpUnavailable, match="not allowed"):
        await mailer.send(email())
    await mailer.close()


async def test_a_stopped_server_is_an_outage(smtp: ScriptedSmtpServer) -> None:
    await smtp.start()
    smtp.stop()
    mailer = SmtpMailer(unencrypted_account(smtp))

    with pytest.raises(SmtpUnavailable):
        await mailer.send(email())
    await mailer.close()


async def test_a_server_that_does_not_reply_is_an_outage(
    smtp: ScriptedSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await smtp.start()
    smtp.may_reply.clear()
    mailer = SmtpMailer(unencrypted_account(smtp))

    with monkeypatch.context() as shortened:
        shortened.setattr(module, "STEP_SECONDS", 0.3)
        with pytest.raises(SmtpUnavailable):
            await mailer.send(email(1))
    smtp.may_reply.set()
    await mailer.send(email(2))
    await mailer.close()

    assert smtp.connections == 2, "a session in an unknown state is not reused"


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
async def test_the_session_is_encrypted_and_authenticated(
    smtp: ScriptedSmtpServer, certificate: tuple[Path, Path], tls: Tls
) -> None:
    smtp.options |= {"authenticator": smtp.authenticate, "auth_required": True}
    if tls is Tls.TLS:
        smtp.implicit_tls = server_side(certificate)
        # aiosmtpd regards only its own STARTTLS as TLS.
        smtp.options |= {"auth_require_tls": False, "auth_required": False}
    else:
        smtp.options |= {"tls_context": server_side(certificate), "require_starttls": True}
    await smtp.start()
    mailer = SmtpMailer(
        SmtpAccount(
            smtp.host,
            smtp.port,
            tls,
            username="goticket",
            password="correct horse",
            tls_context=trusting(certificate),
        )
    )

    await mailer.send(email())
    await mailer.close()

    assert len(smtp.messages) == 1
    assert smtp.logins == 1


async def test_a_wrong_password_is_an_outage(
    smtp: ScriptedSmtpServer, certificate: tuple[Path, Path]
) -> None:
    smtp.options |= {
        "authenticator": smtp.authenticate,
        "tls_context": server_side(certificate),
    }
    await smtp.start()
    account = SmtpAccount(
        smtp.host,
        smtp.port,
        username="goticket",
        password="wrong",
        tls_context=trusting(certificate),
    )
    mailer = SmtpMailer(account)

    with pytest.raises(SmtpUnavailable, match="Authentication"):
        await mailer.send(email())
    await mailer.close()


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
async def test_an_untrusted_certificate_is_an_outage(
    smtp: ScriptedSmtpServer, certificate: tuple[Path, Path], tls: Tls
) -> None:
    if tls is Tls.TLS:
        smtp.implicit_tls = server_side(certificate)
    else:
        smtp.options |= {"tls_context": server_side(certificate)}
    await smtp.start()
    mailer = SmtpMailer(SmtpAccount(smtp.host, smtp.port, tls))

    with pytest.raises(SmtpUnavailable):
        await mailer.send(email())
    await mailer.close()

    assert not smtp.messages


async def test_nothing_is_sent_to_a_server_without_starttls(smtp: ScriptedSmtpServer) -> None:
    await smtp.start()
    mailer = SmtpMailer(SmtpAccount(smtp.host, smtp.port, Tls.STARTTLS))

    with pytest.raises(SmtpUnavailable):
        await mailer.send(email())
    await mailer.close()

    assert not smtp.messages


async def test_an_international_address_needs_a_server_with_smtputf8(
    smtp: ScriptedSmtpServer,
) -> None:
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))
    await mailer.send(email(1, recipient="ädä@buyers.example"))
    smtp.options["enable_SMTPUTF8"] = False
    smtp.stop()
    await smtp.start()
    other = SmtpMailer(unencrypted_account(smtp))

    with pytest.raises(EmailRefused, match="international"):
        await other.send(email(2, recipient="ädä@buyers.example"))
    await mailer.close()
    await other.close()

    assert smtp.message_ids == ["<1@shop.example>"]


async def test_lines_that_begin_with_dots_arrive_unchanged(smtp: ScriptedSmtpServer) -> None:
    """RFC 5321, section 4.5.2."""
    await smtp.start()
    mailer = SmtpMailer(unencrypted_account(smtp))
    text = ".\r\n..\r\n.hidden\r\n" + "x" * 990 + "\r\nend\r\n"
    content = b"Message-ID: <1@shop.example>\r\n\r\n" + text.encode()

    await mailer.send(Email("a@shop.example", "b@buyers.example", "<1@shop.example>", content))
    await mailer.close()

    (received,) = smtp.messages
    assert received.get_payload() == text
