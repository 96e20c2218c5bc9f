"""The latency estimate: from the time between completions to the wait of a new request."""

import pytest
from goticket_platform.batching import LatencyEstimator


def test_an_idle_key_has_no_waiting_time() -> None:
    latency = LatencyEstimator()
    assert latency.next_batch_time(10.0) == 0.0
    assert latency.wait_time(10.0, waiting=0, max_batch_size=4) == 0.0


def test_the_batch_time_is_not_measured_while_the_first_batch_is_in_flight() -> None:
    latency = LatencyEstimator()
    latency.dispatch(10.0, 1)
    assert latency.is_measured is False
    latency.complete(10.5, 1)
    assert latency.next_batch_time(10.6) == 0.5


def test_a_batch_waits_for_those_in_flight() -> None:
    latency = LatencyEstimator()
    latency.dispatch(0.0, 4)
    latency.complete(1.0, 4)
    latency.dispatch(1.0, 4)
    assert latency.next_batch_time(1.0) == 2.0
    latency.dispatch(1.0, 4)
    assert latency.next_batch_time(1.0) == 3.0


def test_an_overdue_batch_counts_with_its_duration_so_far() -> None:
    latency = LatencyEstimator()
    latency.dispatch(0.0, 4)
    latency.complete(0.1, 4)
    latency.dispatch(0.1, 4)
    assert latency.next_batch_time(2.1) == pytest.approx(4.0)
    assert latency.wait_time(2.1, waiting=0, max_batch_size=4) == pytest.approx(2.0)


def test_the_stall_time_is_zero_without_a_batch_in_flight() -> None:
    latency = LatencyEstimator()
    assert latency.stall_time(5.0) == 0.0
    latency.dispatch(5.0, 1)
    latency.dispatch(6.0, 1)
    assert latency.stall_time(7.0) == 2.0
    latency.complete(7.0, 1)
    assert latency.stall_time(7.5) == 0.5


def test_the_time_between_two_completions_is_measured_not_the_duration_of_a_batch() -> None:
    latency = LatencyEstimator()
    latency.dispatch(0.0, 4)
    latency.dispatch(0.0, 4)
    latency.complete(1.0, 4)
    latency.complete(2.0, 4)
    assert latency.batch_time == 1.0


def test_the_smaller_of_the_counts_by_batches_and_by_requests_is_the_waiting_time() -> None:
    latency = LatencyEstimator()
    latency.dispatch(0.0, 100)
    latency.complete(1.0, 100)
    latency.dispatch(1.0, 100)
    # One batch in flight and two full ones, or 100 + 100 + 1 requests.
    assert latency.wait_time(1.0, waiting=100, max_batch_size=40) == pytest.approx(2.01)
    assert latency.wait_time(1.0, waiting=100, max_batch_size=200) == pytest.approx(1.0)


def test_a_deadline_is_exceeded_when_both_counts_exceed_it() -> None:
    latency = LatencyEstimator()
    latency.dispatch(0.0, 100)
    latency.complete(1.0, 100)
    latency.dispatch(1.0, 100)
    for now in (1.0, 1.5, 2.5):
        for waiting in (0, 39, 40, 100, 1_000):
            wait = latency.wait_time(now, waiting, max_batch_size=40)
            assert latency.would_exceed_deadline(now, waiting, 40, time_left=wait * 0.99)
            assert not latency.would_exceed_deadline(now, waiting, 40, time_left=wait * 1.01)
