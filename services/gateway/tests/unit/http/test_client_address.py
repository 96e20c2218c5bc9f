"""The client's address comes from X-Forwarded-For only as far as proxies are trusted."""

import pytest
from gateway.http.client_address import (
    UNKNOWN,
    ClientAddresses,
    limit_key,
    parse_networks,
)

LOOPBACK = parse_networks("127.0.0.0/8, ::1, 10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # the peer is not trusted
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the client wrote the first
        ("127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"),  # two trusted proxies
        ("127.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("127.0.0.1", "198.51.100.1, nonsense", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 10.1", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 198.51.100.\u00b2", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 198.51\x00.100.2", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, ", "127.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("127.0.0.1", "198.51.100.1:443", "198.51.100.1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", "", "fe80::1"),
        (None, "198.51.100.1", UNKNOWN),
        ("unix:", "198.51.100.1", UNKNOWN),
        ("127.0.0.1", ",".join(["198.51.100.1"] + ["10.0.0.1"] * 100), "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_untrusted_hop(
    peer: str | None, forwarded: str, expected: str
) -> None:
    client = ClientAddresses(LOOPBACK).client(peer, forwarded.encode())
    assert client.address == expected
    assert client.limit_key == limit_key(expected)


def test_addresses_of_one_ipv6_network_share_their_limits() -> None:
    assert limit_key("2001:db8:1:2:3::4") == limit_key("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert limit_key("2001:db8:1:3::4") != limit_key("2001:db8:1:2::4")
    assert limit_key("198.51.100.1") == limit_key("::ffff:198.51.100.1") == "198.51.100.1"


def test_a_malformed_network_is_an_error() -> None:
    assert parse_networks("") == ()
    with pytest.raises(ValueError, match="does not appear"):
        parse_networks("127.0.0.1/8/9")
