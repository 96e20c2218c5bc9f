"""The rules of group commit, one by one."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from booking.application.lanes import LaneLimits, Lanes
from booking.domain.errors import Busy

EVENT, OTHER = UUID(int=1), UUID(int=2)
FOREVER = float("inf")


class Poison(Exception):
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
        self.running = self.most_running = 0

    async def commit(self, _event_id: UUID, names: Sequence[str]) -> list[str]:
        self.batches.append(list(names))
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
            raise Poison
        self.committed += names
        return [name.upper() for name in names]

    async def block(self, lanes: Lanes[str, str], name: str = "first") -> asyncio.Task[object]:
        """Have a batch under way that the gate holds up."""
        self.gate.clear()
        self.begun.clear()
        task: asyncio.Task[object] = asyncio.create_task(lanes.ask(EVENT, [name], FOREVER))
        await self.begun.wait()
        return task


@pytest.fixture
async def office() -> Office:
    return Office()


def lanes_of(office: Office, **limits: int) -> Lanes[str, str]:
    return Lanes(
        office.commit,
        is_transient=lambda error: isinstance(error, Flaky),
        limits=LaneLimits(**limits),
        retry_seconds=(0, 0),
    )


async def test_what_queues_during_a_commit_is_the_next_batch(office: Office) -> None:
    lanes = lanes_of(office, batch=3)
    first = await office.block(lanes)
    rest = [asyncio.create_task(lanes.ask(EVENT, [name], FOREVER)) for name in "abcd"]
    await asyncio.sleep(0)
    assert (len(lanes), lanes.depth) == (1, 4)
    office.gate.set()
    assert await first == ["FIRST"]
    assert await asyncio.gather(*rest) == [["A"], ["B"], ["C"], ["D"]]
    assert office.batches == [["first"], ["a", "b", "c"], ["d"]]


async def test_an_idle_lane_is_gone(office: Office) -> None:
    lanes = lanes_of(office)
    assert await lanes.ask(EVENT, [], FOREVER) == []
    assert await lanes.ask(EVENT, ["a", "b"], FOREVER) == ["A", "B"]
    await asyncio.sleep(0)
    assert (len(lanes), lanes.depth) == (0, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_one_commit_at_a_time_per_event_and_a_bound_over_all(office: Office) -> None:
    lanes = lanes_of(office, batch=1, commits=2)
    office.gate.clear()
    events = [UUID(int=number) for number in range(1, 6)]
    asked = [asyncio.create_task(lanes.ask(event, ["a", "b"], FOREVER)) for event in events]
    await office.begun.wait()
    office.gate.set()
    assert await asyncio.gather(*asked) == [["A", "B"]] * 5
    assert office.most_running == 2
    lone = lanes_of(office, batch=1)
    office.most_running = 0
    await lone.ask(EVENT, ["a", "b", "c"], FOREVER)
    assert office.most_running == 1


@pytest.mark.parametrize("place", range(7))
async def test_a_poisoned_batch_is_split_until_the_culprit_alone_is_refused(
    office: Office, place: int
) -> None:
    names = list("abcdef")
    names.insert(place, "poison")
    answers = await lanes_of(office).ask(EVENT, names, FOREVER)
    assert isinstance(answers.pop(place), Poison)
    assert answers == list("ABCDEF")
    # Who came first is served first, also in halves: the last tickets are decided by that.
    assert office.committed == list("abcdef")


async def test_a_transient_failure_is_tried_again_but_not_for_ever(office: Office) -> None:
    lanes = lanes_of(office)
    office.failures = [Flaky(), Flaky()]
    assert await lanes.ask(EVENT, ["a", "b"], FOREVER) == ["A", "B"]
    assert office.batches == [["a", "b"]] * 3
    office.failures = [Flaky(), Flaky(), Flaky()]
    answers = await lanes.ask(EVENT, ["c", "d"], FOREVER)
    assert [type(answer) for answer in answers] == [Flaky, Flaky]
    assert await lanes.ask(EVENT, ["e"], FOREVER) == ["E"]


async def test_an_outcome_too_few_is_told_to_nobody() -> None:
    async def short(_event_id: UUID, names: Sequence[str]) -> list[str]:
        return list(names)[1:]

    lanes: Lanes[str, str] = Lanes(short, is_transient=lambda _: False)
    answers = await lanes.ask(EVENT, ["a", "b"], FOREVER)
    assert [type(answer) for answer in answers] == [ValueError, ValueError]


async def test_what_nobody_waits_for_is_not_done(office: Office) -> None:
    lanes = lanes_of(office)
    first = await office.block(lanes)
    gone = asyncio.create_task(lanes.ask(EVENT, ["gone"], FOREVER))
    stays = asyncio.create_task(lanes.ask(EVENT, ["stays"], FOREVER))
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
    behind = asyncio.create_task(lanes.ask(EVENT, ["behind"], FOREVER))
    await asyncio.sleep(0)
    first.cancel()
    office.begun.clear()
    await office.begun.wait()  # the next batch, though the gate was never opened for the first
    office.gate.set()
    assert await behind == ["BEHIND"]
    assert office.committed == ["behind"]


async def test_who_comes_too_late_is_refused_and_not_served(office: Office) -> None:
    time = 100.0
    lanes: Lanes[str, str] = Lanes(office.commit, is_transient=lambda _: False, clock=lambda: time)
    first = await office.block(lanes)
    late = asyncio.create_task(lanes.ask(EVENT, ["late"], 105.0))
    patient = asyncio.create_task(lanes.ask(EVENT, ["patient"], 200.0))
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
    lanes: Lanes[str, str] = Lanes(
        office.commit,
        is_transient=lambda _: False,
        clock=lambda: time,
        limits=LaneLimits(batch=2),
    )
    first = await office.block(lanes)
    tasks = [asyncio.create_task(lanes.ask(EVENT, [name] * 2, FOREVER)) for name in "abcd"]
    await asyncio.sleep(0)
    time = 110.0  # one batch in ten seconds
    office.begun.clear()
    office.gate.set()
    await first
    office.gate.clear()
    await office.begun.wait()
    hopeless, patient = (
        asyncio.create_task(lanes.ask(EVENT, ["x"], deadline)) for deadline in (111.0, 300.0)
    )
    [refused] = await hopeless
    assert isinstance(refused, Busy)
    office.gate.set()
    assert await patient == ["X"]
    await asyncio.gather(*tasks)


async def test_full_queues_refuse_at_once(office: Office) -> None:
    lanes = lanes_of(office, lane=2, total=3)
    first = await office.block(lanes)
    tasks = [asyncio.create_task(lanes.ask(EVENT, [name], FOREVER)) for name in "abc"]
    tasks += [asyncio.create_task(lanes.ask(OTHER, [name], FOREVER)) for name in "de"]
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
    queued = asyncio.create_task(lanes.ask(EVENT, ["a", "b"], FOREVER))
    await asyncio.sleep(0)
    closing = asyncio.create_task(lanes.close(60))
    await asyncio.sleep(0)
    [refused] = await lanes.ask(EVENT, ["late"], FOREVER)
    assert isinstance(refused, Busy)
    office.gate.set()
    await closing
    assert (await first, await queued) == (["FIRST"], ["A", "B"])


async def test_closing_loses_nobody_when_time_is_up(office: Office) -> None:
    lanes = lanes_of(office, batch=1)
    first = await office.block(lanes)
    queued = asyncio.create_task(lanes.ask(EVENT, ["a"], FOREVER))
    await asyncio.sleep(0)
    await lanes.close(0)
    answers = [*await queued, *await first]  # type: ignore[misc]  # a task of object
    assert [type(answer) for answer in answers] == [Busy, Busy]
    assert (len(lanes), lanes.depth, office.running) == (0, 0, 0)
    await lanes.close(0)
