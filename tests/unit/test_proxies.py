"""Trusted proxies, and the client that they forward a request for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.errors import SettingsError
from fleetmeter.proxies import Proxies
from fleetmeter.settings import load_settings

PROXIES = Proxies("10.0.0.0/8, 2001:db8::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("203.0.113.9", ["203.0.113.5"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, 10.2.0.1,10.3.0.1"], "203.0.113.5"),
        ("10.0.0.1", ["10.9.9.9"], "10.9.9.9"),
        ("10.0.0.1", ["203.0.113.5, unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("2001:db8::1", ["[2001:db8:9::7]:4711"], "2001:db8:9::7"),
        ("::ffff:10.0.0.1", ["2001:db8:9::7"], "2001:db8:9::7"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_the_client_is_the_rightmost_that_is_not_a_proxy(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert PROXIES.client_of(peer, forwarded) == client


@given(peer=st.ip_addresses().map(str), forwarded=st.lists(st.text(max_size=30), max_size=5))
def test_nobody_but_a_proxy_is_believed(peer: str, forwarded: list[str]) -> None:
    client = PROXIES.client_of(peer, forwarded)
    assert PROXIES.include(peer) or client == peer


def test_without_a_setting_there_are_none() -> None:
    assert not Proxies()
    assert not Proxies().include("127.0.0.1")
    assert Proxies().client_of("127.0.0.1", ["203.0.113.5"]) == "127.0.0.1"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "proxy.local", "10.0.0.1/8"])
def test_a_setting_that_cannot_be_is_one_clear_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^FLEETMETER_PROXIES: "):
        load_settings({"FLEETMETER_PROXIES": text})
