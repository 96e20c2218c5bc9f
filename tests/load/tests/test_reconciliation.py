"""The reconciliation finds lost, duplicated and unrequested bookings."""

from goticket_load.reconciliation import ClientResult, compare, count_not_exactly_once


def violations(results: list[ClientResult], stored: dict[str, int]) -> list[int]:
    return [each.violations for each in compare(results, stored)]


def test_an_acknowledged_booking_must_be_stored() -> None:
    results = [ClientResult(("a",), 100, 0), ClientResult(("a",), 50, 0)]
    assert violations(results, {"a": 150}) == [0, 0]
    assert violations(results, {"a": 149}) == [1, 0]
    assert violations(results, {}) == [150, 0]


def test_a_stored_booking_must_have_been_requested() -> None:
    assert violations([ClientResult(("a",), 100, 3)], {"a": 103}) == [0, 0]
    assert violations([ClientResult(("a",), 100, 3)], {"a": 104}) == [0, 1]


def test_a_load_on_several_events_is_compared_as_one() -> None:
    results = [ClientResult(("a", "b"), 10, 0)]
    assert violations(results, {"a": 4, "b": 6}) == [0, 0]
    assert violations(results, {"a": 4, "b": 5}) == [1, 0]


def test_loads_with_a_common_event_are_compared_together() -> None:
    results = [
        ClientResult(("a",), 3, 0),
        ClientResult(("b",), 5, 1),
        ClientResult(("a", "b"), 10, 0),
        ClientResult(("c",), 1, 0),
    ]
    assert violations(results, {"a": 9, "b": 10, "c": 1}) == [0, 0]
    assert violations(results, {"a": 9, "b": 8, "c": 1}) == [1, 0]
    assert violations(results, {"a": 9, "b": 9, "c": 2}) == [0, 1]


def test_every_confirmed_booking_has_exactly_one_message() -> None:
    assert count_not_exactly_once(["x", "y"], {"x": {"1"}, "y": {"2"}}) == 0
    assert count_not_exactly_once(["x", "y"], {"x": {"1"}}) == 1, "one message is missing"
    assert count_not_exactly_once(["x"], {"x": {"1", "2"}}) == 1, "one message is a duplicate"
    assert count_not_exactly_once([], {"x": {"1"}}) == 1, "one message has no booking"
