"""Which networks may be registered, and which of a name's addresses is used."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import addresses


@pytest.mark.parametrize("network", ["10.20.0.0/16", "203.0.113.7/32", "192.168.4.0/24", "2001:db8:1::/48"])
def test_a_participants_network_may_be_registered_private_or_public(network: str) -> None:
    assert addresses.check_registrable(network) == network


@pytest.mark.parametrize(
    "network",
    [
        *("127.0.0.1/32", "127.0.0.0/8", "::1/128", "0.0.0.0/0", "::/0", "128.0.0.0/1", "0.0.0.0/32"),
        *("::a00:5/128", "::/96", "::2/127", "fec0::/48", "100.100.100.200/32", "fd00:ec2::254/128", "192.88.99.0/24"),
        *("169.254.169.254/32", "224.0.0.0/8", "255.255.255.255/32", "fe80::/64", "::ffff:a00:0/104"),
        *("64:ff9b::7f00:1/128", "2002:7f00:1::/48", "10.9.0.0/16", "10.9.8.0/30"),
    ],
)
def test_a_forbidden_or_too_wide_network_is_never_registered(network: str) -> None:
    with pytest.raises(addresses.NetworkRefused) as caught:
        addresses.check_registrable(network, own_networks=("10.9.8.0/24",))
    assert caught.value.reason == "network.forbidden"


@pytest.mark.parametrize("network", ["10.0.0.0/15", "11.0.0.0/8", "2001:db8::/47", "fd12::/16"])
def test_a_range_wider_than_one_site_is_not_registered(network: str) -> None:
    with pytest.raises(addresses.NetworkRefused) as caught:
        addresses.check_registrable(network)
    assert caught.value.reason == "network.too_wide"


@pytest.mark.parametrize(
    "network",
    [
        *("", "bank.example", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8/8", "10.20.0.5", "010.20.0.0/16"),
        *("10.20.0.0/255.255.0.0", "10.20.0.0/0.0.255.255", "FD12::/48", "fd12:0::/48", "fe80::1%1/128", "10.20/16"),
    ],
)
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(addresses.NetworkRefused) as caught:
        addresses.check_registrable(network)
    assert caught.value.reason == "network.malformed"


def test_only_the_demo_profile_may_register_loopback_and_nothing_else_forbidden() -> None:
    assert addresses.check_registrable("127.0.0.1/32", allow_loopback=True) == "127.0.0.1/32"
    with pytest.raises(addresses.NetworkRefused):
        addresses.check_registrable("0.0.0.0/0", allow_loopback=True)


def test_an_ipv4_address_in_ipv6_clothes_is_not_used() -> None:
    assert addresses.first_registered(["::ffff:127.0.0.1", "::ffff:10.0.0.1"], "::/0") is None


@pytest.mark.parametrize(
    "candidate", ["2001:db8::5efe:7f00:1", "2001:db8::200:5efe:a00:1", "2001:db8::7%lo", "2001:db8::g", "", "bank"]
)
def test_an_answer_that_hides_another_address_or_is_none_is_not_used(candidate: str) -> None:
    assert addresses.first_registered([candidate, "2001:db8::7"], "2001:db8::/48") == ipaddress.ip_address(
        "2001:db8::7"
    )


def test_this_machines_own_addresses_are_known_without_a_list() -> None:
    assert addresses.is_own(ipaddress.ip_address("127.0.0.1"))
    assert not addresses.is_own(ipaddress.ip_address("192.0.2.1"))


def test_without_a_registered_network_no_address_is_used() -> None:
    assert addresses.first_registered(["203.0.113.7"], None) is None


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_an_address_is_used_only_inside_the_registered_network(
    candidate: ipaddress.IPv4Address | ipaddress.IPv6Address,
    base: ipaddress.IPv4Address | ipaddress.IPv6Address,
    bits: int,
) -> None:
    network = ipaddress.ip_network((base, min(bits, base.max_prefixlen)), strict=False)
    found = addresses.first_registered([str(candidate)], str(network))
    assert found is None or (found == candidate and candidate in network)
    if found is not None:
        assert not (found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified)


async def test_a_name_server_that_never_answers_holds_up_nobody_elses_name(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, asked = threading.Event(), threading.Event(), Counter[str]()

    def look_up(name: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked[name] += 1
        if name == "silent.example":
            begun.set()
            go_on.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port))]

    async def gives_up() -> None:
        # A call whose time is over leaves its look-up behind; the next attempt begins another one.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await addresses.system_resolve("silent.example", 443)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        waiting = asyncio.create_task(addresses.system_resolve("silent.example", 443))
        await asyncio.gather(*(gives_up() for _ in range(100)))
        assert begun.is_set()
        async with asyncio.timeout(10):
            assert await addresses.system_resolve("bank.example", 443) == ["192.0.2.7"]
            assert await asyncio.to_thread(lambda: "a thread of the loop's own")
        assert asked == {"silent.example": 1, "bank.example": 1}
    finally:
        go_on.set()
    assert await waiting == ["192.0.2.7"], "whoever gave up has not ended the look-up of others"
    await addresses.system_resolve("silent.example", 443)
    assert asked["silent.example"] == 2, "nothing is remembered: a name may lead elsewhere by now"
