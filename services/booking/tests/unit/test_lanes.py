"""The rules of group commit, one by one."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

import pytest
from booking.application.boarding import LaneLimits
from booking.application.lanes import Lanes
from booking.domain.errors import Busy

EVENT, OTHER = UUID(int=1), UUID(int=2)
FOREVER = float("inf")


@dataclass(frozen=True)
class Wish:
    """A request."""

    event_id: UUID
    name: str


def of(event_id: UUID, names: Iterable[str]) -> list[Wish]:
    """Requests for one event."""
    return [Wish(event_id, name) for name in names]


class NonRetryableError(Exception):
    """What a request named "poison" does to its batch."""


class Flaky(Exception):
    """Goes away by itself."""


class Office:
    """Commits batches when the test lets it; answers a request with its own name in capitals."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.batches: list[list[str]] = []
        self.committed: list[str] = []
        self.failures: list[Exception] = []
        self.contended: set[UUID] = set()
        self.running = self.most_running = 0

    async def commit(self, wishes: Sequence[Wish]) -> list[str | None]:
        names = [wish.name for wish in wishes]
        events = {wish.event_id for wish in wishes}
        self.batches.append(names)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.begun.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.failures:
            raise self.failures.pop(0)
        if "poison" in names:
            raise NonRetryableError
        skipped = self.contended if len(events) > 1 else set()
        self.committed += [wish.name for wish in wishes if wish.event_id not in skipped]
        return [None if wish.event_id in skipped else wish.name.upper() for wish in wishes]

    async def block(self, lanes: Lanes[Wish, str], name: str = "first") -> asyncio.Task[object]:
        """Have a batch under way that the gate holds up."""
        self.gate.clear()
        self.begun.clear()
        task: asyncio.Task[object] = asyncio.create_task(lanes.ask(of(EVENT, [name]), FOREVER))
        await self.begun.wait()
        return task


@pytest.fixture
async def office() -> Office:
    return Office()


def lanes_of(office: Office, **limits: int) -> Lanes[Wish, str]:
    return Lanes(
        office.commit,
        event_of=attrgetter("event_id"),
        is_transient=lambda error: isinstance(error, Flaky),
        limits=LaneLimits(**limits),
        retry_seconds=(0, 0),
    )


async def turns() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_queues_during_a_commit_is_the_next_batch(office: Office) -> None:
    lanes = lanes_of(office, batch=3)
    first = await office.block(lanes)
    rest = [asyncio.create_task(lanes.ask(of(EVENT, [name]), FOREVER)) for name in "abcd"]
    await asyncio.sleep(0)
    assert (len(lanes), lanes.depth) == (1, 4)
    office.gate.set()
    assert await first == ["FIRST"]
    assert await asyncio.gather(*rest) == [["A"], ["B"], ["C"], ["D"]]
    assert office.batches == [["first"], ["a", "b", "c"], ["d"]]


