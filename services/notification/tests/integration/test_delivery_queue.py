"""The queue of deliveries: order, fairness, leases, outcomes and the purge, and their SQL."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from goticket_platform.lifecycle import Stop
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_platform.postgres import INDEX_ONLY_SETTINGS, open_pool
from goticket_testing.databases import DatabaseFactory
from notification.bookings import LARGE_TICKETS, NotificationKind, NotificationRequest
from notification.delivery_maintenance import (
    OLDEST_SECONDS,
    REFUSED,
    UNFINISHED,
    measure_backlog_periodically,
    purge_deliveries,
    purge_deliveries_periodically,
)
from notification.delivery_queue import (
    QUERIES,
    Delivery,
    DeliveryQueue,
    Outcome,
    SenderGroup,
    Status,
)
from notification.refused_deliveries import list_refused, replay_refused

BOOKING = UUID("0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f")
EVENT = UUID("0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d60")
SENT = Outcome(Status.SENT)
DEFERRED = Outcome(Status.DEFERRED, "a reason", timedelta(hours=1))


def request(
    version: int = 1,
    *,
    booking: UUID | None = None,
    event: UUID = EVENT,
    buyer: UUID | None = None,
    tickets: int = 1,
) -> NotificationRequest:
    return NotificationRequest(
        uuid4(),
        NotificationKind.TICKETS,
        event,
        booking or uuid4(),
        version,
        buyer or uuid4(),
        tickets,
    )


@pytest.fixture
def queue(pool: asyncpg.Pool) -> DeliveryQueue:
    return DeliveryQueue(pool, timedelta(seconds=60))


@pytest.fixture
def expired(pool: asyncpg.Pool) -> DeliveryQueue:
    """A queue whose leases of e-mails in transit have expired when they are granted."""
    return DeliveryQueue(pool, timedelta(0))


@pytest.fixture
def late(pool: asyncpg.Pool) -> DeliveryQueue:
    """A queue whose claims have expired when they are granted."""
    return DeliveryQueue(pool, timedelta(seconds=60), claim_lease=timedelta(0))


async def enqueue(queue: DeliveryQueue, *requests: NotificationRequest) -> None:
    await asyncio.gather(*(queue.enqueue(each) for each in requests))


async def claim(
    queue: DeliveryQueue, limit: int = 100, group: SenderGroup = SenderGroup.REGULAR
) -> list[Delivery]:
    return await queue.claim(group, limit)


async def claim_one(queue: DeliveryQueue) -> Delivery:
    [delivery] = await claim(queue)
    return delivery


async def claimed_order(
    queue: DeliveryQueue, at_once: int, group: SenderGroup = SenderGroup.REGULAR
) -> list[NotificationRequest]:
    """Claim everything, `at_once` at a time; return the requests in the order of the claims."""
    found: list[NotificationRequest] = []
    while claimed := await claim(queue, at_once, group):
        found += [delivery.request for delivery in claimed]
    return found


async def status_of(pool: asyncpg.Pool, message_id: UUID) -> str:
    status: str = await pool.fetchval(
        "SELECT status FROM notification.deliveries WHERE message_id = $1", message_id
    )
    return status


async def test_a_message_has_one_delivery_however_often_it_is_enqueued(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    first = request()
    await enqueue(queue, first, first)
    await queue.record(await claim_one(queue), SENT)
    await enqueue(queue, first)

    assert await claim(queue) == []
    assert await status_of(pool, first.message_id) == "sent"


async def test_a_claimed_delivery_has_the_request(queue: DeliveryQueue) -> None:
    first = request(version=3)
    await enqueue(queue, first)

    delivery = await claim_one(queue)

    assert delivery.request == first
    assert (delivery.attempts, delivery.failures) == (1, 0)


async def test_hundreds_of_concurrent_claims_claim_each_delivery_once(
    queue: DeliveryQueue, pool: asyncpg.Pool
) -> None:
    requests = [request(event=uuid4() if n % 2 else EVENT) for n in range(150)]
    await enqueue(queue, *requests)
    queues = [DeliveryQueue(pool, timedelta(seconds=60)) for _ in range(20)]
    barrier = asyncio.Barrier(20)

    async def claim_all(own: DeliveryQueue) -> list[NotificationRequest]:
        await barrier.wait()
        return await claimed_order(own, 7)

    found = await asyncio.gather(*(claim_all(own) for own in queues))
    # A claim may skip rows that another one has locked, and find none.
    rest = await claimed_order(queue, 7)

    claimed = [each.message_id for part in (*found, rest) for each in part]
    assert sorted(claimed) == sorted(each.message_id for each in requests)


# Order and fairness


async def test_other_buyers_are_served_before_the_rest_of_a_flood_by_one_buyer(
    queue: DeliveryQueue,
) -> None:
    flooding = uuid4()
    flood = [request(buyer=flooding, tickets=LARGE_TICKETS) for _ in range(120)]
    await enqueue(queue, *flood)
    others = [request() for _ in range(20)]
    await enqueue(queue, *others)

    order = await claimed_order(queue, 8)

    assert len(order) == 140
    assert {each.buyer_id for each in order[:21]} == {flooding, *(o.buyer_id for o in others)}, (
        "only the first e-mail of the flood is before those of the other buyers"
    )
    assert [each for each in order if each.buyer_id == flooding] == flood, "its own order is kept"


async def test_a_flood_in_several_batches_keeps_its_place(queue: DeliveryQueue) -> None:
    flooding = uuid4()
    for _ in range(10):
        await enqueue(queue, *(request(buyer=flooding, tickets=4) for _ in range(12)))
    other = request()
    await enqueue(queue, other)

    order = await claimed_order(queue, 4)

    assert order.index(other) <= 1


async def test_events_are_served_in_turn(queue: DeliveryQueue) -> None:
    busy, quiet, quietest = uuid4(), uuid4(), uuid4()
    await enqueue(queue, *(request(event=busy) for _ in range(60)))
    await enqueue(queue, *(request(event=quiet) for _ in range(4)), request(event=quietest))

    order = await claimed_order(queue, 6)

    first = [each.event_id for each in order[:12]]
    assert first.count(quiet) == 4
    assert first.count(quietest) == 1


async def test_more_events_than_fit_a_claim_get_their_turn(queue: DeliveryQueue) -> None:
    events = [uuid4() for _ in range(10)]
    for _ in range(5):
        await enqueue(queue, *(request(event=event) for event in events))

    order = await claimed_order(queue, 4)

    assert len(order) == 50
    assert {each.event_id for each in order[:12]} == set(events)


async def test_large_emails_are_claimed_by_their_own_senders(queue: DeliveryQueue) -> None:
    large, regular = request(tickets=LARGE_TICKETS + 1), request(tickets=LARGE_TICKETS)
    await enqueue(queue, large, regular)

    assert await claimed_order(queue, 10) == [regular]
    assert await claimed_order(queue, 10, SenderGroup.LARGE) == [large]


# Several e-mails about one booking


async def test_a_newer_version_supersedes_what_is_not_in_transit(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    pending, claimed, deferred = (request(booking=uuid4()) for _ in range(3))
    await enqueue(queue, deferred)
    await queue.record(await claim_one(queue), DEFERRED)
    await enqueue(queue, claimed)
    delivery = await claim_one(queue)
    await enqueue(queue, pending)
    newer = [request(2, booking=each.booking_id) for each in (pending, claimed, deferred)]
    await enqueue(queue, *newer)

    assert not await queue.begin(delivery), "a superseded claim may not be sent"
    for each in (pending, claimed, deferred):
        assert await status_of(pool, each.message_id) == "superseded"
    assert len(await claim(queue)) == 3


@pytest.mark.parametrize("together", [True, False])
async def test_an_older_version_that_arrives_later_is_superseded(
    pool: asyncpg.Pool, queue: DeliveryQueue, together: bool
) -> None:
    older, newer = request(1, booking=BOOKING), request(2, booking=BOOKING)
    if together:
        await enqueue(queue, newer, older)
    else:
        await enqueue(queue, newer)
        await queue.record(await claim_one(queue), SENT)
        await enqueue(queue, older)

    assert await status_of(pool, older.message_id) == "superseded"


async def test_a_newer_version_waits_while_the_older_one_is_in_transit(
    queue: DeliveryQueue,
) -> None:
    await enqueue(queue, request(1, booking=BOOKING))
    first = await claim_one(queue)
    assert await queue.begin(first)
    await enqueue(queue, request(2, booking=BOOKING))

    assert await claim(queue) == []
    await queue.record(first, SENT)
    assert (await claim_one(queue)).request.booking_version == 2


# Leases


async def test_an_expired_claim_is_taken_over_and_its_owner_may_not_send(
    late: DeliveryQueue, queue: DeliveryQueue
) -> None:
    await enqueue(queue, request())
    slow = await claim_one(late)
    assert await queue.release_due() == 1

    second = await claim_one(queue)

    assert not await late.begin(slow)
    assert await queue.begin(second)
    assert await queue.begin(second), "a repeat after a lost connection has the same result"


async def test_a_claim_is_renewed_while_its_owner_prepares_the_email(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    await enqueue(queue, request(), request())
    slow, begun = await claim(queue)
    assert await queue.begin(begun)
    await pool.execute("UPDATE notification.deliveries SET due_at = now() + interval '1 s'")

    await queue.renew_claims()

    rows = await pool.fetch("SELECT status FROM notification.deliveries ORDER BY due_at")
    assert [row["status"] for row in rows] == ["sending", "claimed"]
    assert await queue.begin(slow)


async def test_a_live_lease_is_not_taken_over(queue: DeliveryQueue) -> None:
    await enqueue(queue, request(), request())
    first, _ = await claim(queue)
    assert await queue.begin(first)

    assert await queue.release_due() == 0
    assert await claim(queue) == []


async def test_an_expired_lease_in_transit_is_superseded_by_a_newer_version(
    pool: asyncpg.Pool, expired: DeliveryQueue, queue: DeliveryQueue
) -> None:
    older = request(1, booking=BOOKING)
    await enqueue(queue, older)
    assert await expired.begin(await claim_one(expired))
    await enqueue(queue, request(2, booking=BOOKING))

    assert await queue.release_due() == 1

    assert await status_of(pool, older.message_id) == "superseded"
    assert (await claim_one(queue)).request.booking_version == 2


async def test_a_worker_that_lost_its_lease_records_only_that_it_has_sent(
    pool: asyncpg.Pool, expired: DeliveryQueue, queue: DeliveryQueue
) -> None:
    await enqueue(queue, request())
    slow = await claim_one(expired)
    assert await expired.begin(slow)
    await queue.release_due()
    second = await claim_one(queue)
    message_id = second.request.message_id

    await queue.record(slow, DEFERRED)
    assert await status_of(pool, message_id) == "claimed"
    await queue.record(slow, SENT)
    assert await status_of(pool, message_id) == "sent"
    assert not await queue.begin(second)
    await queue.record(second, Outcome(Status.REFUSED, "the other worker was faster"))
    assert await status_of(pool, message_id) == "sent"


async def test_a_deferred_delivery_is_pending_after_its_back_off(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    await enqueue(queue, request())
    await queue.record(await claim_one(queue), DEFERRED)
    assert await queue.release_due() == 0

    await pool.execute("UPDATE notification.deliveries SET due_at = now()")

    assert await queue.release_due() == 1
    assert (await claim_one(queue)).attempts == 2


async def test_the_record_is_repeated_when_the_connection_is_lost(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    await enqueue(queue, request())
    delivery = await claim_one(queue)
    assert await queue.begin(delivery)
    await pool.execute("ALTER TABLE notification.deliveries RENAME TO hidden")
    await pool.execute(
        "CREATE VIEW notification.deliveries AS SELECT * FROM notification.hidden;"
        "CREATE FUNCTION notification.fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE lock_not_available; END $$;"
        "CREATE TRIGGER fail BEFORE UPDATE ON notification.hidden"
        " FOR EACH ROW EXECUTE FUNCTION notification.fail()"
    )
    recording = asyncio.create_task(queue.record(delivery, SENT))
    done, _ = await asyncio.wait([recording], timeout=0.3)
    assert not done

    await pool.execute("DROP TRIGGER fail ON notification.hidden")
    await asyncio.wait_for(recording, 30)

    assert await status_of(pool, delivery.request.message_id) == "sent"


# Refused deliveries, backlog, purge, indexes


async def test_refused_deliveries_are_listed_and_replayed(
    database: DatabaseFactory,
) -> None:
    dsn = await database("notification")
    pool = await open_pool(dsn)
    queue = DeliveryQueue(pool, timedelta(seconds=60))
    await enqueue(queue, request(), request())
    refused, sent = await claim(queue)
    await queue.record(refused, Outcome(Status.REFUSED, "no such user", is_failure=True))
    await queue.record(sent, SENT)

    [listed] = await list_refused(dsn, 10)
    assert (listed["message_id"], listed["reason"]) == (refused.request.message_id, "no such user")
    assert await replay_refused(dsn, None) == 1

    again = await claim_one(queue)
    assert (again.request, again.attempts, again.failures) == (refused.request, 2, 0)
    await asyncio.wait_for(pool.close(), 10)


async def test_the_backlog_is_measured(pool: asyncpg.Pool, queue: DeliveryQueue) -> None:
    await enqueue(queue, *(request() for _ in range(4)))
    first, second, *_ = await claim(queue)
    await queue.record(first, Outcome(Status.REFUSED, "a reason"))
    await queue.record(second, SENT)
    await pool.execute("UPDATE notification.deliveries SET created_at = now() - interval '1 hour'")
    stop = Stop()
    stop.set()

    await measure_backlog_periodically(pool, stop)

    assert UNFINISHED._value.get() == 2
    assert REFUSED._value.get() == 1
    assert 3600 <= OLDEST_SECONDS._value.get() < 4000


async def test_old_deliveries_are_purged_unless_they_are_unfinished(
    pool: asyncpg.Pool, queue: DeliveryQueue
) -> None:
    purged, kept, *unfinished = (request() for _ in range(6))
    await enqueue(queue, purged)
    await queue.record(await claim_one(queue), SENT)
    await enqueue(queue, *unfinished)
    deferred, claimed, in_transit, pending = await claim(queue)
    await queue.record(deferred, DEFERRED)
    await queue.record(pending, Outcome(Status.PENDING))
    assert await queue.begin(in_transit)
    await pool.execute("UPDATE notification.deliveries SET created_at = now() - interval '2 days'")
    await enqueue(queue, kept)

    assert await purge_deliveries(pool, timedelta(days=1), batch_size=1) == 1

    rows = await pool.fetch("SELECT message_id FROM notification.deliveries")
    assert {row["message_id"] for row in rows} == {each.message_id for each in (kept, *unfinished)}
    assert claimed.request in unfinished


async def test_purging_continues_after_a_failure(pool: asyncpg.Pool, queue: DeliveryQueue) -> None:
    await enqueue(queue, request())
    await queue.record(await claim_one(queue), SENT)
    await pool.execute("UPDATE notification.deliveries SET created_at = now() - interval '2 days'")
    await pool.execute("ALTER TABLE notification.deliveries RENAME TO hidden")
    stop = Stop()
    task = asyncio.create_task(
        purge_deliveries_periodically(pool, timedelta(days=1), stop, interval=0.05)
    )

    await asyncio.sleep(0.2)
    await pool.execute("ALTER TABLE notification.hidden RENAME TO deliveries")
    async with asyncio.timeout(30):
        while await pool.fetchval("SELECT count(*) FROM notification.deliveries"):
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(task, 10)


ARGUMENTS: dict[str, Sequence[object]] = {
    "enqueue": (
        *([uuid4()], [uuid4()], [uuid4()], [1], [uuid4()], ["tickets"], [None], [1]),
        *(["regular"], [None], timedelta(seconds=1)),
    ),
    "claim": ("regular", 8, uuid4(), timedelta(seconds=60), UUID(int=0)),
    "begin": ([uuid4()], [uuid4()], timedelta(seconds=60)),
    "renew": ([uuid4()], [uuid4()], timedelta(seconds=60)),
    "record": ([uuid4()], [uuid4()], ["sent"], [None], [None], [0]),
    "release_due": (100,),
    "measure_backlog": (100,),
    "list_refused": (100,),
    "replay_refused": (100,),
}


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_every_statement_finds_its_rows_by_index(
    database: DatabaseFactory, name: str
) -> None:
    pool = await open_pool(await database("notification"), settings=INDEX_ONLY_SETTINGS)
    plan = await pool.fetch(f"EXPLAIN {QUERIES[name]}", *ARGUMENTS[name])
    await asyncio.wait_for(pool.close(), 10)

    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert "deliveries_" in text


async def test_migrations_can_be_reverted_and_applied_again(database: DatabaseFactory) -> None:
    dsn = await database("notification")

    reverted = await migrate_down(dsn, "notification.migrations", 1)
    status = await migration_status(dsn, "notification.migrations")
    assert [applied for label, applied in status if label == "0001_deliveries"] == [False]

    assert await migrate_up(dsn, "notification.migrations") == reverted == ["0001_deliveries"]
