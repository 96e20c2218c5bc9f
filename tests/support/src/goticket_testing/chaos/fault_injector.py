"""Injects the faults of a plan and keeps a timeline."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from goticket_testing.backend import Server
from goticket_testing.chaos.faults import (
    disconnect_postgres,
    disconnect_rabbitmq,
    disconnect_redis,
    freeze,
    redeliver,
    signal_tree,
    unfreeze,
)
from goticket_testing.chaos.plan import (
    EVENT_LOG,
    POSTGRES,
    RABBITMQ,
    REDIS,
    SMTP_PROXY,
    Fault,
    FaultKind,
)
from goticket_testing.chaos.records import DuplicateWindow
from goticket_testing.chaos.stack import NOTIFICATION, ChaosStack
from goticket_testing.chaos.tcp_proxy import TcpProxy

AFTERMATH_SECONDS = 15.0
"""A fault may cause a repeated e-mail until this long after its end: the longest timeout."""
STREAM_SETTLE_SECONDS = 5.0
"""The broker must be up for this long before it is killed. RabbitMQ 3.10 can lose a stream
permanently when it is killed within seconds of the stream's declaration."""
DELAY_SECONDS = 0.3
"""Delay of every chunk through a slow proxy."""
MAY_REPEAT_EMAILS = {POSTGRES, SMTP_PROXY, NOTIFICATION}
"""Targets whose faults can come between SMTP's acceptance of an e-mail and its record."""


class FaultInjector:
    """Injects faults, at most one at a time per target, and keeps a timeline."""

    def __init__(
        self, stack: ChaosStack, log: Callable[[str], None], timeline: list[str] | None = None
    ) -> None:
        self._stack = stack
        self._log = log
        self._servers: dict[str, Server] = {
            POSTGRES: stack.postgres.server,
            RABBITMQ: stack.rabbitmq,
            REDIS: stack.redis,
        }
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._last_fault_ended: dict[str, float] = {}
        self._began = time.monotonic()
        self.timeline: list[str] = [] if timeline is None else timeline
        self.duplicate_windows: list[DuplicateWindow] = []
        self.unexpected_exits: list[str] = []
        """Processes that ended although no fault ended them, with the ends of their logs."""

    async def run(self, faults: Sequence[Fault]) -> None:
        """Inject every fault and detect unexpected exits; return when the last fault is over."""
        self._began = time.monotonic()
        monitor = asyncio.create_task(self._monitor_processes())
        try:
            async with asyncio.TaskGroup() as tasks:
                for fault in faults:
                    tasks.create_task(self._inject_at_its_time(fault))
        finally:
            monitor.cancel()
            await asyncio.wait([monitor])
        self._restart_unexpected_exits()

    async def heal(self) -> None:
        """Restore every process, server and proxy."""
        self.record("healing")
        await asyncio.to_thread(self._stack.heal)
        self.record("everything is ready")

    def record(self, text: str) -> None:
        """Add a line to the timeline."""
        line = f"{time.monotonic() - self._began:7.2f} s  {text}"
        self.timeline.append(line)
        self._log(line)

    async def _inject_at_its_time(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._began + fault.at - time.monotonic()))
        # Redelivery needs the broker, so the two share a lock.
        async with self._locks[RABBITMQ if fault.target == EVENT_LOG else fault.target]:
            if fault.target == RABBITMQ:
                up_since = self._last_fault_ended.get(RABBITMQ, self._began)
                up_for = time.monotonic() - up_since
                await asyncio.sleep(max(0.0, STREAM_SETTLE_SECONDS - up_for))
            await self.inject(fault)

    async def inject(self, fault: Fault) -> None:
        """Inject one fault; return when it is over."""
        began = time.time()
        self.record(str(fault))
        try:
            await self._apply(fault)
        finally:
            self._last_fault_ended[fault.target] = time.monotonic()
            if fault.target in MAY_REPEAT_EMAILS:
                ended = time.time() + AFTERMATH_SECONDS
                self.duplicate_windows.append(DuplicateWindow(began, ended))
        self.record(f"{fault.target}: over")

    def _apply(self, fault: Fault) -> Awaitable[None]:
        if proxy := self._stack.proxies.get(fault.target):
            return _disturb_proxy(proxy, fault)
        if fault.target == EVENT_LOG:
            return redeliver(self._stack.amqp_url)
        if fault.kind is FaultKind.DISCONNECT:
            return self._disconnect(fault.target)
        if server := self._servers.get(fault.target):
            return _disturb_server(server, fault)
        return self._disturb_process(fault)

    async def _disconnect(self, target: str) -> None:
        stack = self._stack
        if target == POSTGRES:
            await disconnect_postgres(stack.superuser_url())
        elif target == REDIS:
            await asyncio.to_thread(disconnect_redis, stack.redis)
        else:
            await asyncio.to_thread(disconnect_rabbitmq, stack.rabbitmq)

    async def _disturb_process(self, fault: Fault) -> None:
        process = self._stack.process(fault.target)
        if fault.kind is FaultKind.FREEZE:
            signal_tree(process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                signal_tree(process.pid, signal.SIGCONT)
            return
        end = process.kill if fault.kind is FaultKind.KILL else process.stop
        await asyncio.to_thread(end)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(process.start)

    async def _monitor_processes(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._restart_unexpected_exits()

    def _restart_unexpected_exits(self) -> None:
        for name in self._stack.process_configs:
            process = self._stack.process(name)
            if not process.alive and not self._locks[name].locked():
                self.unexpected_exits.append(f"{name} ended by itself:\n{process.log_tail()}")
                self.record(f"{name} ENDED UNEXPECTEDLY; started again")
                process.start()


async def _disturb_proxy(proxy: TcpProxy, fault: Fault) -> None:
    match fault.kind:
        case FaultKind.DISCONNECT:
            proxy.drop_connections()
            return
        case FaultKind.REFUSE:
            proxy.refusing = True
            proxy.drop_connections()
        case _:
            proxy.delay = DELAY_SECONDS
    await asyncio.sleep(fault.seconds)
    proxy.reset()


async def _disturb_server(server: Server, fault: Fault) -> None:
    if fault.kind is FaultKind.FREEZE:
        await asyncio.to_thread(freeze, server)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            await asyncio.to_thread(unfreeze, server)
        return
    await asyncio.to_thread(server.kill if fault.kind is FaultKind.KILL else server.stop)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(server.start)
