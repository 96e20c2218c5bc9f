"""Validation of the settings before a process starts."""

import base64

import pytest
from goticket_platform.settings import SettingsError, load
from identity.config import RelaySettings, ServeSettings

ENVIRONMENT = {
    "IDENTITY_DATABASE_URL": "postgresql://identity:secret-password@db/goticket",
    "IDENTITY_REDIS_URL": "redis://redis/0",
    "IDENTITY_GRPC_LISTEN": "127.0.0.1:0",
    "IDENTITY_SIGNING_KEY": base64.b64encode(bytes(32)).decode(),
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_defaults_are_safe(environment: pytest.MonkeyPatch) -> None:
    settings = load(ServeSettings)
    assert settings.signing_key == bytes(32)
    assert settings.retired_keys == ()
    assert settings.access_token_seconds == 900
    assert settings.bcrypt_cost == 12
    assert settings.admin_email is None
    assert "secret-password" not in repr(settings)
    assert "x00" not in repr(settings)


def test_retired_keys_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    key = ENVIRONMENT["IDENTITY_SIGNING_KEY"]
    environment.setenv("IDENTITY_RETIRED_KEYS", f"{key}, {key}")
    assert load(ServeSettings).retired_keys == (bytes(32), bytes(32))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IDENTITY_BCRYPT_COST", "11"),
        ("IDENTITY_SIGNING_KEY", "not base64!"),
        ("IDENTITY_SIGNING_KEY", base64.b64encode(bytes(31)).decode()),
        ("IDENTITY_RETIRED_KEYS", "AAAA"),
        ("IDENTITY_ADMIN_EMAIL", "admin@goticket.example"),
        ("IDENTITY_ADMIN_PASSWORD", "goticket-demo"),
    ],
)
def test_unsafe_or_incomplete_settings_are_rejected_without_their_values(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load(ServeSettings)
    assert value not in str(error.value).replace("12", "")


def test_invalid_admin_settings_are_rejected_by_name(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("IDENTITY_ADMIN_EMAIL", "nobody")
    environment.setenv("IDENTITY_ADMIN_PASSWORD", "shorty")
    with pytest.raises(SettingsError, match=r"ADMIN_EMAIL is not .*ADMIN_PASSWORD must have"):
        load(ServeSettings)


def test_every_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as error:
        load(ServeSettings)
    assert all(name in str(error.value) for name in ENVIRONMENT)


def test_the_relay_needs_no_signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_DATABASE_URL", "postgresql://db/goticket")
    monkeypatch.setenv("IDENTITY_AMQP_URL", "amqp://broker/")
    assert load(RelaySettings).amqp_url == "amqp://broker/"
