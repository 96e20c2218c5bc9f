"""Builds the SQL statement and the cursor of one page of events.

Every order uses keyset pagination: the cursor holds the sort key and the id of the last
row. A page costs the same at any depth, and new events do not move the pages. This holds
for relevance too: the score of a row depends on the row and the query alone, and the
cursor holds it exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from uuid import UUID

from goticket_kernel.errors import FieldError
from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor
from goticket_platform.ids import parse_id

from catalog.domain.errors import InvalidQuery
from catalog.domain.event import Event
from catalog.domain.list_events import EventFilter, EventPageRequest, EventSort

_MATCHES_QUERY = (
    "(e.document @@ websearch_to_tsquery('catalog.folded', normalize({0}))"
    " OR catalog.folded({0}) <% e.folded_name OR catalog.folded({0}) <% e.folded_location)"
)
_RELEVANCE_SCORE = (
    "ts_rank(e.document, websearch_to_tsquery('catalog.folded', normalize({0})))::float8"
    " + word_similarity(catalog.folded({0}), e.folded_name)::float8"
    " + word_similarity(catalog.folded({0}), e.folded_location)::float8 / 2"
)
# The wildcards of LIKE are escaped after folding, because folding turns wide forms into them.
_LOCATION_CONTAINS = (
    "e.folded_location ILIKE"
    r" '%' || regexp_replace(catalog.folded({}), '[\\%_]', '\\\&', 'g') || '%'"
)


@dataclass(frozen=True)
class _Order:
    """A sort key and its direction."""

    column: str
    descending: bool

    @property
    def order_by(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"{self.column} {direction}, id {direction}"

    @property
    def after_cursor(self) -> str:
        return f"({self.column}, id) {'<' if self.descending else '>'} ({{}}, {{}})"


_ORDERS = {
    EventSort.STARTS_AT_ASC: _Order("starts_at", descending=False),
    EventSort.STARTS_AT_DESC: _Order("starts_at", descending=True),
    EventSort.CREATED_AT_DESC: _Order("created_at", descending=True),
    EventSort.RELEVANCE: _Order("score", descending=True),
}


@dataclass
class _Parameters:
    """The parameters of the statement, numbered in the order in which they are added."""

    values: list[object] = field(default_factory=list)

    def bind(self, sql: str, *values: object) -> str:
        """Add `values` and replace the braces in `sql` by their numbers ($1, $2, …)."""
        first = len(self.values) + 1
        self.values += values
        return sql.format(*(f"${number}" for number in range(first, first + len(values))))


def build_page_statement(template: str, request: EventPageRequest) -> tuple[str, Sequence[object]]:
    """Complete the template of list_events; return the statement and its parameters.

    The statement returns one row more than the page when there is a next page.

    Raises:
        InvalidQuery: the cursor does not belong to this order.
    """
    parameters = _Parameters()
    order = _ORDERS[request.sort]
    by_relevance = request.sort is EventSort.RELEVANCE
    sql = template.format(
        # Search results are materialized. Otherwise the planner trusts its estimate of how
        # few rows match, scans a whole time index and compares every row with the query.
        materialized="MATERIALIZED" if request.filter.query else "NOT MATERIALIZED",
        score=parameters.bind(_RELEVANCE_SCORE, request.filter.query)
        if by_relevance
        else "0::float8",
        filter=" AND ".join(_conditions(parameters, request.filter)),
        after=parameters.bind(order.after_cursor, *_cursor_key(request))
        if request.cursor
        else "true",
        order=order.order_by,
        # A literal (it is a validated number): with a parameter the planner expects to
        # read a tenth of the table, and sorts all of it.
        limit=request.limit + 1,
    )
    return sql, parameters.values


def next_cursor(request: EventPageRequest, last: Event, score: float) -> str:
    """Return the cursor of the page after `last`, which has the relevance `score`."""
    keys = {
        EventSort.STARTS_AT_ASC: last.details.starts_at.isoformat(),
        EventSort.STARTS_AT_DESC: last.details.starts_at.isoformat(),
        EventSort.CREATED_AT_DESC: last.created_at.isoformat(),
        EventSort.RELEVANCE: repr(score),
    }
    return encode_cursor(request.sort, keys[request.sort], str(last.id))


def _conditions(parameters: _Parameters, filter_: EventFilter) -> list[str]:
    conditions = [parameters.bind("e.status = {}", filter_.status)]
    if filter_.organizer_id is not None:
        conditions.append(parameters.bind("e.organizer_id = {}", filter_.organizer_id))
    if filter_.once_published:
        conditions.append("e.published_at IS NOT NULL")
    if filter_.starts_from is not None:
        conditions.append(parameters.bind("e.starts_at >= {}", filter_.starts_from))
    if filter_.starts_before is not None:
        conditions.append(parameters.bind("e.starts_at < {}", filter_.starts_before))
    if filter_.location:
        conditions.append(parameters.bind(_LOCATION_CONTAINS, filter_.location))
    if filter_.query:
        conditions.append(parameters.bind(_MATCHES_QUERY, filter_.query))
    return conditions


def _cursor_key(request: EventPageRequest) -> tuple[object, UUID]:
    try:
        sort, key, event_id = decode_cursor(request.cursor, 3)
        if sort != request.sort:
            raise InvalidCursor
        value = _parse_score(key) if sort == EventSort.RELEVANCE else _parse_time(key)
        return value, parse_id(event_id)
    except (ValueError, OverflowError):
        raise InvalidQuery(fields=[FieldError("cursor", "is not one of this list")]) from None


def _parse_score(text: str) -> float:
    score = float(text)
    if not isfinite(score):
        raise InvalidCursor
    return score


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise InvalidCursor
    return time.astimezone(UTC)
