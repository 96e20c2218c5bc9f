"""The reckoning finds what is lost, doubled or made up."""

from goticket_load.ledger import Told, accounted, once_each


def violations(told: list[Told], stored: dict[str, int]) -> list[int]:
    return [verdict.violations for verdict in accounted(told, stored)]


def test_what_was_acknowledged_must_be_stored() -> None:
    told = [Told(("a",), 100, 0), Told(("a",), 50, 0)]
    assert violations(told, {"a": 150}) == [0, 0]
    assert violations(told, {"a": 149}) == [1, 0]
    assert violations(told, {}) == [150, 0]


def test_more_than_was_asked_for_must_not_be_there() -> None:
    assert violations([Told(("a",), 100, 3)], {"a": 103}) == [0, 0]
    assert violations([Told(("a",), 100, 3)], {"a": 104}) == [0, 1]


def test_a_load_on_several_events_is_accounted_for_as_one() -> None:
    told = [Told(("a", "b"), 10, 0)]
    assert violations(told, {"a": 4, "b": 6}) == [0, 0]
    assert violations(told, {"a": 4, "b": 5}) == [1, 0]


def test_loads_that_share_an_event_are_accounted_for_together() -> None:
    told = [Told(("a",), 3, 0), Told(("b",), 5, 1), Told(("a", "b"), 10, 0), Told(("c",), 1, 0)]
    assert violations(told, {"a": 9, "b": 10, "c": 1}) == [0, 0]
    assert violations(told, {"a": 9, "b": 8, "c": 1}) == [1, 0]
    assert violations(told, {"a": 9, "b": 9, "c": 2}) == [0, 1]


def test_every_confirmed_booking_has_exactly_one_event() -> None:
    assert once_each(["x", "y"], {"x": {"1"}, "y": {"2"}}) == 0
    assert once_each(["x", "y"], {"x": {"1"}}) == 1, "one was never announced"
    assert once_each(["x"], {"x": {"1", "2"}}) == 1, "one was announced twice"
    assert once_each([], {"x": {"1"}}) == 1, "one was announced without being there"
