"""Wrong keys, limited by address."""

from fleetmeter.access.attempts import BURST, MOST_ADDRESSES, PER_S, FailedAttempts
from tests.support.clocks import HandClock


def test_an_address_may_fail_so_often_and_then_as_often_as_its_bucket_fills() -> None:
    clock = HandClock()
    attempts = FailedAttempts(clock)
    assert [attempts.wait_s("192.0.2.1") for _ in range(BURST)] == [0.0] * BURST
    assert attempts.wait_s("192.0.2.1") == 1 / PER_S
    assert attempts.wait_s("192.0.2.2") == 0
    clock.now += 1 / PER_S
    assert attempts.wait_s("192.0.2.1") == 0
    assert attempts.wait_s("192.0.2.1") == 1 / PER_S
    clock.now += 1000
    assert [attempts.wait_s("192.0.2.1") for _ in range(BURST)] == [0.0] * BURST
    assert attempts.wait_s("192.0.2.1") == 1 / PER_S


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    attempts = FailedAttempts(HandClock())
    waits = [attempts.wait_s(f"2001:db8::{n:x}") for n in range(BURST + 1)]
    assert waits[-1] > 0
    assert attempts.wait_s("2001:db8:0:1::1") == 0


def test_few_addresses_are_remembered() -> None:
    attempts = FailedAttempts(HandClock())
    for n in range(MOST_ADDRESSES + 10):
        attempts.wait_s(f"a socket {n}")
    assert attempts.remembered == MOST_ADDRESSES
