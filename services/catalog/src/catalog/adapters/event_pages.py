"""One page of a list as a statement: which rows, in which order, after which cursor.

Every order pages by keyset: the cursor holds the sort key and the id of the last row,
so a page costs the same however deep it is, and an event that appears meanwhile moves
nothing. That goes for relevance, too: the score of a row depends on nothing but the
row and the query, and travels in the cursor exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from uuid import UUID

from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor

from catalog.domain.errors import FieldError, InvalidQuery
from catalog.domain.event import Event
from catalog.domain.listing import EventFilter, EventListing, EventSort

_MATCHES = (
    "(e.document @@ websearch_to_tsquery('catalog.folded', normalize({0}))"
    " OR catalog.folded({0}) <% e.folded_name OR catalog.folded({0}) <% e.folded_location)"
)
_SCORE = (
    "ts_rank(e.document, websearch_to_tsquery('catalog.folded', normalize({0})))::float8"
    " + word_similarity(catalog.folded({0}), e.folded_name)::float8"
    " + word_similarity(catalog.folded({0}), e.folded_location)::float8 / 2"
)
# The wildcards of LIKE are escaped after folding, which makes some of wider forms of them.
_CONTAINED = (
    "e.folded_location ILIKE"
    r" '%' || regexp_replace(catalog.folded({}), '[\\%_]', '\\\&', 'g') || '%'"
)


@dataclass(frozen=True)
class _Order:
    """A sort key and its direction, with how the key travels in a cursor."""

    column: str
    descending: bool

    @property
    def sql(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"{self.column} {direction}, id {direction}"

    @property
    def after(self) -> str:
        return f"({self.column}, id) {'<' if self.descending else '>'} ({{}}, {{}})"


_ORDERS = {
    EventSort.STARTS_AT_ASC: _Order("starts_at", descending=False),
    EventSort.STARTS_AT_DESC: _Order("starts_at", descending=True),
    EventSort.CREATED_AT_DESC: _Order("created_at", descending=True),
    EventSort.RELEVANCE: _Order("score", descending=True),
}


@dataclass
class _Values:
    """The statement's parameters; a value is numbered as it is added."""

    values: list[object] = field(default_factory=list)

    def fill(self, text: str, *values: object) -> str:
        """Put the numbers of `values` into the braces of `text`."""
        first = len(self.values) + 1
        self.values += values
        return text.format(*(f"${number}" for number in range(first, first + len(values))))


def page_statement(template: str, listing: EventListing) -> tuple[str, Sequence[object]]:
    """Complete the page_of_events template; it returns one row more than the page when more follow.

    Raises:
        InvalidQuery: the cursor is not one of this order.
    """
    values = _Values()
    order = _ORDERS[listing.sort]
    by_relevance = listing.sort is EventSort.RELEVANCE
    sql = template.format(
        # Search results are materialized: rather than trust its guess of how few match,
        # the planner would walk a whole time index and compare every row it meets.
        materialized="MATERIALIZED" if listing.filter.query else "NOT MATERIALIZED",
        score=values.fill(_SCORE, listing.filter.query) if by_relevance else "0::float8",
        filter=" AND ".join(_conditions(values, listing.filter)),
        after=values.fill(order.after, *_key(listing)) if listing.cursor else "true",
        order=order.sql,
        # Spelled out (it is a checked number), because a plan for an unknown limit expects
        # a tenth of the table to be read, and then sorts all of it.
        limit=listing.limit + 1,
    )
    return sql, values.values


def next_cursor(listing: EventListing, last: Event, score: float) -> str:
    """Return the cursor of the page after `last`, which scored `score`."""
    keys = {
        EventSort.STARTS_AT_ASC: last.details.starts_at.isoformat(),
        EventSort.STARTS_AT_DESC: last.details.starts_at.isoformat(),
        EventSort.CREATED_AT_DESC: last.created_at.isoformat(),
        EventSort.RELEVANCE: repr(score),
    }
    return encode_cursor(listing.sort, keys[listing.sort], str(last.id))


def _conditions(values: _Values, wanted: EventFilter) -> list[str]:
    conditions = [values.fill("e.status = {}", wanted.status)]
    if wanted.organizer_id is not None:
        conditions.append(values.fill("e.organizer_id = {}", wanted.organizer_id))
    if wanted.once_published:
        conditions.append("e.published_at IS NOT NULL")
    if wanted.starts_from is not None:
        conditions.append(values.fill("e.starts_at >= {}", wanted.starts_from))
    if wanted.starts_before is not None:
        conditions.append(values.fill("e.starts_at < {}", wanted.starts_before))
    if wanted.location:
        conditions.append(values.fill(_CONTAINED, wanted.location))
    if wanted.query:
        conditions.append(values.fill(_MATCHES, wanted.query))
    return conditions


def _key(listing: EventListing) -> tuple[object, UUID]:
    try:
        sort, key, event_id = decode_cursor(listing.cursor, 3)
        if sort != listing.sort:
            raise InvalidCursor
        value = _score(key) if sort == EventSort.RELEVANCE else _time(key)
        return value, UUID(event_id)
    except (ValueError, OverflowError):
        raise InvalidQuery([FieldError("cursor", "is not one of this list")]) from None


def _score(text: str) -> float:
    score = float(text)
    if not isfinite(score):
        raise InvalidCursor
    return score


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise InvalidCursor
    return time.astimezone(UTC)
