"""The address of a client, also behind proxies, and the key that its limits share."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

IPV6_PREFIX_BITS = 64
"""One subscriber has at least this network (RFC 6177), so its addresses count as one."""
MAX_HOPS = 20
"""Addresses of an X-Forwarded-For that are read."""
UNKNOWN = "unknown"
_CACHED_CLIENTS = 4096
_CACHED_CHARACTERS = 256
"""Longer X-Forwarded-For fields are not cached."""
CLIENTS_BYTES = _CACHED_CLIENTS * 1024
"""Memory of all cached clients at most."""


@dataclass(frozen=True, slots=True)
class Client:
    """The address that sent a request, and what limits count: see `limit_key`."""

    address: str
    limit_key: str


class ClientAddresses:
    """Finds the clients of requests; `trusted` are the networks of the proxies."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._cached = functools.lru_cache(_CACHED_CLIENTS)(self._find)

    def client(self, peer: str | None, forwarded_for: bytes) -> Client:
        """Return the client of a request; see `client_address`."""
        find = self._cached if len(forwarded_for) <= _CACHED_CHARACTERS else self._find
        return find(peer, forwarded_for)

    def _find(self, peer: str | None, forwarded_for: bytes) -> Client:
        address = client_address(peer, forwarded_for.decode("latin-1"), self._trusted)
        return Client(address, limit_key(address))


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks joined by commas, such as "127.0.0.0/8,::1".

    Raises:
        ValueError: one of them is not a network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the address of the client that sent a request.

    `peer` is the address of the connection. A trusted proxy appends the address of its own peer
    to X-Forwarded-For. So the client is the last address that is not a trusted proxy, and what a
    client itself wrote before it is ignored.
    """
    address = _parse(peer or "")
    if address is None:
        return UNKNOWN
    hops = forwarded_for.split(",")[-MAX_HOPS:] if forwarded_for else []
    while hops and any(address in network for network in trusted):
        named = _parse(hops.pop())
        if named is None:
            break  # not written by a proxy
        address = named
    return str(address)


def limit_key(address: str) -> str:
    """Return what limits count: an IPv4 address or an IPv6 network."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, IPV6_PREFIX_BITS), strict=False))
    return str(parsed) if parsed else UNKNOWN


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]  # IPv4 with a port
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
