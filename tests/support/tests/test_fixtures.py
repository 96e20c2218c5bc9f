"""The fixtures every integration test relies on."""

import smtplib

import aio_pika
import asyncpg
import pytest
from goticket_local.mailbox.process import MailboxProcess
from goticket_testing.databases import Postgres
from redis.asyncio import Redis


async def test_a_role_can_use_only_its_own_schema(postgres_server: Postgres) -> None:
    postgres_server.create_database("roles")
    connection = await asyncpg.connect(postgres_server.dsn("booking", "roles"))
    try:
        await connection.execute("CREATE TABLE booking.mine (id int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE identity.theirs (id int)")
    finally:
        await connection.close()
    await postgres_server.drop("roles")


async def test_postgres_keeps_committed_rows_through_a_kill(postgres_server: Postgres) -> None:
    postgres_server.create_database("survivor")
    dsn = postgres_server.superuser_dsn("survivor")
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    postgres_server.kill()
    connection.terminate()
    postgres_server.start()
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT id FROM kept") == 1
    finally:
        await connection.close()
    await postgres_server.drop("survivor")


async def test_redis_starts_empty(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "behind")


async def test_redis_is_another_database_for_the_next_test(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        assert await client.get("left") is None


async def test_a_virtual_host_delivers_messages(amqp_url: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("mine")
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), "mine")
        message = await queue.get(timeout=5)
        assert message is not None
        assert message.body == b"hello"
        await message.ack()


async def test_the_next_virtual_host_is_empty(amqp_url: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.get_queue("mine")


def test_the_mailbox_stores_a_sent_mail(smtp_mailbox: MailboxProcess) -> None:
    with smtplib.SMTP(smtp_mailbox.host, smtp_mailbox.port) as client:
        client.sendmail(
            "a@goticket.example", "b@goticket.example", b"Subject: Hello\r\n\r\nYou\r\n"
        )
    (mail,) = smtp_mailbox.messages("to:b@goticket.example")
    assert smtp_mailbox.message(mail["ID"])["Text"].strip() == "You"


def test_the_mailbox_of_the_next_test_is_empty(smtp_mailbox: MailboxProcess) -> None:
    assert smtp_mailbox.messages() == []
