"""The address of a client, also behind proxies, and the key that its limits share."""

import functools
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

IPV6_PREFIX_BYTES = 8
"""One subscriber has at least this network (RFC 6177), so its addresses count as one."""
MAX_HOPS = 20
"""Addresses of an X-Forwarded-For that are read."""
UNKNOWN = "unknown"
_IPV4_BYTES = 4
_MAPPED = bytes(10) + b"\xff\xff"
"""Prefix of an IPv4 address that is written as IPv6 (RFC 4291, section 2.5.5.2)."""
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
    """Finds the clients of requests; `trusted` are the networks of the proxies.

    Addresses are parsed by the C library, in a tenth of the time of `ipaddress`: during a sale
    most requests come from an address that was not seen before.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = [
            (network.max_prefixlen // 8, int(network.netmask), int(network.network_address))
            for network in trusted
        ]
        self._cached = functools.lru_cache(_CACHED_CLIENTS)(self._find)

    def client(self, peer: str | None, forwarded_for: bytes) -> Client:
        """Return the client that sent a request.

        `peer` is the address of the connection. A trusted proxy appends the address of its own
        peer to X-Forwarded-For. So the client is the last address that is not a trusted proxy,
        and what a client itself wrote before it is ignored.
        """
        find = self._cached if len(forwarded_for) <= _CACHED_CHARACTERS else self._find
        return find(peer, forwarded_for)

    def _find(self, peer: str | None, forwarded_for: bytes) -> Client:
        address = _parse(peer or "")
        if address is None:
            return Client(UNKNOWN, UNKNOWN)
        text = forwarded_for.decode("latin-1")
        hops = text.split(",")[-MAX_HOPS:] if text else []
        while hops and self._is_trusted(address):
            named = _parse(hops.pop())
            if named is None:
                break  # not written by a proxy
            address = named
        return Client(_text(address), _limit_key(address))

    def _is_trusted(self, address: bytes) -> bool:
        number = int.from_bytes(address)
        return any(
            len(address) == size and number & mask == network
            for size, mask, network in self._trusted
        )


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks joined by commas, such as "127.0.0.0/8,::1".

    Raises:
        ValueError: one of them is not a network.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def limit_key(address: str) -> str:
    """Return what limits count: an IPv4 address or an IPv6 network."""
    parsed = _parse(address)
    return UNKNOWN if parsed is None else _limit_key(parsed)


def _limit_key(address: bytes) -> str:
    if len(address) == _IPV4_BYTES:
        return _text(address)
    return _text(address[:IPV6_PREFIX_BYTES] + bytes(IPV6_PREFIX_BYTES)) + "/64"


def _text(address: bytes) -> str:
    family = socket.AF_INET if len(address) == _IPV4_BYTES else socket.AF_INET6
    return socket.inet_ntop(family, address)


def _parse(text: str) -> bytes | None:
    """Return the bytes of an address with an optional port or zone; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]  # IPv4 with a port
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        address = socket.inet_pton(family, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return address.removeprefix(_MAPPED) if len(address) > _IPV4_BYTES else address
