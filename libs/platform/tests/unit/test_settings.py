"""Settings from the environment and their errors."""

import pytest
from goticket_platform.settings import ServiceSettings, SettingsError, host_and_port, load
from pydantic_settings import SettingsConfigDict


class ExampleSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_", frozen=True)

    database_url: str
    password: str
    size: int = 3


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_DATABASE_URL", "postgresql://x")
    monkeypatch.setenv("EXAMPLE_PASSWORD", "p")
    settings = load(ExampleSettings)
    assert (settings.database_url, settings.size, settings.log_level) == (
        "postgresql://x",
        3,
        "INFO",
    )


def test_every_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAMPLE_DATABASE_URL", raising=False)
    with pytest.raises(SettingsError) as caught:
        load(ExampleSettings)
    assert "EXAMPLE_DATABASE_URL: is not set" in str(caught.value)
    assert "EXAMPLE_PASSWORD: is not set" in str(caught.value)


def test_an_invalid_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_DATABASE_URL", "postgresql://x")
    monkeypatch.setenv("EXAMPLE_PASSWORD", "p")
    monkeypatch.setenv("EXAMPLE_SIZE", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load(ExampleSettings)
    assert "EXAMPLE_SIZE" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), (":9000", ("", 9000))],
)
def test_host_and_port_are_split(listen: str, expected: tuple[str, int]) -> None:
    assert host_and_port(listen) == expected


@pytest.mark.parametrize("listen", ["localhost", "localhost:", "localhost:x", "localhost:70000"])
def test_an_invalid_address_is_rejected(listen: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        host_and_port(listen)
