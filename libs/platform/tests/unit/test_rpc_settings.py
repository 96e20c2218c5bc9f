"""Keys in the settings of processes that call and serve RPCs."""

import base64

import pytest
from goticket_contracts.rpc_callers import callers_of
from goticket_platform.rpc.keys import new_seed, public_key
from goticket_platform.rpc.settings import RpcClientSettings, RpcServerSettings
from goticket_platform.settings import ServiceSettings, SettingsError, load
from goticket_testing.rpc_keys import caller_keys, caller_keys_setting
from pydantic_settings import SettingsConfigDict


class BookingSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BOOKING_", frozen=True)


class Settings(RpcServerSettings, RpcClientSettings, BookingSettings):
    """The settings of a process that calls and serves."""


KEY = base64.b64encode(bytes(32)).decode()
OLDER = base64.b64encode(bytes([1] * 32)).decode()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("BOOKING_GRPC_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("BOOKING_RPC_KEY", new_seed())
    monkeypatch.setenv("BOOKING_RPC_CALLER_KEYS", caller_keys_setting("booking"))
    return monkeypatch


def test_the_keys_of_all_callers_are_read() -> None:
    settings = load(Settings)
    assert settings.rpc_caller_keys == caller_keys("booking")
    assert not settings.grpc_reflection


def test_a_caller_has_several_keys_during_a_rotation(environment: pytest.MonkeyPatch) -> None:
    listed = f" catalog={KEY} ; gateway={KEY}, {OLDER};notification={OLDER};"
    environment.setenv("BOOKING_RPC_CALLER_KEYS", listed)
    assert load(Settings).rpc_caller_keys == {
        "catalog": (bytes(32),),
        "gateway": (bytes(32), bytes([1] * 32)),
        "notification": (bytes([1] * 32),),
    }


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("", "has no key of catalog, gateway, notification"),
        (f"gateway={KEY};catalog={KEY}", "has no key of notification"),
        (f"gateway={KEY};gateway={OLDER}", "names gateway twice"),
        ("gateway", "must be"),
        ("gateway=", "must be"),
        (f"={KEY}", "must be"),
        (f"gateway={KEY[:-8]}", "32 bytes in base64"),
        ("gateway=hunter2", "32 bytes in base64"),
    ],
)
def test_invalid_caller_keys_are_explained_without_their_value(
    environment: pytest.MonkeyPatch, listed: str, reason: str
) -> None:
    environment.setenv("BOOKING_RPC_CALLER_KEYS", listed)
    with pytest.raises(SettingsError) as refused:
        load(Settings)
    text = str(refused.value)
    assert "BOOKING_RPC_CALLER_KEYS" in text
    assert reason in text
    assert "hunter2" not in text


def test_a_process_that_serves_or_calls_needs_its_keys(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BOOKING_RPC_KEY")
    environment.delenv("BOOKING_RPC_CALLER_KEYS")
    with pytest.raises(SettingsError) as refused:
        load(Settings)
    assert "BOOKING_RPC_KEY: is not set" in str(refused.value)
    assert "BOOKING_RPC_CALLER_KEYS: is not set" in str(refused.value)


def test_the_key_of_a_service_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    seed = new_seed()
    environment.setenv("BOOKING_RPC_KEY", seed)
    settings = load(Settings)
    assert settings.rpc_key == base64.b64decode(seed)
    assert "rpc_key" not in repr(settings)


def test_a_public_key_is_that_of_rfc_8032() -> None:
    """RFC 8032, section 7.1, test 1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert base64.b64decode(public_key(base64.b64encode(seed).decode())) == public


def test_callers_of_a_service_are_those_of_any_of_its_methods() -> None:
    assert callers_of("booking") == {"gateway", "catalog", "notification"}
    assert callers_of("catalog") == {"gateway", "booking"}
    assert callers_of("payments") == frozenset()
