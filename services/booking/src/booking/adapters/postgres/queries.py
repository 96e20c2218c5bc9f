"""The statements of queries.sql, with the fragments that they share filled in."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from goticket_platform.postgres import load_queries

_FRAGMENT = re.compile(r"\{([a-z_]+)\}")


def _assemble(texts: Mapping[str, str]) -> Mapping[str, str]:
    """Replace `{name}` by the text of that name; keep only texts that are no fragments.

    Raises:
        KeyError: a fragment does not exist.
    """
    fragments = {name for text in texts.values() for name in _FRAGMENT.findall(text)}

    def fill(text: str) -> str:
        return _FRAGMENT.sub(lambda found: fill(_without_comment(texts[found[1]])), text)

    return MappingProxyType(
        {name: fill(text) for name, text in texts.items() if name not in fragments}
    )


def _without_comment(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


QUERIES = _assemble(load_queries("booking.adapters.postgres"))
