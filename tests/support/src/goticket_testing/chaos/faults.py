"""What goes wrong when: a plan made from a seed, and the hands that carry it out."""

import asyncio
import itertools
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import aio_pika
import asyncpg
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from goticket_contracts.topology import TOPOLOGY

from goticket_testing.backend import Server
from goticket_testing.chaos.records import Disturbance
from goticket_testing.chaos.snapshot import read_log
from goticket_testing.chaos.stack import ChaosStack

AFTERMATH_SECONDS = 15.0
"""How long after its end a fault may still excuse a repeated letter: the timeouts it ran into."""
SETTLED_SECONDS = 5.0
"""How long a broker has to be up before it is killed: RabbitMQ 3.10 can lose a stream for good
when it dies within seconds of the stream's declaration."""
POSTGRES, RABBITMQ, REDIS, MAIL = "postgres", "rabbitmq", "redis", "mail road"
SERVERS = (POSTGRES, RABBITMQ, REDIS)
CUTS_LETTERS = {POSTGRES, MAIL, "notification worker"}
"""Whose faults may come between the mail server's yes and the note of it."""


class Kind(StrEnum):
    """What can be done to a target."""

    KILL = "kill -9, start again"
    RESTART = "stop, start again"
    FREEZE = "SIGSTOP, SIGCONT"
    DISCONNECT = "drop every connection"
    REDELIVER = "deliver the last events again"
    SLOW = "slow down"


