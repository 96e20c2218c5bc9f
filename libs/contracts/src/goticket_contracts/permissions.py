"""RabbitMQ permissions of each service's user, derived from the topology. No I/O.

The names are RabbitMQ's: a regular expression of the resources that a user may *configure*
(declare, delete), *write* (publish to, bind a queue) and *read* (consume, purge, bind to an
exchange). Topic permissions restrict the routing keys on EXCHANGE.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from goticket_contracts.event_types import EVENT_CANCELLED, EVENT_PUBLISHED, EVENT_UPDATED
from goticket_contracts.topology import TOPOLOGY, Topology

NOTHING: Final = "^$"
SERVER_NAMED: Final = r"^amq\.gen-.*$"
"""The names that the broker gives to exclusive queues. Only their connection can use them."""

BROADCASTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"gateway": (EVENT_PUBLISHED, EVENT_UPDATED, EVENT_CANCELLED)}
)
"""Types of the messages that every process of a service receives in an exclusive
queue of its own, by service."""


@dataclass(frozen=True)
class BrokerPermissions:
    """Regular expressions of one user. `publish` and `bind` match routing keys on EXCHANGE."""

    configure: str
    write: str
    read: str
    publish: str
    bind: str


def permissions_of(
    service: str, *, publishes: bool, topology: Topology = TOPOLOGY
) -> BrokerPermissions:
    """Return the permissions of a service's user.

    A service that `publishes` may write messages of its own types to the exchange. A service may
    read its own queues, and move messages between them through their direct exchange. The
    topology itself is declared by an administrator, who alone may write to the default exchange:
    it reaches every queue.
    """
    own = [spec for spec in topology.queues if spec.owner == service]
    readable = [name for spec in own for name in (spec.name, spec.dead_letters)]
    writable = [spec.exchange for spec in own]
    if publishes:
        writable.append(topology.exchange)
    broadcasts = BROADCASTS.get(service, ())
    if broadcasts:
        readable.append(topology.exchange)
    return BrokerPermissions(
        configure=SERVER_NAMED if broadcasts else NOTHING,
        write=_one_of(writable, server_named=bool(broadcasts)),
        read=_one_of(readable, server_named=bool(broadcasts)),
        publish=rf"^goticket\.{re.escape(service)}\." if publishes else NOTHING,
        bind=_one_of(broadcasts, server_named=False),
    )


def _one_of(names: Iterable[str], *, server_named: bool) -> str:
    alternatives = [re.escape(name).replace(r"\-", "-") for name in names]
    if server_named:
        alternatives.append(SERVER_NAMED.strip("^$"))
    return f"^({'|'.join(alternatives)})$" if alternatives else NOTHING
