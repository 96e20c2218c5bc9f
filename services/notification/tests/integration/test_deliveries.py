"""Leases, outcomes and the purge of deliveries, and their SQL."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from goticket_platform.lifecycle import Stop
from goticket_platform.migrations import migrate_down, migrate_up, migration_status
from goticket_testing.databases import DatabaseFactory
from notification.bookings import NotificationKind, NotificationRequest
from notification.deliveries import (
    QUERIES,
    DeliveryInProgress,
    DeliveryStore,
    Status,
    purge_deliveries,
    purge_deliveries_periodically,
)

BOOKING = UUID("0198c2f0-7b1e-7c3a-9d55-6f1a2b3c4d5f")


def request(version: int = 1, booking_id: UUID = BOOKING) -> NotificationRequest:
    return NotificationRequest(uuid4(), NotificationKind.TICKETS, uuid4(), booking_id, version)


@pytest.fixture
def store(pool: asyncpg.Pool) -> DeliveryStore:
    return DeliveryStore(pool, timedelta(seconds=60))


@pytest.fixture
def expired(pool: asyncpg.Pool) -> DeliveryStore:
    """A store whose leases have expired when they are granted."""
    return DeliveryStore(pool, timedelta(0))


async def status_of(pool: asyncpg.Pool, message_id: UUID) -> str:
    status: str = await pool.fetchval(
        "SELECT status FROM notification.deliveries WHERE message_id = $1", message_id
    )
    return status


async def test_a_live_lease_blocks_every_delivery_about_the_booking(
    store: DeliveryStore,
) -> None:
    first = request()
    assert (await store.claim(first)).status is Status.SENDING

    for other in (first, request(version=2)):
        with pytest.raises(DeliveryInProgress):
            await store.claim(other)
    assert (await store.claim(request(booking_id=uuid4()))).status is Status.SENDING


async def test_an_expired_lease_is_taken_over_with_a_new_token(
    expired: DeliveryStore, store: DeliveryStore
) -> None:
    email_request = request()
    first = await expired.claim(email_request)

    second = await store.claim(email_request)

    assert second.status is Status.SENDING
    assert second.lease_token != first.lease_token


@pytest.mark.parametrize("outcome", [Status.DEFERRED, Status.REFUSED])
async def test_a_failed_delivery_can_be_claimed_again(
    store: DeliveryStore, outcome: Status
) -> None:
    email_request = request()
    await store.complete(await store.claim(email_request), outcome, "a reason")

    assert (await store.claim(email_request)).status is Status.SENDING


async def test_a_sent_delivery_is_never_claimed_again(store: DeliveryStore) -> None:
    email_request = request()
    await store.complete(await store.claim(email_request), Status.SENT)

    assert (await store.claim(email_request)).status is Status.SENT


async def test_a_delivery_is_superseded_by_one_for_a_newer_version(store: DeliveryStore) -> None:
    await store.complete(await store.claim(request(version=2)), Status.DEFERRED)

    assert (await store.claim(request(version=1))).status is Status.SUPERSEDED


async def test_a_worker_that_lost_its_lease_records_only_that_it_has_sent(
    pool: asyncpg.Pool, expired: DeliveryStore, store: DeliveryStore
) -> None:
    email_request = request()
    slow = await expired.claim(email_request)
    await store.claim(email_request)

    await store.complete(slow, Status.DEFERRED, "too late")
    assert await status_of(pool, email_request.message_id) == "sending"
    await store.complete(slow, Status.SENT)
    assert await status_of(pool, email_request.message_id) == "sent"


async def test_a_sent_delivery_stays_sent_when_a_second_worker_records_an_outcome(
    pool: asyncpg.Pool, expired: DeliveryStore, store: DeliveryStore
) -> None:
    email_request = request()
    first = await expired.claim(email_request)
    second = await store.claim(email_request)
    await store.complete(first, Status.SENT)

    await store.complete(second, Status.REFUSED, "the other worker was faster")

    assert await status_of(pool, email_request.message_id) == "sent"


async def test_hundreds_of_concurrent_claims_lease_the_delivery_once(store: DeliveryStore) -> None:
    email_request = request()
    barrier = asyncio.Barrier(200)

    async def claim() -> Status:
        await barrier.wait()
        return (await store.claim(email_request)).status

    results: list[Any] = await asyncio.gather(
        *(claim() for _ in range(200)), return_exceptions=True
    )

    assert results.count(Status.SENDING) == 1
    assert sum(isinstance(result, DeliveryInProgress) for result in results) == 199


async def test_claims_and_the_purge_find_their_rows_by_index(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute(
            """INSERT INTO notification.deliveries
                   (message_id, booking_id, booking_version, kind, status)
               SELECT gen_random_uuid(), gen_random_uuid(), 1, 'tickets', 'sent'
               FROM generate_series(1, 5000)"""
        )
        await connection.execute("ANALYZE notification.deliveries")
        claim = await connection.fetch(
            f"EXPLAIN {QUERIES['claim']}",
            *(uuid4(), BOOKING, 1, "tickets", uuid4(), timedelta(seconds=60)),
        )
        purge = await connection.fetch(
            "EXPLAIN "
            + QUERIES["purge"].replace("$1", "now() - interval '1 day'").replace("$2", "10")
        )

    assert any("deliveries_booking_idx" in row[0] for row in claim)
    assert any("deliveries_created_at_idx" in row[0] for row in purge)


async def test_old_deliveries_are_purged_unless_they_are_being_sent(
    pool: asyncpg.Pool, store: DeliveryStore
) -> None:
    kept, purged, leased = request(booking_id=uuid4()), request(), request(booking_id=uuid4())
    await store.complete(await store.claim(purged), Status.SENT)
    await store.claim(leased)
    await pool.execute("UPDATE notification.deliveries SET created_at = now() - interval '2 days'")
    await store.complete(await store.claim(kept), Status.SENT)

    assert await purge_deliveries(pool, timedelta(days=1), batch_size=1) == 1

    rows = await pool.fetch("SELECT message_id FROM notification.deliveries")
    assert {row["message_id"] for row in rows} == {kept.message_id, leased.message_id}


async def test_purging_continues_after_a_failure(pool: asyncpg.Pool, store: DeliveryStore) -> None:
    await store.complete(await store.claim(request()), Status.SENT)
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


async def test_migrations_can_be_reverted_and_applied_again(database: DatabaseFactory) -> None:
    dsn = await database("notification")

    reverted = await migrate_down(dsn, "notification.migrations", 1)
    status = await migration_status(dsn, "notification.migrations")
    assert [applied for label, applied in status if label == "0001_deliveries"] == [False]

    assert await migrate_up(dsn, "notification.migrations") == reverted == ["0001_deliveries"]
