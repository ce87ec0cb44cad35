"""Webhooks go to public addresses, and to networks that somebody has allowed; nowhere else."""

import asyncio
from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import FleetMeterError, SettingsError
from fleetmeter.notifications.webhooks.addresses import (
    ForbiddenAddressError,
    UnresolvedError,
    addresses_of,
    check_url,
)
from fleetmeter.settings import load_settings
from fleetmeter.webhook_networks import Address, Networks, reached

PUBLIC = Networks("public")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_may_be_sent_to(address: str) -> None:
    assert PUBLIC.allow(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.1.1", "198.18.0.1", "192.0.2.1"),  # noqa: S104
        *("240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "fec0::1", "ff0e::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001:0:1::1"),
        *("2001:db8::1", "192.0.0.192", "192.88.99.1", "3fff::1", "64:ff9b::c000:c0"),
    ],
)
def test_no_other_address_may_whatever_it_is_written_as(address: str) -> None:
    assert not PUBLIC.allow(ip_address(address))


NOT_REACHABLE = [
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/32"),
    *("192.0.0.171/32", "192.0.2.0/24", "192.88.99.2/32", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32"),
    *("::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23"),
    *("2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10"),
]
"""IANA's registries of special-purpose addresses of 2026: what is not globally reachable."""

DEPRECATED = ["192.88.99.0/24", "2001:10::/28", "2001::/32", "2002::/16"]
"""And what leads elsewhere, of which they say neither."""

MULTICAST = ["224.0.0.0/4", "ff00::/8"]


@pytest.mark.parametrize("network", [*NOT_REACHABLE, *DEPRECATED, *MULTICAST])
@given(data=st.data())
def test_an_address_for_a_special_purpose_is_refused_however_it_is_written(
    network: str, data: st.DataObject
) -> None:
    found = ip_network(network)
    address = data.draw(st.ip_addresses(network=found))
    for each in (found[0], found[-1], address):
        assert not PUBLIC.allow(each)
        if each.version == 4:
            for prefix in (0xFFFF << 32, 0x64FF9B << 96):  # mapped, translated
                assert not PUBLIC.allow(IPv6Address(prefix | int(each)))
            assert not PUBLIC.allow(IPv6Address(0x2002 << 112 | int(each) << 80))


@given(st.ip_addresses())
def test_what_is_public_is_what_python_calls_global_or_less(address: Address) -> None:
    means = reached(address)
    if PUBLIC.allow(address):
        assert means.is_global
        assert not means.is_multicast


def test_networks_are_allowed_beside_the_public_or_instead() -> None:
    both = Networks("public, 10.0.0.0/8 fd00::/8,127.0.0.1")
    inside = Networks("10.0.0.0/8")
    for address, by_both, by_inside in (
        ("10.1.2.3", True, True),
        ("::ffff:10.1.2.3", True, True),
        ("64:ff9b::a01:203", True, True),
        ("fd12::1", True, False),
        ("127.0.0.1", True, False),
        ("127.0.0.2", False, False),
        ("8.8.8.8", True, False),
    ):
        assert both.allow(ip_address(address)) is by_both
        assert inside.allow(ip_address(address)) is by_inside


def test_a_setting_that_is_no_list_of_networks_is_named() -> None:
    for wrong in ("private", "10.0.0.1/8", "public;10.0.0.0/8"):
        with pytest.raises(SettingsError, match=r"FLEETMETER_WEBHOOK_NETWORKS: .*say public, or"):
            load_settings({"FLEETMETER_WEBHOOK_NETWORKS": wrong})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("https:///hook", "http://"),
        ("example.org/hook", "http://"),
        ("https://user:secret@example.org/", "user or a password"),
        ("https://user@example.org/", "user or a password"),
        ("https://@example.org/", "user or a password"),
        ("https://example.org/#top", "fragment"),
        ("https://example.org/a b", "without spaces"),
        ("https://example.org/\n", "without spaces"),
        ("https://exämple.org/", "ASCII"),
        ("https://example.org/" + "x" * 2000, "2000"),
        ("https://example.org:0/", "http://"),
        ("https://example.org:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
    ],
)
def test_a_url_that_no_webhook_can_have_is_refused(url: str, why: str) -> None:
    with pytest.raises(FleetMeterError, match=why) as refused:
        check_url(url)
    assert "secret" not in str(refused.value)


def test_a_url_may_have_a_port_a_path_and_a_query() -> None:
    for url in ("https://example.org", "http://example.org:8080/a/b?token=1", "http://[2606::1]/"):
        assert check_url(url) == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1"])
def test_a_name_or_a_strange_number_is_judged_by_where_it_leads(host: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="FLEETMETER_WEBHOOK_NETWORKS"):
        asyncio.run(addresses_of(host, 80, PUBLIC))
    found = asyncio.run(addresses_of(host, 80, Networks("127.0.0.0/8 ::1")))
    assert ip_address("127.0.0.1") in found


def test_one_forbidden_address_among_others_forbids_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve() -> None:
        async def answer(*_: object, **__: object) -> object:
            return [(0, 0, 0, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
        await addresses_of("both.example", 80, PUBLIC)

    with pytest.raises(ForbiddenAddressError, match=r"10\.0\.0\.1 \(of both\.example\)"):
        asyncio.run(resolve())


def test_a_name_that_leads_nowhere_is_told() -> None:
    with pytest.raises(UnresolvedError, match=r"nowhere\.invalid has no address"):
        asyncio.run(addresses_of("nowhere.invalid", 80, PUBLIC))
