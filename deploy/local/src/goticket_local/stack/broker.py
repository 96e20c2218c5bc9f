"""Users, permissions and topology of the services in a virtual host of RabbitMQ."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote

from goticket_contracts.permissions import permissions_of
from goticket_contracts.topology import TOPOLOGY
from goticket_platform.messaging.broker import set_up_topology

from goticket_local.manifest import Service, broker_users


class Broker(Protocol):
    """A RabbitMQ node with an administrator's access."""

    def amqp_url(self, vhost: str = "/", user: tuple[str, str] | None = None) -> str:
        """The URL for a user (name and password); None for the administrator."""
        ...

    def add_vhost(self, name: str) -> None:
        """Create a virtual host unless it exists."""
        ...

    def api(self, method: str, path: str, body: object = None) -> bytes:
        """Call the management API. Raises `OSError` for status 400 or above."""
        ...


def service_urls(
    broker: Broker, vhost: str, services: tuple[Service, ...], passwords: Mapping[str, str]
) -> dict[str, str]:
    """The URL of each service's user, by the service's name."""
    return {
        name: broker.amqp_url(vhost, (name, passwords[name])) for name in broker_users(services)
    }


def bootstrap_broker(
    broker: Broker, vhost: str, services: tuple[Service, ...], passwords: Mapping[str, str]
) -> None:
    """Create the virtual host, a user for each service, and the topology.

    A user may use the virtual host only as `permissions_of` its service allows. Running it again
    changes only passwords and permissions, and several may run at once.

    Raises:
        OSError: the management API refuses.
        TopologyMismatch: a queue or exchange exists with other settings.
    """
    _repeat_once(lambda: broker.add_vhost(vhost))
    users = set(broker_users(services))
    for service in services:
        if service.name in users:
            _create_user(broker, vhost, service, passwords[service.name])
    asyncio.run(set_up_topology(broker.amqp_url(vhost), TOPOLOGY))


def _create_user(broker: Broker, vhost: str, service: Service, password: str) -> None:
    publishes = service.database is not None and "outbox" in service.database.messaging
    permissions = permissions_of(service.name, publishes=publishes)
    place = f"{quote(vhost, safe='')}/{service.name}"
    _put(broker, f"/api/users/{service.name}", {"password": password, "tags": ""})
    # Without topic permissions every routing key is allowed, so they come first.
    topics = {"exchange": TOPOLOGY.exchange, "write": permissions.publish, "read": permissions.bind}
    _put(broker, f"/api/topic-permissions/{place}", topics)
    rights = {
        "configure": permissions.configure,
        "write": permissions.write,
        "read": permissions.read,
    }
    _put(broker, f"/api/permissions/{place}", rights)


def _put(broker: Broker, path: str, body: Mapping[str, str]) -> None:
    _repeat_once(lambda: broker.api("PUT", path, body))


def _repeat_once(action: Callable[[], object]) -> None:
    """Create or change something in the broker.

    If another process creates it between the broker's look-up and its insert, the broker answers
    that it exists. Then the repeat changes it.
    """
    try:
        action()
    except OSError:
        action()
