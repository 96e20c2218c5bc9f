"""The whole system as chaos wants it: two doors, two bookings, and a mail road to block."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from goticket_local.ports import free_ports
from goticket_local.process import Process
from goticket_local.stack.services import HOST

from goticket_testing.backend import RabbitBackend, RedisBackend
from goticket_testing.chaos.mail_road import MailRoad
from goticket_testing.databases import Postgres
from goticket_testing.stack import RunningStack

HOLD_SECONDS = 4
SECOND_BOOKING, SECOND_GATEWAY = "booking serve 2", "gateway serve 2"


class ChaosStack(RunningStack):
    """A second gateway leads to a second booking server: requests of one event race.

    Holds last `HOLD_SECONDS`; letters go over `mail_road`.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, redis: RedisBackend, rabbitmq: RabbitBackend
    ) -> None:
        super().__init__(folder, postgres, redis, rabbitmq)
        booking, booking_ops, gateway, gateway_ops, road = free_ports(5)
        self.mail_road = MailRoad(road, self.inbox.smtp_port)
        self._add(
            SECOND_BOOKING, "booking serve", booking_ops, {"GRPC_LISTEN": f"{HOST}:{booking}"}
        )
        self._add(
            SECOND_GATEWAY,
            "gateway serve",
            gateway_ops,
            {"LISTEN": f"{HOST}:{gateway}", "BOOKING_TARGET": f"{HOST}:{booking}"},
        )
        self.doors = (self.base_url, f"http://{HOST}:{gateway}")
        for name in ("booking serve", SECOND_BOOKING):
            self.process(name).env["BOOKING_HOLD_SECONDS"] = str(HOLD_SECONDS)
        self.process("notification worker").env["NOTIFICATION_SMTP_PORT"] = str(road)

    def set_up(self) -> None:
        """Start everything."""
        self.mail_road.start()
        super().set_up()

    def stop_all(self) -> list[str]:
        """Stop everything; returns the names of those that had to be killed."""
        try:
            return super().stop_all()
        finally:
            self.mail_road.stop()

    def _add(self, name: str, like: str, ops_port: int, settings: Mapping[str, str]) -> None:
        """Add another process of a kind, on ports of its own."""
        first = self.process(like)
        model = self.services[like]
        service = replace(model, ops_port=ops_port, settings={**model.settings, **settings})
        self.services[name] = service
        self._processes[name] = Process(
            name,
            first.argv,
            env=first.env | service.environment,
            run_dir=first.pid_file.parent,
            log=first.log.with_name(f"{name.replace(' ', '-')}.log"),
        )
