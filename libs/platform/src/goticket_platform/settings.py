"""Frozen settings from the environment. An error names the missing variables."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")

KEY_BYTES = 32
"""Size of a raw Ed25519 key, private seed or public (RFC 8032)."""


def _key(text: object) -> object:
    """Decode one key from base64; return bytes unchanged."""
    if not isinstance(text, str):
        return text
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes in base64")
    return key


def _keys(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(_key(part.strip()) for part in text.split(",") if part.strip())


def _caller_keys(text: object) -> object:
    if not isinstance(text, str):
        return text
    keys: dict[str, object] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        # The first "=" ends the name; base64 may end with further ones.
        name, separator, listed = part.partition("=")
        caller, decoded = name.strip(), _keys(listed)
        if not separator or not caller or not decoded:
            raise ValueError('must be "service=key,older key;another service=key"')
        if caller in keys:
            raise ValueError(f"names {caller} twice")
        keys[caller] = decoded
    return keys


Ed25519Key = Annotated[bytes, BeforeValidator(_key)]
"""A raw key, written as base64 in the environment."""
Ed25519Keys = Annotated[tuple[bytes, ...], NoDecode, BeforeValidator(_keys)]
"""Raw keys, written as base64 joined by commas."""
CallerKeys = Mapping[str, tuple[bytes, ...]]
"""Raw Ed25519 public keys by service, newest first. Two keys allow a rotation."""
CallerKeysSetting = Annotated[CallerKeys, NoDecode, BeforeValidator(_caller_keys)]
"""Keys by service, written as "gateway=<key>,<older key>;catalog=<key>"."""


class SettingsError(SystemExit):
    """Settings are missing or invalid; ends the process with this text."""


class ServiceSettings(BaseSettings):
    """Settings of every process. A service adds its own and sets `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    otlp_endpoint: str | None = None
    trace_sample_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    metrics_listen: str = "127.0.0.1:0"


def load(settings: type[SettingsT]) -> SettingsT:
    """Read `settings` from the environment.

    Raises:
        SettingsError: with the name of each missing or invalid variable, but not its value,
            which may be a secret.
    """
    try:
        return settings()
    except ValidationError as error:
        raise SettingsError(_explain(settings, error)) from None


def _explain(settings: type[ServiceSettings], error: ValidationError) -> str:
    prefix = settings.model_config.get("env_prefix", "")
    lines = [
        f"  {prefix}{'_'.join(str(part) for part in problem['loc'])}".upper()
        + f": {'is not set' if problem['type'] == 'missing' else problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return "Settings are missing or invalid:\n" + "\n".join(lines)


def host_and_port(listen: str) -> tuple[str, int]:
    """Split "host:port" (IPv6 hosts in brackets).

    Raises:
        ValueError: the port is missing or not a number from 0 to 65535.
    """
    host, separator, port = listen.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the highest TCP port
        raise ValueError(f"{listen!r} is not host:port")
    return host.strip("[]"), int(port)
