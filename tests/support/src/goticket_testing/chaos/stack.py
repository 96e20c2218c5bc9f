"""The system under chaos: two gateways, two booking servers, and proxies on three connections."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from goticket_local.ports import free_ports
from goticket_local.process import Process
from goticket_local.stack.config import HOST

from goticket_testing.backend import RabbitBackend, RedisBackend
from goticket_testing.chaos.plan import BOOKING_PROXY, NOTIFICATION_DATA_PROXY, SMTP_PROXY
from goticket_testing.chaos.tcp_proxy import TcpProxy
from goticket_testing.databases import Postgres
from goticket_testing.stack import RunningStack

HOLD_SECONDS = 4
BOOKING, SECOND_BOOKING = "booking serve", "booking serve 2"
GATEWAY, SECOND_GATEWAY = "gateway serve", "gateway serve 2"
NOTIFICATION = "notification worker"


class ChaosStack(RunningStack):
    """Two gateways call two booking servers, so that requests for one event race.

    Holds last `HOLD_SECONDS`. Proxies carry e-mails to SMTP, the calls of the second
    gateway to the second booking server, and notification's calls to the first one.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, redis: RedisBackend, rabbitmq: RabbitBackend
    ) -> None:
        super().__init__(folder, postgres, redis, rabbitmq)
        booking, booking_ops, gateway, gateway_ops, *proxies = free_ports(7)
        first_booking = int(self._setting(BOOKING, "GRPC_LISTEN").rpartition(":")[2])
        targets = {
            SMTP_PROXY: self.mailbox.smtp_port,
            BOOKING_PROXY: booking,
            NOTIFICATION_DATA_PROXY: first_booking,
        }
        self.proxies = {
            name: TcpProxy(port, target)
            for port, (name, target) in zip(proxies, targets.items(), strict=True)
        }
        self._add(SECOND_BOOKING, BOOKING, booking_ops, {"GRPC_LISTEN": f"{HOST}:{booking}"})
        self._add(
            SECOND_GATEWAY,
            GATEWAY,
            gateway_ops,
            {
                "LISTEN": f"{HOST}:{gateway}",
                "BOOKING_TARGET": f"{HOST}:{self.proxies[BOOKING_PROXY].port}",
            },
        )
        self.gateway_urls = (self.base_url, f"http://{HOST}:{gateway}")
        for name in (BOOKING, SECOND_BOOKING):
            self.process(name).env["BOOKING_HOLD_SECONDS"] = str(HOLD_SECONDS)
        data_proxy = self.proxies[NOTIFICATION_DATA_PROXY]
        self.process(NOTIFICATION).env |= {
            "NOTIFICATION_SMTP_PORT": str(self.proxies[SMTP_PROXY].port),
            "NOTIFICATION_BOOKING_TARGET": f"{HOST}:{data_proxy.port}",
        }

    def set_up(self) -> None:
        """Create database and virtual host, migrate and start, without the demo accounts."""
        self.set_up_servers()
        for proxy in self.proxies.values():
            proxy.start()
        self.start()

    def heal(self) -> None:
        """Reset the proxies, start what is not running, and wait until all is ready."""
        for proxy in self.proxies.values():
            proxy.reset()
        super().heal()

    def discard(self) -> None:
        """Kill every process and stop the proxies."""
        for name in self.process_configs:
            self.kill(name)
        self.mailbox.stop()
        for proxy in self.proxies.values():
            proxy.stop()

    def _setting(self, process: str, name: str) -> str:
        service = self.process_configs[process]
        return service.environment[f"{service.prefix}{name}"]

    def _add(self, name: str, like: str, ops_port: int, settings: Mapping[str, str]) -> None:
        """Add another process of a kind, with its own ports."""
        first = self.process(like)
        model = self.process_configs[like]
        service = replace(model, ops_port=ops_port, settings={**model.settings, **settings})
        self.process_configs[name] = service
        self._processes[name] = Process(
            name,
            first.argv,
            env=first.env | service.environment,
            run_dir=first.pid_file.parent,
            log=first.log.with_name(f"{name.replace(' ', '-')}.log"),
        )