KINDS = {
    POSTGRES: (Kind.KILL, Kind.RESTART, Kind.FREEZE, Kind.DISCONNECT),
    RABBITMQ: (Kind.KILL, Kind.RESTART, Kind.FREEZE, Kind.REDELIVER),
    REDIS: (Kind.KILL, Kind.RESTART, Kind.FREEZE),
    MAIL: (Kind.SLOW, Kind.DISCONNECT),
}
OF_PROCESSES = (Kind.KILL, Kind.KILL, Kind.RESTART, Kind.FREEZE)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong `at` seconds after the start, for some `seconds`."""

    at: float
    target: str
    kind: Kind
    seconds: float

    def __str__(self) -> str:
        return f"{self.target}: {self.kind} ({self.seconds:.1f} s)"


def plan(seed: int, seconds: float, processes: Sequence[str]) -> list[Fault]:
    """Return the faults of a run, the same for the same arguments.

    Round after round every target has its turn, in an order of its own.
    """
    rng = random.Random(seed)
    targets = [*SERVERS, MAIL, *processes]
    gap = min(seconds / (len(targets) + 1), 3.0)
    longest = min(8.0, seconds / 6)
    faults: list[Fault] = []
    at = 0.0
    for target in _rounds(rng, targets):
        at += gap * rng.uniform(0.6, 1.4)
        if at >= seconds:
            return faults
        kind = rng.choice(KINDS.get(target, OF_PROCESSES))
        # Mostly short; now and then longer than the timeouts on the way.
        duration = rng.choice([rng.uniform(0.2, 2.0), rng.uniform(0.2, 2.0), longest])
        faults.append(Fault(round(at, 2), target, kind, round(duration, 2)))
    raise AssertionError("rounds never end")


def _rounds(rng: random.Random, targets: Sequence[str]) -> Iterator[str]:
    for _ in itertools.count():
        yield from rng.sample(targets, len(targets))


class Saboteur:
    """Carries faults out, one at a time for each target, and keeps a timeline."""

    def __init__(self, stack: ChaosStack, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._say = say
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._since: dict[str, float] = {}
        self._began = time.monotonic()
        self.timeline: list[str] = []
        self.disturbances: list[Disturbance] = []
        self.deserters: list[str] = []
        """Processes that ended without anybody having ended them."""

    async def run(self, faults: Sequence[Fault]) -> None:
        """Do it all; returns when the last fault is over. Watches meanwhile who dies by itself."""
        self._began = time.monotonic()
        watch = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as tasks:
                for fault in faults:
                    tasks.create_task(self._in_its_time(fault))
        finally:
            watch.cancel()
            await asyncio.wait([watch])
        self._look_for_deserters()

    async def heal(self) -> None:
        """Bring everything back."""
        self.note("healing")
        self._stack.mail_road.delay = 0
        await asyncio.to_thread(self._stack.heal)
        self.note("all is well again")

    def note(self, text: str) -> None:
        """Put a line on the timeline."""
        line = f"{time.monotonic() - self._began:7.2f} s  {text}"
        self.timeline.append(line)
        self._say(line)

    async def _in_its_time(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._began + fault.at - time.monotonic()))
        async with self._locks[fault.target]:
            if fault.target == RABBITMQ:
                up_for = time.monotonic() - self._since.get(RABBITMQ, self._began)
                await asyncio.sleep(max(0.0, SETTLED_SECONDS - up_for))
            await self.inflict(fault)

    async def inflict(self, fault: Fault) -> None:
        """Do one fault, from its begin to its end."""
        began = time.time()
        self.note(str(fault))
        try:
            await self._deed(fault)
        finally:
            self._since[fault.target] = time.monotonic()
            if fault.target in CUTS_LETTERS:
                over = time.time() + AFTERMATH_SECONDS
                self.disturbances.append(Disturbance(began, over))
        self.note(f"{fault.target}: over")

    def _deed(self, fault: Fault) -> Awaitable[None]:
        stack = self._stack
        servers: dict[str, Server] = {
            POSTGRES: stack.postgres.server,
            RABBITMQ: stack.rabbitmq,
            REDIS: stack.redis,
        }
        if fault.target == MAIL:
            return self._block_mail(fault)
        if fault.kind is Kind.DISCONNECT:
            return self._drop_database_connections()
        if fault.kind is Kind.REDELIVER:
            return redeliver(stack.amqp_url)
        if fault.target in servers:
            return _hurt_server(servers[fault.target], fault)
        return self._hurt_process(fault)

    async def _block_mail(self, fault: Fault) -> None:
        road = self._stack.mail_road
        if fault.kind is Kind.DISCONNECT:
            road.cut()
            return
        road.delay = 0.3
        await asyncio.sleep(fault.seconds)
        road.delay = 0

    async def _drop_database_connections(self) -> None:
        try:
            connection = await asyncpg.connect(self._stack.superuser_url(), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()

    async def _hurt_process(self, fault: Fault) -> None:
        process = self._stack.process(fault.target)
        if fault.kind is Kind.FREEZE:
            for pid in _family(process.pid):
                _signal(pid, signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            for pid in _family(process.pid):
                _signal(pid, signal.SIGCONT)
            return
        end = process.kill if fault.kind is Kind.KILL else process.stop
        await asyncio.to_thread(end)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(process.start)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._look_for_deserters()

    def _look_for_deserters(self) -> None:
        for name in self._stack.services:
            process = self._stack.process(name)
            if not process.alive and not self._locks[name].locked():
                self.deserters.append(f"{name} ended by itself:\n{process.log_tail()}")
                self.note(f"{name} HAS ENDED BY ITSELF; started again")
                process.start()


async def redeliver(amqp_url: str, most: int = 500) -> None:
    """Publish the last events of the log once more, as at-least-once delivery may."""
    try:
        connection = await aio_pika.connect(amqp_url, timeout=5)
        async with connection, asyncio.timeout(20):
            channel = await connection.channel()
            messages = (await read_log(channel, seconds=2))[-most:]
            exchange = await channel.get_exchange(TOPOLOGY.exchange)
            for message in messages:
                copy = aio_pika.Message(
                    message.body,
                    headers={k: v for k, v in message.headers.items() if not k.startswith("x-")},
                    content_type=message.content_type,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=message.message_id,
                    type=message.type,
                    timestamp=message.timestamp,
                )
                await exchange.publish(copy, str(message.headers["cloudEvents:type"]))
    except (OSError, aio_pika.exceptions.AMQPError, TimeoutError):
        return  # the broker is away: then there is nothing to deliver twice


async def _hurt_server(server: Server, fault: Fault) -> None:
    if fault.kind is Kind.FREEZE:
        await asyncio.to_thread(freeze, server)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(thaw, server)
        return
    await asyncio.to_thread(server.kill if fault.kind is Kind.KILL else server.stop)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.start)


def freeze(server: Server) -> None:
    """Stop a server where it stands, with all its children; in a container, the container."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().pause()
        return
    for pid in _family(getattr(server, "pid", None)):
        _signal(pid, signal.SIGSTOP)


def thaw(server: Server) -> None:
    """Let it go on."""
    if container := getattr(server, "container", None):
        container.get_wrapped_container().unpause()
        return
    for pid in _family(getattr(server, "pid", None)):
        _signal(pid, signal.SIGCONT)


def _family(pid: int | None) -> list[int]:
    """A process and its descendants, the parent first: it can start no others then."""
    if pid is None:
        return []
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [pid, *(child.pid for child in children)]


def _signal(pid: int, sig: signal.Signals) -> None:
    try:
        psutil.Process(pid).send_signal(sig)
    except psutil.NoSuchProcess:
        return
