"""Shared by the schemas: camelCase, strict types, text that every backend can carry."""

import re
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from goticket_kernel import text as text_rules
from goticket_kernel.text import InvalidText, TextRule
from goticket_platform.ids import parse_id
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_INT64 = 2**63 - 1
MAX_INT32 = 2**31 - 1
MAX_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON holds exactly (RFC 8259, section 6)."""

MAX_CHARACTERS = "x-maxCharacters"
"""In a schema: the limit of characters as people see them; `maxLength` counts code points."""

ItemT = TypeVar("ItemT")


class Body(BaseModel):
    """Base of request bodies: exact JSON types, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=False, validate_by_alias=True, frozen=True
    )


class Answer(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True
    )


class Page(Answer):
    """Base of a page of a list."""

    next_cursor: str | None = Field(
        description="Pass it as `cursor` for the next page; null on the last one."
    )


def _is_carried_everywhere(text: str) -> str:
    # PostgreSQL stores no NUL; a lone surrogate has no UTF-8 form.
    if "\x00" in text:
        raise ValueError("Must not contain NUL characters.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("Must not contain lone surrogates.")
    return text


Text = Annotated[str, AfterValidator(_is_carried_everywhere)]


def _prepared(rule: TextRule, text: str) -> str:
    try:
        return rule.prepare(text)
    except InvalidText as error:
        raise ValueError(f"{str(error).replace('must', 'Should', 1)}.") from None


def _shown(rule: TextRule) -> tuple[AfterValidator, Any]:
    """Return what a text that people see is annotated with. Its form is the stored one."""
    schema: dict[str, Any] = {
        "minLength": 1 if rule.required else 0,
        "maxLength": rule.max_bytes,
        MAX_CHARACTERS: rule.max_characters,
    }
    return AfterValidator(partial(_prepared, rule)), Field(json_schema_extra=schema)


PersonName = Annotated[str, *_shown(text_rules.PERSON_NAME)]
EventName = Annotated[str, *_shown(text_rules.EVENT_NAME)]
TicketTypeName = Annotated[str, *_shown(text_rules.TICKET_TYPE_NAME)]
Location = Annotated[str, *_shown(text_rules.LOCATION)]
Description = Annotated[str, *_shown(text_rules.DESCRIPTION)]
SearchText = Annotated[str, *_shown(text_rules.SEARCH)]


_MAX_PASSWORD = 512


def _has_a_password_length(text: str) -> str:
    # Of code points: composed, a password may be shorter. Identity counts its characters.
    if len(text) > _MAX_PASSWORD:
        raise ValueError("Should have at most 128 characters.")
    return _is_carried_everywhere(text)


Password = Annotated[
    str,
    AfterValidator(_has_a_password_length),
    Field(
        examples=["correct horse battery"],
        json_schema_extra={"maxLength": _MAX_PASSWORD, "format": "password"},
    ),
]

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGITS = re.compile(r"-?[0-9]+")


def _is_rfc_3339(value: Any) -> Any:
    # pydantic alone would take numbers, dates and times without an offset too.
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("Must be a date and time with an offset, such as 2027-06-01T19:00:00Z.")
    if not isinstance(value, str):
        raise ValueError("Must be text such as 2027-06-01T19:00:00Z.")  # noqa: TRY004 - pydantic's contract
    return value


def _with_plus_sign(value: Any) -> Any:
    # An unescaped "+" in a query string arrives as a space.
    return re.sub(r" (?=\d\d:\d\d$)", "+", value) if isinstance(value, str) else value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("Must lie between the years 1 and 9999.") from error


Instant = Annotated[AwareDatetime, BeforeValidator(_is_rfc_3339), AfterValidator(_in_utc)]
QueryInstant = Annotated[Instant, BeforeValidator(_with_plus_sign)]

# Identity decides whether it is an address, and which. This says at once what can be none.
_EMAIL = TextRule(254)


def _has_two_parts(text: str) -> str:
    local, at, domain = _prepared(_EMAIL, text).rpartition("@")
    if not (local and at and domain):
        raise ValueError("Should be an e-mail address, such as grace.hopper@example.com.")
    return f"{local}@{domain}"


Email = Annotated[
    str,
    AfterValidator(_has_two_parts),
    Field(
        examples=["grace.hopper@example.com"],
        json_schema_extra={"minLength": 1, "maxLength": _EMAIL.max_bytes},
    ),
]
EmailOut = Annotated[str, Field(examples=["grace.hopper@example.com"])]
Id = Annotated[
    str,
    Field(examples=["0197c0de-7a11-7b00-8a00-000000000001"], json_schema_extra={"format": "uuid"}),
]
Money = Annotated[int, Field(strict=True, ge=0, le=MAX_INTEGER, description="Minor units (cents).")]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_INTEGER)]
Currency = Annotated[
    Text, Field(min_length=3, max_length=3, examples=["EUR"], description="ISO 4217.")
]
Timezone = Annotated[
    Text, Field(max_length=100, examples=["Europe/Warsaw"], description="IANA zone of the place.")
]


def to_instant(stamp: Timestamp) -> datetime:
    """Read a protobuf timestamp."""
    return stamp.ToDatetime(tzinfo=UTC)


def to_timestamp(instant: datetime | None) -> Timestamp | None:
    """Write a protobuf timestamp."""
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def _is_uuid(text: str) -> str:
    try:
        return str(parse_id(text))
    except ValueError:
        raise ValueError("Must be a UUID.") from None


def _is_digits(value: Any) -> Any:
    # pydantic alone would read "1.0", " 1" and "1_0" too.
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("Must be a whole number.")
    return value


QueryId = Annotated[str, AfterValidator(_is_uuid), Field(json_schema_extra={"format": "uuid"})]
QueryInteger = Annotated[int, BeforeValidator(_is_digits)]
