"""Passwords and keys of one installation: made up once, kept in a file only we can read."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROLES = ("identity", "catalog", "booking", "notification")


def _password() -> str:
    return secrets.token_hex(16)


def _ed25519_seed() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Secrets:
    """What must not be guessed, even on one's own machine."""

    postgres: str = field(default_factory=_password, repr=False)
    redis: str = field(default_factory=_password, repr=False)
    rabbitmq: str = field(default_factory=_password, repr=False)
    roles: dict[str, str] = field(
        default_factory=lambda: {role: _password() for role in ROLES}, repr=False
    )
    signing_key: str = field(default_factory=_ed25519_seed, repr=False)
    ticket_key: str = field(default_factory=_ed25519_seed, repr=False)

    @classmethod
    def kept_in(cls, file: Path) -> "Secrets":
        """Those of the file, which is written first where there is none."""
        if file.exists():
            return cls(**json.loads(file.read_text()))
        made = cls()
        # Renamed when it is whole: a half-written file would break every later start.
        draft = file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            json.dump(asdict(made), opened, indent=1)
        draft.replace(file)
        return made
