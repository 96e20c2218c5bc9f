"""Pauses during an outage."""

from notification.outage_pause import FIRST_SECONDS, LONGEST_SECONDS, OutagePause


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def test_a_pause_grows_up_to_its_limit_and_ends_with_a_success() -> None:
    clock = Clock()
    pause = OutagePause(clock)
    lengths = []
    for _ in range(10):
        pause.begin()
        lengths.append(round(pause.remaining, 6))
        clock.now += pause.remaining + 0.001

    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (FIRST_SECONDS, LONGEST_SECONDS)
    pause.end()
    assert (pause.is_outage, pause.remaining) == (False, 0)


def test_failures_at_the_same_time_are_one_outage() -> None:
    clock = Clock()
    pause = OutagePause(clock)
    for _ in range(16):
        pause.begin()

    assert round(pause.remaining, 6) == FIRST_SECONDS
