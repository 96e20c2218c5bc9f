"""The hands that carry a plan out, and keep the timeline of it."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from goticket_testing.backend import Server
from goticket_testing.chaos.deeds import (
    cut_off_postgres,
    cut_off_rabbitmq,
    cut_off_redis,
    freeze,
    redeliver,
    signal_family,
    thaw,
)
from goticket_testing.chaos.plan import (
    BOOKING_ROAD,
    EVENTS,
    MAIL_ROAD,
    POSTGRES,
    RABBITMQ,
    REDIS,
    Fault,
    Kind,
)
from goticket_testing.chaos.records import Disturbance
from goticket_testing.chaos.road import Road
from goticket_testing.chaos.stack import ChaosStack

AFTERMATH_SECONDS = 15.0
"""How long after its end a fault may still excuse a repeated letter: the timeouts it ran into."""
SETTLED_SECONDS = 5.0
"""How long a broker has to be up before it is killed: RabbitMQ 3.10 can lose a stream for good
when it dies within seconds of the stream's declaration."""
SLOW_SECONDS = 0.3
"""What every chunk takes on a road that is slow."""
CUTS_LETTERS = {POSTGRES, MAIL_ROAD, "notification worker"}
"""Whose faults may come between the mail server's yes and the note of it."""


class Saboteur:
    """Carries faults out, one at a time for each target, and keeps a timeline."""

    def __init__(
        self, stack: ChaosStack, say: Callable[[str], None], timeline: list[str] | None = None
    ) -> None:
        self._stack = stack
        self._say = say
        self._servers: dict[str, Server] = {
            POSTGRES: stack.postgres.server,
            RABBITMQ: stack.rabbitmq,
            REDIS: stack.redis,
        }
        self._roads = {MAIL_ROAD: stack.mail_road, BOOKING_ROAD: stack.booking_road}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._since: dict[str, float] = {}
        self._began = time.monotonic()
        self.timeline: list[str] = [] if timeline is None else timeline
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
        await asyncio.to_thread(self._stack.heal)
        self.note("all is well again")

    def note(self, text: str) -> None:
        """Put a line on the timeline."""
        line = f"{time.monotonic() - self._began:7.2f} s  {text}"
        self.timeline.append(line)
        self._say(line)

    async def _in_its_time(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._began + fault.at - time.monotonic()))
        # Events come from the broker: what is done to both is done one after the other.
        async with self._locks[RABBITMQ if fault.target == EVENTS else fault.target]:
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
        if road := self._roads.get(fault.target):
            return _block(road, fault)
        if fault.target == EVENTS:
            return redeliver(self._stack.amqp_url)
        if fault.kind is Kind.DISCONNECT:
            return self._cut_off(fault.target)
        if server := self._servers.get(fault.target):
            return _hurt_server(server, fault)
        return self._hurt_process(fault)

    async def _cut_off(self, target: str) -> None:
        stack = self._stack
        if target == POSTGRES:
            await cut_off_postgres(stack.superuser_url())
        elif target == REDIS:
            await asyncio.to_thread(cut_off_redis, stack.redis)
        else:
            await asyncio.to_thread(cut_off_rabbitmq, stack.rabbitmq)

    async def _hurt_process(self, fault: Fault) -> None:
        process = self._stack.process(fault.target)
        if fault.kind is Kind.FREEZE:
            signal_family(process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                signal_family(process.pid, signal.SIGCONT)
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


async def _block(road: Road, fault: Fault) -> None:
    if fault.kind is Kind.DISCONNECT:
        road.cut()
        return
    road.delay = SLOW_SECONDS
    await asyncio.sleep(fault.seconds)
    road.delay = 0


async def _hurt_server(server: Server, fault: Fault) -> None:
    if fault.kind is Kind.FREEZE:
        await asyncio.to_thread(freeze, server)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            await asyncio.to_thread(thaw, server)
        return
    await asyncio.to_thread(server.kill if fault.kind is Kind.KILL else server.stop)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.start)
