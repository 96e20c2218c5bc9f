"""The one place that constructs things: the worker, from settings."""

import asyncio
from datetime import UTC, datetime, timedelta

from goticket_contracts.topology import NOTIFICATION_BOOKING_EVENTS
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import Consumer, ReceivedMessage
from goticket_platform.messaging.inbox import prune_inbox_periodically
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import open_pool

from notification.composing import Composer
from notification.config import WorkerSettings, sender_address
from notification.letters import Letterhead
from notification.mail_server import Account, MailServer
from notification.tell_buyer import SCHEMA, tell_buyer

SPARE_CONNECTIONS = 2
"""Database connections beside the letters': probes, pruning and notes about failures."""


async def run_worker(settings: WorkerSettings, stop: Stop) -> None:
    """Turn booking events into letters until the stop."""
    health = Health()
    letterhead = Letterhead(sender_address(settings.sender), settings.public_url.rstrip("/"))
    mail_server = MailServer(smtp_account(settings), settings.concurrency)
    composer = Composer()
    pool = await open_pool(settings.database_url, max_size=settings.concurrency + SPARE_CONNECTIONS)

    async def handle(event: ReceivedMessage) -> None:
        await tell_buyer(
            event, pool=pool, post=mail_server, composer=composer, letterhead=letterhead, now=_now
        )

    consumer = Consumer(
        settings.amqp_url, NOTIFICATION_BOOKING_EVENTS, handle, prefetch=settings.concurrency
    )
    # The mail server is no check: without it events wait, and nobody else can send.
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    health.add_check("rabbitmq", consumer.check)
    try:
        async with serve_ops(settings.metrics_listen, health):
            health.ready = True
            async with asyncio.TaskGroup() as tasks:
                remembered = timedelta(days=settings.inbox_days)
                tasks.create_task(prune_inbox_periodically(pool, SCHEMA, remembered, stop))
                await consumer.run(stop)
            health.ready = False
    finally:
        await composer.close()
        await mail_server.close()
        await pool.close()


def smtp_account(settings: WorkerSettings) -> Account:
    """The account that the settings name."""
    password = settings.smtp_password
    return Account(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=password.get_secret_value() if password else None,
    )


def _now() -> datetime:
    return datetime.now(UTC)
