"""The worker's settings."""

import pytest
from goticket_platform.settings import SettingsError, load
from notification.config import WorkerSettings, sender_address
from notification.smtp_client import Tls

COMPLETE = {
    "NOTIFICATION_DATABASE_URL": "postgresql://notification@db/goticket",
    "NOTIFICATION_AMQP_URL": "amqp://broker",
    "NOTIFICATION_BOOKING_TARGET": "booking:50051",
    "NOTIFICATION_BOOKING_TOKEN": "0123456789abcdef0123456789abcdef",
    "NOTIFICATION_SMTP_HOST": "smtp.example",
    "NOTIFICATION_SMTP_PORT": "587",
    "NOTIFICATION_SENDER": "GoTicket <tickets@goticket.example>",
    "NOTIFICATION_PUBLIC_URL": "https://goticket.example",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_the_smtp_connection_is_encrypted_by_default() -> None:
    settings = load(WorkerSettings)

    assert settings.smtp_tls is Tls.STARTTLS
    assert "0123456789abcdef" not in repr(settings)
    assert sender_address(settings.sender).addr_spec == "tickets@goticket.example"


def test_every_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMPLETE:
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SettingsError) as failure:
        load(WorkerSettings)

    assert all(name in str(failure.value) for name in COMPLETE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFICATION_SENDER", "nobody"),
        ("NOTIFICATION_SENDER", "a@b.example, c@d.example"),
        ("NOTIFICATION_SENDER", "ädä@b.example"),
        ("NOTIFICATION_SENDER", "a@b.example\nBcc: eve@evil.example"),
        ("NOTIFICATION_BOOKING_TARGET", ""),
        ("NOTIFICATION_BOOKING_TOKEN", "shorter than 32 characters"),
        ("NOTIFICATION_ATTEMPT_SECONDS", "60"),
        ("NOTIFICATION_SMTP_PORT", "0"),
        ("NOTIFICATION_SMTP_TLS", "perhaps"),
        ("NOTIFICATION_PUBLIC_URL", "javascript:alert(1)"),
        ("NOTIFICATION_SMTP_USERNAME", "half a login"),
    ],
)
def test_an_invalid_setting_is_rejected(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(SettingsError):
        load(WorkerSettings)


def test_a_password_is_never_sent_unencrypted(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NOTIFICATION_SMTP_USERNAME", "goticket")
    environment.setenv("NOTIFICATION_SMTP_PASSWORD", "secret")
    assert "secret" not in repr(load(WorkerSettings))

    environment.setenv("NOTIFICATION_SMTP_TLS", "none")
    with pytest.raises(SettingsError, match="unencrypted"):
        load(WorkerSettings)


def test_the_senders_domain_is_ascii() -> None:
    assert sender_address("GoTicket <t@bücher.example>").addr_spec == "t@xn--bcher-kva.example"


def test_the_number_of_smtp_connections_is_the_sum_of_the_groups(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("NOTIFICATION_CONCURRENCY", "3")
    environment.setenv("NOTIFICATION_LARGE_CONCURRENCY", "2")
    environment.setenv("NOTIFICATION_CHANGE_CONCURRENCY", "4")

    assert load(WorkerSettings).smtp_connections == 9
