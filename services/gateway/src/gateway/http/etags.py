"""Entity tags in If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1)."""

import re

# Possessive quantifiers: parsing takes time linear in the length of the field.
_ELEMENT = re.compile(r'[ \t]*+((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")?[ \t]*+(?:,|\Z)')


def entity_tags(field: str) -> list[str]:
    """Return the tags that a header field lists; none when it is not a list of tags."""
    tags: list[str] = []
    at = 0
    while at < len(field):
        element = _ELEMENT.match(field, at)
        if element is None:
            return []
        if element[1]:
            tags.append(element[1])
        at = element.end()
    return tags


def is_any(field: str) -> bool:
    """Return whether a condition matches any version."""
    return field.strip() == "*"


def strong_tags(field: str) -> list[str]:
    """Return the tags that can match under strong comparison (RFC 9110, 8.8.3.2)."""
    return [tag for tag in entity_tags(field) if not tag.startswith("W/")]


def matches_weakly(field: str, tag: str) -> bool:
    """Return whether If-None-Match names the strong `tag`, weak or not (RFC 9110, 13.1.2)."""
    return is_any(field) or tag in (one.removeprefix("W/") for one in entity_tags(field))
