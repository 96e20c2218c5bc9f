"""What the time between answers tells those who wait for the next."""

import pytest
from gateway.pace import Pace


def test_nothing_is_expected_of_an_idle_event() -> None:
    pace = Pace()
    assert pace.expected_call(10.0) == 0.0
    assert pace.expected_wait(10.0, waiting=0, batch=4) == 0.0


def test_how_long_a_call_takes_is_unknown_while_the_first_is_out() -> None:
    pace = Pace()
    pace.depart(10.0, 1)
    assert pace.known is False
    pace.land(10.5, 1)
    assert pace.expected_call(10.6) == 0.5


def test_a_call_waits_for_those_that_are_out() -> None:
    pace = Pace()
    pace.depart(0.0, 4)
    pace.land(1.0, 4)
    pace.depart(1.0, 4)
    assert pace.expected_call(1.0) == 2.0
    pace.depart(1.0, 4)
    assert pace.expected_call(1.0) == 3.0


def test_a_call_that_is_overdue_is_as_slow_as_it_has_been_so_far() -> None:
    pace = Pace()
    pace.depart(0.0, 4)
    pace.land(0.1, 4)
    pace.depart(0.1, 4)
    assert pace.expected_call(2.1) == pytest.approx(4.0)
    assert pace.expected_wait(2.1, waiting=0, batch=4) == pytest.approx(2.0)


def test_nothing_stalls_while_nothing_is_out() -> None:
    pace = Pace()
    assert pace.stalled(5.0) == 0.0
    pace.depart(5.0, 1)
    pace.depart(6.0, 1)
    assert pace.stalled(7.0) == 2.0
    pace.land(7.0, 1)
    assert pace.stalled(7.5) == 0.5


def test_counted_is_the_time_between_two_answers_not_that_of_a_call() -> None:
    pace = Pace()
    pace.depart(0.0, 4)
    pace.depart(0.0, 4)
    pace.land(1.0, 4)
    pace.land(2.0, 4)
    assert pace.call_seconds == 1.0


def test_of_calls_and_requests_the_better_tells_how_long_a_newcomer_waits() -> None:
    pace = Pace()
    pace.depart(0.0, 100)
    pace.land(1.0, 100)
    pace.depart(1.0, 100)
    # The one that is out and two full ones before one's own, or 100 + 100 + 1 requests.
    assert pace.expected_wait(1.0, waiting=100, batch=40) == pytest.approx(2.01)
    assert pace.expected_wait(1.0, waiting=100, batch=200) == pytest.approx(1.0)
