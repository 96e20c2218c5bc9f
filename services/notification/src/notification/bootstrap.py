"""Constructs the worker from its settings."""

import asyncio
from datetime import UTC, datetime, timedelta

from goticket_contracts.topology import NOTIFICATION_EVENTS
from goticket_platform.lifecycle import Stop
from goticket_platform.messaging.consumer import Consumer, ReceivedMessage
from goticket_platform.ops import Health, serve_ops
from goticket_platform.postgres import INDEX_ONLY_SETTINGS, open_pool
from goticket_platform.rpc.client import open_channel

from notification.accept_message import accept_message
from notification.announce_changes import announce_changes
from notification.booking_details import BookingDetailsClient
from notification.config import WorkerSettings, sender_address
from notification.delivery_maintenance import (
    measure_backlog_periodically,
    purge_deliveries_periodically,
    release_due_deliveries,
    renew_claims_periodically,
)
from notification.delivery_queue import DeliveryQueue, SenderGroup
from notification.email_rendering import SenderProfile
from notification.event_buyers import EventBuyersClient
from notification.event_changes import EventChanges
from notification.outage_pause import OutagePause
from notification.render_pool import RenderPool
from notification.send_delivery import DeliverySender
from notification.senders import Senders
from notification.smtp_client import SmtpAccount, SmtpMailer

DATABASE_CONNECTIONS = 6
"""Enough for any concurrency: each kind of statement has at most one call in flight."""
PREFETCH = 100
"""Messages that may share a statement. Storing a delivery is much cheaper than sending it."""
LEASE_MARGIN_SECONDS = 4.0
"""Difference between a lease and an attempt: time to record the outcome."""


async def run_worker(settings: WorkerSettings, stop: Stop) -> None:
    """Send the e-mails that booking's messages request, until `stop`."""
    health = Health()
    profile = SenderProfile(sender_address(settings.sender), settings.public_url.rstrip("/"))
    mailer = SmtpMailer(smtp_account(settings), settings.smtp_connections)
    renderer = RenderPool(profile)
    channel = open_channel(settings.booking_target)
    token = settings.booking_token.get_secret_value()
    bookings, buyers = BookingDetailsClient(channel, token), EventBuyersClient(channel, token)
    pool = await open_pool(
        settings.database_url, max_size=DATABASE_CONNECTIONS, settings=INDEX_ONLY_SETTINGS
    )
    queue = DeliveryQueue(pool, timedelta(seconds=settings.attempt_seconds + LEASE_MARGIN_SECONDS))
    changes = EventChanges(
        pool,
        timedelta(seconds=settings.change_window_seconds),
        timedelta(seconds=settings.change_limit_seconds),
    )
    pause = OutagePause()
    sender = DeliverySender(
        queue, bookings, buyers, renderer, mailer, _now, settings.attempt_seconds, pause
    )
    connections = {
        SenderGroup.REGULAR: settings.concurrency,
        SenderGroup.LARGE: settings.large_concurrency,
        SenderGroup.EVENT_CHANGES: settings.change_concurrency,
    }
    groups = {
        group: Senders(group, count, queue, sender.send, pause)
        for group, count in connections.items()
    }

    def wake_all() -> None:
        for senders in groups.values():
            senders.wake()

    async def handle(message: ReceivedMessage) -> None:
        await accept_message(
            message, queue=queue, changes=changes, wake=lambda group: groups[group].wake()
        )

    consumer = Consumer(settings.amqp_url, NOTIFICATION_EVENTS, handle, prefetch=PREFETCH)
    # Neither SMTP nor booking is checked: without them deliveries wait, in any worker.
    health.add_check("postgres", lambda: pool.fetchval("SELECT 1"))
    health.add_check("rabbitmq", consumer.check)
    retention = timedelta(days=settings.delivery_days)
    try:
        async with serve_ops(settings.metrics_listen, health):
            health.ready = True
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(consumer.run(stop))
                for senders in groups.values():
                    tasks.create_task(senders.run(stop))
                tasks.create_task(release_due_deliveries(queue, wake_all, stop))
                wake_changes = groups[SenderGroup.EVENT_CHANGES].wake
                tasks.create_task(announce_changes(changes, buyers, wake_changes, stop))
                tasks.create_task(renew_claims_periodically(queue, stop))
                tasks.create_task(measure_backlog_periodically(pool, stop))
                tasks.create_task(purge_deliveries_periodically(pool, retention, stop))
                await stop.wait()
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
