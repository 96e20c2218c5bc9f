"""The whole system as chaos wants it: two doors, two bookings, and two roads to block."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from goticket_local.ports import free_ports
from goticket_local.process import Process
from goticket_local.stack.services import HOST

from goticket_testing.backend import RabbitBackend, RedisBackend
from goticket_testing.chaos.road import Road
from goticket_testing.databases import Postgres
from goticket_testing.stack import DATABASE, VHOST, RunningStack

HOLD_SECONDS = 4
SECOND_BOOKING, SECOND_GATEWAY = "booking serve 2", "gateway serve 2"


class ChaosStack(RunningStack):
    """A second gateway leads to a second booking server: requests of one event race.

    Holds last `HOLD_SECONDS`; letters go over `mail_road`, and what the second gateway
    asks of the second booking server goes over `booking_road`.
    """

    def __init__(
        self, folder: Path, postgres: Postgres, redis: RedisBackend, rabbitmq: RabbitBackend
    ) -> None:
        super().__init__(folder, postgres, redis, rabbitmq)
        booking, booking_ops, gateway, gateway_ops, to_booking, to_inbox = free_ports(6)
        self.mail_road = Road(to_inbox, self.inbox.smtp_port)
        self.booking_road = Road(to_booking, booking)
        self._add(
            SECOND_BOOKING, "booking serve", booking_ops, {"GRPC_LISTEN": f"{HOST}:{booking}"}
        )
        self._add(
            SECOND_GATEWAY,
            "gateway serve",
            gateway_ops,
            {"LISTEN": f"{HOST}:{gateway}", "BOOKING_TARGET": f"{HOST}:{to_booking}"},
        )
        self.doors = (self.base_url, f"http://{HOST}:{gateway}")
        for name in ("booking serve", SECOND_BOOKING):
            self.process(name).env["BOOKING_HOLD_SECONDS"] = str(HOLD_SECONDS)
        self.process("notification worker").env["NOTIFICATION_SMTP_PORT"] = str(to_inbox)

    def set_up(self) -> None:
        """Create database and virtual host, migrate and start; nobody here needs an account."""
        self.postgres.create_database(DATABASE)
        self.rabbitmq.add_vhost(VHOST)
        self.migrate()
        for road in self.roads:
            road.start()
        self.start()

    def heal(self) -> None:
        """Open the roads and start whatever is not running; wait until all is ready."""
        for road in self.roads:
            road.delay = 0
        super().heal()

    def discard(self) -> None:
        """End everything at once: nothing of it is wanted any more."""
        for name in self.services:
            self.kill(name)
        self.inbox.stop()
        for road in self.roads:
            road.stop()

    @property
    def roads(self) -> tuple[Road, Road]:
        """Both roads."""
        return self.mail_road, self.booking_road

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
