"""The age of an answer is the time since its first later version was acknowledged."""

import pytest
from goticket_load.freshness import Change, FreshnessCheck, Read, age_seconds
from goticket_testing.clients import ApiUser

CHANGES = [Change(2, 10.0), Change(3, 11.0), Change(4, 13.0)]


@pytest.mark.parametrize(
    ("version", "sent_at", "age"),
    [(4, 20.0, 0.0), (3, 13.4, 0.4), (3, 12.9, 0.0), (1, 10.5, 0.5), (2, 13.5, 2.5)],
)
def test_an_answer_ages_from_the_acknowledgement_of_the_next_version(
    version: int, sent_at: float, age: float
) -> None:
    assert age_seconds(Read(version, sent_at), CHANGES) == pytest.approx(age)


def test_answers_older_than_a_second_are_counted() -> None:
    organizer = ApiUser("id", "o@x.example", "O", "token")
    reads = [Read(1, 10.9), Read(1, 11.1), Read(2, 12.5)]
    check = FreshnessCheck("http://x", "event", organizer, changes=CHANGES, reads=reads)
    assert check.too_old == 2
    assert check.oldest_seconds == pytest.approx(1.5)
