"""The rules of every text that people see, and of the characters in it.

A name or another text is prepared by its `TextRule` before it is stored: at the edge, so that the
sender reads what is wrong, and again in the domain that owns it. The rule is our own, after
RFC 8266 (nicknames). That profile refuses the joiners of emoji and of Arabic and Indic words,
which people need; so these are accepted in their places. docs/adr/0018 has the reasons.
"""

from goticket_kernel.text.rules import (
    DESCRIPTION,
    EVENT_NAME,
    LOCATION,
    PERSON_NAME,
    SEARCH,
    TICKET_TYPE_NAME,
    InvalidText,
    TextRule,
    comparison_key,
)

__all__ = [
    "DESCRIPTION",
    "EVENT_NAME",
    "LOCATION",
    "PERSON_NAME",
    "SEARCH",
    "TICKET_TYPE_NAME",
    "InvalidText",
    "TextRule",
    "comparison_key",
]
