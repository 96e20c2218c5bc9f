"""The sold-out events: the latest results decide, and their number is limited."""

from uuid import UUID

from booking.application import sold_out_events
from booking.application.sold_out_events import SoldOutEvents

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_the_latest_results_of_an_event_decide() -> None:
    events = SoldOutEvents()
    events.record([ONE, OTHER, ONE, OTHER], [True, True, None, False])
    assert (ONE in events, OTHER in events) == (True, False)
    events.record([ONE, OTHER], [None, None])
    assert (ONE in events, OTHER in events) == (True, False)
    events.record([ONE, OTHER], [False, True])
    assert (ONE in events, OTHER in events) == (False, True)


def test_the_oldest_events_are_dropped_beyond_the_limit() -> None:
    events = SoldOutEvents()
    ids = [UUID(int=number) for number in range(sold_out_events.MAX_EVENTS + 5)]
    events.record(ids, [True] * len(ids))
    assert sum(event_id in events for event_id in ids) == sold_out_events.MAX_EVENTS
    assert ids[-1] in events
