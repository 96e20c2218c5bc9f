"""Constructs the worker from its settings."""

import asyncio
from datetime import UTC, datetime, timedelta

from goticket_contracts.topology import NOTIFICATION_BOOKING_EVENTS
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import Consumer, ReceivedMessage
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import open_pool
from goticket_platform.rpc.client import open_channel

from notification.booking_details import BookingDetailsClient
from notification.config import WorkerSettings, sender_address
from notification.deliveries import DeliveryStore, purge_deliveries_periodically
from notification.email_rendering import SenderProfile
from notification.render_pool import RenderPool
from notification.send_notification import send_notification
from notification.smtp_client import SmtpAccount, SmtpMailer

DATABASE_CONNECTIONS = 6
"""Enough for any concurrency: a delivery uses a connection for milliseconds."""
LEASE_MARGIN_SECONDS = 4.0
"""Difference between a lease and an attempt: time to record the outcome."""


async def run_worker(settings: WorkerSettings, stop: Stop) -> None:
    """Send the e-mails that booking's messages request, until `stop`."""
    health = Health()
    profile = SenderProfile(sender_address(settings.sender), settings.public_url.rstrip("/"))
    mailer = SmtpMailer(smtp_account(settings), settings.concurrency)
    renderer = RenderPool(profile)
    channel = open_channel(settings.booking_target)
    bookings = BookingDetailsClient(channel, settings.booking_token.get_secret_value())
    pool = await open_pool(settings.database_url, max_size=DATABASE_CONNECTIONS)
    lease = timedelta(seconds=settings.attempt_seconds + LEASE_MARGIN_SECONDS)
    deliveries = DeliveryStore(pool, lease)

    async def handle(message: ReceivedMessage) -> None:
        await send_notification(
            message,
            deliveries=deliveries,
            bookings=bookings,
            renderer=renderer,
            mailer=mailer,
            now=_now,
            attempt_seconds=settings.attempt_seconds,
        )

    consumer = Consumer(
        settings.amqp_url, NOTIFICATION_BOOKING_EVENTS, handle, prefetch=settings.concurrency
    )
    # Neither SMTP nor booking is checked: without them messages wait, in any worker.
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    health.add_check("rabbitmq", consumer.check)
    try:
        async with serve_ops(settings.metrics_listen, health):
            health.ready = True
            async with asyncio.TaskGroup() as tasks:
                retention = timedelta(days=settings.delivery_days)
                tasks.create_task(purge_deliveries_periodically(pool, retention, stop))
                await consumer.run(stop)
            health.ready = False
    finally:
        await renderer.close()
        await mailer.close()
        await channel.close()
        await pool.close()


def smtp_account(settings: WorkerSettings) -> SmtpAccount:
    """Return the SMTP account that the settings name."""
    password = settings.smtp_password
    return SmtpAccount(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=password.get_secret_value() if password else None,
    )


def _now() -> datetime:
    return datetime.now(UTC)