async def test_an_idle_lane_is_gone(office: Office) -> None:
    lanes = lanes_of(office)
    assert await lanes.ask(of(EVENT, []), FOREVER) == []
    assert await lanes.ask(of(EVENT, ["a", "b"]), FOREVER) == ["A", "B"]
    await turns()
    assert (len(lanes), lanes.depth) == (0, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_one_commit_at_a_time_per_event_and_a_bound_over_all(office: Office) -> None:
    lanes = lanes_of(office, batch=1, commits=3)
    office.gate.clear()
    events = [UUID(int=number) for number in range(1, 6)]
    asked = [asyncio.create_task(lanes.ask(of(event, ["a", "b"]), FOREVER)) for event in events]
    await office.begun.wait()
    office.gate.set()
    assert await asyncio.gather(*asked) == [["A", "B"]] * 5
    assert office.most_running == 2, "one commit is left for the small lanes"
    lone = lanes_of(office, batch=1)
    office.most_running = 0
    await lone.ask(of(EVENT, "abc"), FOREVER)
    assert office.most_running == 1


async def test_small_lanes_share_a_commit_in_the_order_in_which_they_came(
    office: Office,
) -> None:
    lanes = lanes_of(office, commits=1, batch=5)
    first = await office.block(lanes)
    third = UUID(int=3)
    mixed = [Wish(third, "a"), Wish(OTHER, "b"), Wish(third, "c"), Wish(EVENT, "d")]
    later = [Wish(UUID(int=4), name) for name in "ef"]
    rest = [asyncio.create_task(lanes.ask(wishes, FOREVER)) for wishes in (mixed, later)]
    await asyncio.sleep(0)
    assert (len(lanes), lanes.depth) == (4, 6)
    office.gate.set()
    await first
    assert await asyncio.gather(*rest) == [["A", "B", "C", "D"], ["E", "F"]]
    assert office.batches == [["first"], ["a", "c", "b", "d"], ["e", "f"]]


async def test_a_crowd_travels_alone_and_small_lanes_pass_it(office: Office) -> None:
    lanes = lanes_of(office, commits=1, crowd=3)
    first = await office.block(lanes)
    wishes = [*of(OTHER, "x"), *of(EVENT, "abc"), *of(UUID(int=3), "y"), *of(UUID(int=4), "def")]
    rest = asyncio.create_task(lanes.ask(wishes, FOREVER))
    await asyncio.sleep(0)
    office.gate.set()
    await asyncio.gather(first, rest)
    assert office.batches == [["first"], ["x", "y"], ["a", "b", "c"], ["d", "e", "f"]]


async def test_slow_crowds_leave_a_commit_to_the_small_lanes(office: Office) -> None:
    lanes = lanes_of(office, commits=2, crowd=2)
    office.gate.clear()
    crowds = [
        asyncio.create_task(lanes.ask(of(event, ["a", "b"]), FOREVER)) for event in (EVENT, OTHER)
    ]
    await turns()
    small = asyncio.create_task(lanes.ask(of(UUID(int=3), "x"), FOREVER))
    await turns()
    assert office.batches == [["a", "b"], ["x"]]
    office.gate.set()
    await asyncio.gather(small, *crowds)
    assert office.batches == [["a", "b"], ["x"], ["a", "b"]]


async def test_an_event_that_is_not_decided_comes_again_alone_and_in_its_order(
    office: Office,
) -> None:
    lanes = lanes_of(office, commits=1)
    office.contended = {OTHER}
    wishes = [Wish(EVENT, "a"), Wish(OTHER, "b"), Wish(OTHER, "c"), Wish(UUID(int=3), "d")]
    office.gate.clear()
    asked = asyncio.create_task(lanes.ask(wishes, FOREVER))
    await turns()
    later = asyncio.create_task(lanes.ask(of(OTHER, "e"), FOREVER))
    await turns()
    office.gate.set()
    assert await asked == ["A", "B", "C", "D"]
    assert await later == ["E"]
    assert office.batches == [["a", "b", "c", "d"], ["b", "c", "e"]]
    assert office.committed == ["a", "d", "b", "c", "e"]
    await turns()
    assert (len(lanes), lanes.depth) == (0, 0)


async def test_an_event_alone_has_to_be_decided() -> None:
    async def undecided(wishes: Sequence[Wish]) -> list[str | None]:
        return [None for _ in wishes]

    lanes: Lanes[Wish, str] = Lanes(
        undecided, event_of=attrgetter("event_id"), is_transient=lambda _: False
    )
    answers = await lanes.ask(of(EVENT, "ab"), FOREVER)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_a_spoiled_batch_of_several_events_is_taken_apart(office: Office) -> None:
    lanes = lanes_of(office, commits=1)
    wishes = [*of(EVENT, "ab"), Wish(OTHER, "c"), Wish(OTHER, "poison"), *of(UUID(int=3), "d")]
    answers = await lanes.ask(wishes, FOREVER)
    assert isinstance(answers.pop(3), NonRetryableError)
    assert answers == ["A", "B", "C", "D"]
    assert office.committed == list("abcd")
    assert office.batches == [
        ["a", "b", "c", "poison", "d"],
        ["a", "b"],
        ["c", "poison"],
        ["c"],
        ["poison"],
        ["d"],
    ]


@pytest.mark.parametrize("place", range(7))
async def test_a_poisoned_batch_is_split_until_the_culprit_alone_is_refused(
    office: Office, place: int
) -> None:
    lanes = lanes_of(office)
    names = list("abcdef")
    names.insert(place, "poison")
    answers = await lanes.ask(of(EVENT, names), FOREVER)
    assert isinstance(answers.pop(place), NonRetryableError)
    assert answers == list("ABCDEF")
    # Who came first is served first, also in halves: the last tickets are decided by that.
    assert office.committed == list("abcdef")


async def test_a_transient_failure_is_tried_again_but_not_for_ever(office: Office) -> None:
    lanes = lanes_of(office)
    office.failures = [Flaky(), Flaky()]
    assert await lanes.ask(of(EVENT, ["a", "b"]), FOREVER) == ["A", "B"]
    assert office.batches == [["a", "b"]] * 3
    office.failures = [Flaky(), Flaky(), Flaky()]
    answers = await lanes.ask(of(EVENT, ["c", "d"]), FOREVER)
    assert [type(answer) for answer in answers] == [Flaky, Flaky]
    assert await lanes.ask(of(EVENT, ["e"]), FOREVER) == ["E"]


async def test_an_outcome_too_few_is_told_to_nobody() -> None:
    async def short(wishes: Sequence[Wish]) -> list[str]:
        return [wish.name for wish in wishes][1:]

    lanes: Lanes[Wish, str] = Lanes(
        short, event_of=attrgetter("event_id"), is_transient=lambda _: False
    )
    answers = await lanes.ask(of(EVENT, ["a", "b"]), FOREVER)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_what_nobody_waits_for_is_not_done(office: Office) -> None:
    lanes = lanes_of(office)
    first = await office.block(lanes)
    gone = asyncio.create_task(lanes.ask(of(EVENT, ["gone"]), FOREVER))
    stays = asyncio.create_task(lanes.ask(of(EVENT, ["stays"]), FOREVER))
    await asyncio.sleep(0)
    gone.cancel()
    office.gate.set()
    assert await stays == ["STAYS"]
    assert await first == ["FIRST"]
    assert office.committed == ["first", "stays"]
    assert gone.cancelled()


async def test_a_commit_that_everybody_has_left_is_ended_and_the_lane_goes_on(
    office: Office,
) -> None:
    lanes = lanes_of(office)
    first = await office.block(lanes)
    behind = asyncio.create_task(lanes.ask(of(EVENT, ["behind"]), FOREVER))
    await asyncio.sleep(0)
    first.cancel()
    office.begun.clear()
    await office.begun.wait()  # the next batch, though the gate was never opened for the first
    office.gate.set()
    assert await behind == ["BEHIND"]
    assert office.committed == ["behind"]


async def test_who_comes_too_late_is_refused_and_not_served(office: Office) -> None:
    time = 100.0
    lanes: Lanes[Wish, str] = Lanes(
        office.commit,
        event_of=attrgetter("event_id"),
        is_transient=lambda _: False,
        clock=lambda: time,
    )
    first = await office.block(lanes)
    late = asyncio.create_task(lanes.ask(of(EVENT, ["late"]), 105.0))
    patient = asyncio.create_task(lanes.ask(of(EVENT, ["patient"]), 200.0))
    await asyncio.sleep(0)
    time = 105.0
    office.gate.set()
    [refused] = await late
    assert isinstance(refused, Busy)
    assert refused.metadata == {"retryAfter": "1"}
    assert await patient == ["PATIENT"]
    await first
    assert office.committed == ["first", "patient"]


async def test_who_has_no_chance_before_the_deadline_is_refused_at_once(office: Office) -> None:
    time = 100.0
    lanes: Lanes[Wish, str] = Lanes(
        office.commit,
        event_of=attrgetter("event_id"),
        is_transient=lambda _: False,
        clock=lambda: time,
        limits=LaneLimits(batch=2),
    )
    first = await office.block(lanes)
    tasks = [asyncio.create_task(lanes.ask(of(EVENT, [name] * 2), FOREVER)) for name in "abcd"]
    await asyncio.sleep(0)
    time = 110.0  # one batch in ten seconds
    office.begun.clear()
    office.gate.set()
    await first
    office.gate.clear()
    await office.begun.wait()
    hopeless, patient = (
        asyncio.create_task(lanes.ask(of(EVENT, ["x"]), deadline)) for deadline in (111.0, 300.0)
    )
    [refused] = await hopeless
    assert isinstance(refused, Busy)
    office.gate.set()
    assert await patient == ["X"]
    await asyncio.gather(*tasks)


async def test_full_queues_refuse_at_once(office: Office) -> None:
    lanes = lanes_of(office, lane=2, total=3)
    first = await office.block(lanes)
    tasks = [asyncio.create_task(lanes.ask(of(EVENT, [name]), FOREVER)) for name in "abc"]
    tasks += [asyncio.create_task(lanes.ask(of(OTHER, [name]), FOREVER)) for name in "de"]
    await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, False, True, False, True]
    office.gate.set()
    answers = [answer for [answer] in await asyncio.gather(*tasks)]
    assert [answer if isinstance(answer, str) else answer.code for answer in answers] == [  # type: ignore[attr-defined]  # Busy has a code
        "A",
        "B",
        "busy",
        "D",
        "busy",
    ]
    await first
    assert lanes.depth == 0


async def test_closing_serves_who_waits_and_takes_no_more(office: Office) -> None:
    lanes = lanes_of(office, batch=1)
    first = await office.block(lanes)
    queued = asyncio.create_task(lanes.ask(of(EVENT, ["a", "b"]), FOREVER))
    await asyncio.sleep(0)
    closing = asyncio.create_task(lanes.close(60))
    await asyncio.sleep(0)
    [refused] = await lanes.ask(of(EVENT, ["late"]), FOREVER)
    assert isinstance(refused, Busy)
    office.gate.set()
    await closing
    assert (await first, await queued) == (["FIRST"], ["A", "B"])


async def test_closing_loses_nobody_when_time_is_up(office: Office) -> None:
    lanes = lanes_of(office, batch=1)
    first = await office.block(lanes)
    queued = asyncio.create_task(lanes.ask(of(EVENT, ["a"]), FOREVER))
    await asyncio.sleep(0)
    await lanes.close(0)
    answers = [*await queued, *await first]  # type: ignore[misc]  # a task of object
    assert [type(answer) for answer in answers] == [Busy, Busy]
    assert (len(lanes), lanes.depth, office.running) == (0, 0, 0)
    await lanes.close(0)
