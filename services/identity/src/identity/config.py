"""Settings of identity's processes, from environment variables named IDENTITY_…"""

from collections.abc import Callable
from typing import Self

from goticket_kernel.text import InvalidText
from goticket_platform.settings import Ed25519Key, Ed25519Keys, ServiceSettings
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from identity.adapters.email_addresses import parse_email_address
from identity.domain.validation import prepare_new_password

MIN_BCRYPT_COST = 12


class DatabaseSettings(ServiceSettings):
    """Settings of `identity migrate`."""

    model_config = SettingsConfigDict(env_prefix="IDENTITY_", frozen=True)

    database_url: str = Field(repr=False)


class RelaySettings(DatabaseSettings):
    """Further settings of `identity relay`."""

    amqp_url: str = Field(repr=False)


class ServeSettings(DatabaseSettings):
    """Further settings of `identity serve`."""

    redis_url: str = Field(repr=False)
    grpc_listen: str
    signing_key: Ed25519Key = Field(repr=False)
    retired_keys: Ed25519Keys = ()
    issuer: str = "https://goticket.example"
    """`iss` of access tokens."""
    audience: str = "goticket"
    """`aud` of access tokens."""
    access_token_seconds: int = Field(default=900, gt=0)
    """Seconds that an access token is valid."""
    refresh_token_days: int = Field(default=30, gt=0)
    """Days without a refresh after which a session expires."""
    bcrypt_cost: int = Field(default=MIN_BCRYPT_COST, ge=MIN_BCRYPT_COST, le=16)
    """Cost of a password hash: log2 of the rounds of bcrypt."""
    admin_email: str | None = None
    """Address of the first administrator, created at the start unless an account has it."""
    admin_password: SecretStr | None = None
    """Password of the first administrator; both settings or neither."""

    @model_validator(mode="after")
    def _validate_admin(self) -> Self:
        if bool(self.admin_email) != bool(self.admin_password):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD must be set together")
        if self.admin_email and self.admin_password:
            password = self.admin_password.get_secret_value()
            errors = [
                *_errors("ADMIN_EMAIL", parse_email_address, self.admin_email),
                *_errors("ADMIN_PASSWORD", prepare_new_password, password),
            ]
            if errors:
                raise ValueError("; ".join(errors))
        return self


def _errors(setting: str, prepare: Callable[[str], str], text: str) -> list[str]:
    try:
        prepare(text)
    except InvalidText as error:
        return [f"{setting} {error}"]
    return []
