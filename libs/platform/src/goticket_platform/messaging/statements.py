"""The messaging statements for the schema of a service."""

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from goticket_platform.postgres import load_queries

_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,40}")


@cache
def statements(schema: str) -> Mapping[str, str]:
    """Return the named statements for `schema`.

    Raises:
        ValueError: `schema` is not a plain lower-case identifier. Only such a name is safe in
            SQL text.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"{schema!r} is not a schema name")
    texts = load_queries("goticket_platform.messaging")
    return MappingProxyType({name: text.format(schema=schema) for name, text in texts.items()})


def outbox_channel(schema: str) -> str:
    """Return the NOTIFY channel of the relays of `schema`."""
    return f"{schema}_outbox"
