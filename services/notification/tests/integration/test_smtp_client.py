"""Handing letters to a real SMTP server."""

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
from notification import mail_server as module
from notification.letters import Letter
from notification.mail_server import Account, MailServer, NotNow, Refused, Tls, Unavailable

# What conftest.py provides; test folders are no packages to import from.
MailExchange = Any

CONTENT = b"From: a@shop.example\r\nTo: b@buyers.example\r\nMessage-ID: %s\r\n\r\nHello\r\n"


def letter(number: int = 1, recipient: str = "b@buyers.example") -> Letter:
    identity = f"<{number}@shop.example>"
    return Letter("a@shop.example", recipient, identity, CONTENT % identity.encode())


def plain_account(exchange: MailExchange) -> Account:
    return Account(exchange.host, exchange.port, Tls.NONE)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
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


async def test_one_connection_carries_one_letter_after_another(exchange: MailExchange) -> None:
    await exchange.start()
    server = MailServer(plain_account(exchange))

    for number in range(5):
        await server.send(letter(number))
    await server.close()

    assert exchange.message_ids == [f"<{number}@shop.example>" for number in range(5)]
    assert exchange.connections == 1


async def test_letters_at_the_same_time_share_a_bounded_number_of_connections(
    exchange: MailExchange,
) -> None:
    await exchange.start()
    server = MailServer(plain_account(exchange), connections=3)

    await asyncio.gather(*(server.send(letter(number)) for number in range(30)))
    await server.close()

    assert len(set(exchange.message_ids)) == 30
    assert exchange.connections <= 3


async def test_a_server_that_hung_up_in_between_is_called_again(exchange: MailExchange) -> None:
    await exchange.start()
    server = MailServer(plain_account(exchange))
    await server.send(letter(1))

    exchange.stop()
    await exchange.start()
    for number in (2, 3):
        try:
            await server.send(letter(number))
        except Unavailable:  # the hang-up had not arrived yet
            await server.send(letter(number))
    await server.close()

    assert set(exchange.message_ids) == {f"<{number}@shop.example>" for number in (1, 2, 3)}


async def test_a_connection_idle_for_long_is_asked_before_it_is_used(
    exchange: MailExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    await exchange.start()
    server = MailServer(plain_account(exchange))

    await server.send(letter(1))
    await server.send(letter(2))
    exchange.hang_up()
    await server.send(letter(3))
    await server.close()

    assert len(exchange.messages) == 3
    assert exchange.connections == 2


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("rcpt", "550 5.1.1 No such user", Refused),
        ("rcpt", "450 4.2.1 Mailbox busy", NotNow),
        ("data", "554 5.7.1 Looks like spam", Refused),
        ("data", "452 4.3.1 Out of storage", NotNow),
    ],
)
async def test_what_the_server_says_decides_whether_to_try_again(
    exchange: MailExchange, step: str, answer: str, error: type[Exception]
) -> None:
    await exchange.start()
    server = MailServer(plain_account(exchange))
    getattr(exchange, step).append(answer)

    with pytest.raises(error, match=answer.split(maxsplit=2)[2]):
        await server.send(letter(1))
    await server.send(letter(2))
    await server.close()

    assert exchange.message_ids == ["<2@shop.example>"]
    assert exchange.connections == 1, "a refusal is no reason to hang up"


async def test_a_letter_larger_than_the_server_takes_is_refused(exchange: MailExchange) -> None:
    exchange.options["data_size_limit"] = 50
    await exchange.start()
    server = MailServer(plain_account(exchange))

    with pytest.raises(Refused, match="552"):
        await server.send(letter())
    await server.close()


async def test_a_server_that_does_not_want_our_sender_is_for_later(exchange: MailExchange) -> None:
    exchange.mail.append("550 5.7.1 Sender not allowed")
    await exchange.start()
    server = MailServer(plain_account(exchange))

    with pytest.raises(Unavailable, match="not allowed"):
        await server.send(letter())
    await server.close()


async def test_without_a_server_sending_is_for_later(exchange: MailExchange) -> None:
    await exchange.start()
    exchange.stop()
    server = MailServer(plain_account(exchange))

    with pytest.raises(Unavailable):
        await server.send(letter())
    await server.close()


async def test_a_server_that_falls_silent_is_for_later(
    exchange: MailExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exchange.start()
    exchange.may_answer.clear()
    server = MailServer(plain_account(exchange))

    with monkeypatch.context() as hurried:
        hurried.setattr(module, "SEND_SECONDS", 0.3)
        with pytest.raises(Unavailable):
            await server.send(letter(1))
    exchange.may_answer.set()
    await server.send(letter(2))
    await server.close()

    assert exchange.connections == 2, "a dialogue in doubt is not continued"


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
async def test_the_dialogue_is_protected_and_logged_in(
    exchange: MailExchange, certificate: tuple[Path, Path], tls: Tls
) -> None:
    exchange.options |= {"authenticator": exchange.authenticate, "auth_required": True}
    if tls is Tls.TLS:
        exchange.implicit_tls = server_side(certificate)
        # The server counts only its own STARTTLS as TLS.
        exchange.options |= {"auth_require_tls": False, "auth_required": False}
    else:
        exchange.options |= {"tls_context": server_side(certificate), "require_starttls": True}
    await exchange.start()
    server = MailServer(
        Account(
            exchange.host,
            exchange.port,
            tls,
            username="goticket",
            password="correct horse",
            tls_context=trusting(certificate),
        )
    )

    await server.send(letter())
    await server.close()

    assert len(exchange.messages) == 1
    assert exchange.logins == 1


async def test_a_wrong_password_is_not_the_letters_fault(
    exchange: MailExchange, certificate: tuple[Path, Path]
) -> None:
    exchange.options |= {
        "authenticator": exchange.authenticate,
        "tls_context": server_side(certificate),
    }
    await exchange.start()
    account = Account(
        exchange.host,
        exchange.port,
        username="goticket",
        password="wrong",
        tls_context=trusting(certificate),
    )
    server = MailServer(account)

    with pytest.raises(Unavailable, match="Authentication"):
        await server.send(letter())
    await server.close()


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
async def test_a_certificate_nobody_vouches_for_ends_the_dialogue(
    exchange: MailExchange, certificate: tuple[Path, Path], tls: Tls
) -> None:
    if tls is Tls.TLS:
        exchange.implicit_tls = server_side(certificate)
    else:
        exchange.options |= {"tls_context": server_side(certificate)}
    await exchange.start()
    server = MailServer(Account(exchange.host, exchange.port, tls))

    with pytest.raises(Unavailable):
        await server.send(letter())
    await server.close()

    assert not exchange.messages


async def test_a_server_without_starttls_gets_nothing_in_the_clear(exchange: MailExchange) -> None:
    await exchange.start()
    server = MailServer(Account(exchange.host, exchange.port, Tls.STARTTLS))

    with pytest.raises(Unavailable):
        await server.send(letter())
    await server.close()

    assert not exchange.messages


async def test_an_international_address_needs_a_server_that_speaks_it(
    exchange: MailExchange,
) -> None:
    await exchange.start()
    server = MailServer(plain_account(exchange))
    await server.send(letter(1, recipient="ädä@buyers.example"))
    exchange.options["enable_SMTPUTF8"] = False
    exchange.stop()
    await exchange.start()
    server_without = MailServer(plain_account(exchange))

    with pytest.raises(Refused, match="international"):
        await server_without.send(letter(2, recipient="ädä@buyers.example"))
    await server.close()
    await server_without.close()

    assert exchange.message_ids == ["<1@shop.example>"]
