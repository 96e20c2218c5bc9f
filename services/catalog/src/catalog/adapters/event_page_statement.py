"""Builds the SQL statement and the cursor of one page of events.

Every order uses keyset pagination: the cursor holds the sort key and the id of the last
row. A page costs the same at any depth, and new events do not move the pages. This holds
for relevance too: the score of a row depends on the row and the query alone, and the
cursor holds it exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from uuid import UUID

from goticket_kernel.errors import FieldError
from goticket_platform.cursors import InvalidCursor, decode_cursor, encode_cursor
from goticket_platform.ids import parse_id

from catalog.domain.errors import InvalidQuery
from catalog.domain.event import Event
from catalog.domain.list_events import (
    MIN_RANKED_QUERY,
    EventFilter,
    EventPageRequest,
    EventSort,
)

# A text that folding leaves nothing of is part of no text. The cheap condition is first: the grams
# are for the index, and where another finds the rows they are computed only for those that match.
_CONTAINS = (
    "(strpos(e.{column}, catalog.folded({{0}})) > 0"
    " AND catalog.grams(e.{column}) @> catalog.search_grams(nullif(catalog.folded({{0}}), '')))"
)
_NAME_CONTAINS = _CONTAINS.format(column="folded_name")
_LOCATION_CONTAINS = _CONTAINS.format(column="folded_location")
_CONTAINS_QUERY = f"{_NAME_CONTAINS} OR {_LOCATION_CONTAINS}"
_HAS_WORDS = "e.document @@ catalog.search_query({0})"
_IS_SIMILAR = "catalog.folded({0}) <% e.folded_name OR catalog.folded({0}) <% e.folded_location"
_RELEVANCE_SCORE = (
    "ts_rank(e.document, catalog.search_query({0}))::float8"
    " + word_similarity(catalog.folded({0}), e.folded_name)::float8"
    " + word_similarity(catalog.folded({0}), e.folded_location)::float8 / 2"
    # Trigrams find little likeness between a part of a text without spaces and the whole.
    " + (strpos(e.folded_name, catalog.folded({0})) > 0)::int"
    " + (strpos(e.folded_location, catalog.folded({0})) > 0)::int::float8 / 2"
)
# Events that have not ended are those that have not started, and those that run: an index of the
# start times serves the one, an index of periods the other. One condition for both would read all
# events of the past before the first of the page.
_NOT_STARTED = "e.starts_at > {}"
_RUNNING = "e.status = 'published' AND tstzrange(e.starts_at, e.ends_at) @> {}::timestamptz"


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


def build_page_statement(
    queries: Mapping[str, str], request: EventPageRequest
) -> tuple[str, Sequence[object]]:
    """Complete the statement list_events; return it and its parameters.

    The statement returns one row more than the page when there is a next page.

    Raises:
        InvalidQuery: the cursor does not belong to this order.
    """
    parameters = _Parameters()
    order = _ORDERS[request.sort]
    after = parameters.bind(order.after_cursor, *_cursor_key(request)) if request.cursor else "true"
    # A literal (it is a validated number): with a parameter the planner expects to read a tenth
    # of the table, and sorts all of it.
    limit = request.limit + 1
    conditions = _conditions(parameters, request.filter)
    parts = [conditions]
    if _is_in_order_of_start(request):
        now = request.filter.ends_after
        parts = [
            [*conditions, parameters.bind(part, now), after] for part in (_NOT_STARTED, _RUNNING)
        ]
    select = queries["select_events"]
    score = _score(parameters, request)
    rows = [select.format(score=score, filter=" AND ".join(part)) for part in parts]
    if len(rows) > 1:
        rows = [f"({part} ORDER BY {order.order_by} LIMIT {limit})" for part in rows]
    sql = queries["list_events"].format(
        # Ranked matches are materialized. Otherwise the planner trusts its estimate of how few
        # rows match, scans a whole time index and compares every row with the query.
        materialized="MATERIALIZED" if _has_words(request.filter.query) else "NOT MATERIALIZED",
        rows=" UNION ALL ".join(rows),
        after=after,
        order=order.order_by,
        limit=limit,
    )
    return sql, parameters.values


def _is_in_order_of_start(request: EventPageRequest) -> bool:
    """Whether indexes of start times give the page; those of organizers and words do not."""
    filter_ = request.filter
    return (
        request.sort in {EventSort.STARTS_AT_ASC, EventSort.STARTS_AT_DESC}
        and filter_.ends_after is not None
        and filter_.organizer_id is None
        and not _has_words(filter_.query)
    )


def _has_words(query: str) -> bool:
    """Whether a query is long enough for trigrams, and has what they are made of."""
    return len(query) >= MIN_RANKED_QUERY and any(one.isalnum() for one in query)


def _score(parameters: _Parameters, request: EventPageRequest) -> str:
    if request.sort is not EventSort.RELEVANCE:
        return "0::float8"
    return parameters.bind(_RELEVANCE_SCORE, request.filter.query)


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
    if filter_.ends_after is not None:
        conditions.append(parameters.bind("e.ends_at > {}", filter_.ends_after))
    if filter_.ended_at is not None:
        # It follows that they have started: an index of start times need not read the others.
        conditions.append(
            parameters.bind("e.ends_at <= {0} AND e.starts_at < {0}", filter_.ended_at)
        )
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
        alternatives = [_CONTAINS_QUERY, _HAS_WORDS]
        if _has_words(filter_.query):
            alternatives.append(_IS_SIMILAR)
        conditions.append(parameters.bind(f"({' OR '.join(alternatives)})", filter_.query))
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
