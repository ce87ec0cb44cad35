"""What a key may use: token buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter.access.principal import ANYBODY, Principal
from fleetmeter.access.rates import (
    BURST_S,
    MOST_PRINCIPALS,
    Allowance,
    Bucket,
    RateExceededError,
    Rates,
)
from fleetmeter.settings import Settings
from tests.support.clocks import HandClock


def is_taken(bucket: Bucket, amount: int) -> bool:
    try:
        bucket.take(amount)
    except RateExceededError:
        return False
    return True


def test_a_full_bucket_gives_its_burst_and_then_what_flows_in() -> None:
    clock = HandClock()
    bucket = Bucket("requests", 5, clock)
    assert [is_taken(bucket, 1) for _ in range(5 * BURST_S + 1)] == [True] * 5 * BURST_S + [False]
    clock.now += 1
    assert [is_taken(bucket, 1) for _ in range(6)] == [True] * 5 + [False]
    clock.now += 1000
    assert is_taken(bucket, 5 * BURST_S)


def test_a_refusal_says_when_there_is_enough_and_takes_nothing() -> None:
    clock = HandClock()
    bucket = Bucket("readings", 10, clock)
    bucket.take(80)
    for _ in range(3):
        with pytest.raises(RateExceededError, match="10 readings per second") as refused:
            bucket.take(50)
        assert refused.value.wait_s == pytest.approx(3)
        assert refused.value.remaining == 20
        assert refused.value.size == 10 * BURST_S
    clock.now += refused.value.wait_s + 1e-6
    assert is_taken(bucket, 50)


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    clock = HandClock()
    bucket = Bucket("readings", 10, clock)
    bucket.take(1000)
    assert not is_taken(bucket, 0)
    assert not is_taken(bucket, 1)
    clock.now += 91
    assert is_taken(bucket, 0)
    assert is_taken(bucket, 10)
    assert not is_taken(bucket, 1000)
    clock.now += 100
    assert is_taken(bucket, 1000)


def test_what_was_used_already_becomes_a_debt() -> None:
    clock = HandClock()
    bucket = Bucket("bytes", 100, clock)
    bucket.charge(1500)
    assert not is_taken(bucket, 0)
    clock.now += 5
    assert is_taken(bucket, 0)


def test_zero_is_no_limit() -> None:
    bucket = Bucket("requests", 0, HandClock())
    bucket.charge(10**9)
    assert all(is_taken(bucket, 10**9) for _ in range(3))


@given(
    per_s=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20_000)), max_size=50),
)
def test_no_more_is_given_than_a_burst_a_flow_and_one_batch(
    per_s: int, steps: list[tuple[float, int]]
) -> None:
    clock = HandClock()
    bucket = Bucket("readings", per_s, clock)
    given = largest = 0
    for pause, amount in steps:
        clock.now += pause
        if is_taken(bucket, amount):
            given += amount
            largest = max(largest, amount)
        assert given <= per_s * (BURST_S + clock.now) + largest + 1e-6 * given
        assert bucket.level() <= per_s * BURST_S


@given(per_s=st.integers(1, 1000), used=st.integers(0, 30_000), amount=st.integers(0, 30_000))
def test_who_waits_as_long_as_told_is_let_in(per_s: int, used: int, amount: int) -> None:
    clock = HandClock()
    bucket = Bucket("readings", per_s, clock)
    bucket.charge(used)
    try:
        bucket.take(amount)
    except RateExceededError as refused:
        clock.now += refused.wait_s + 1e-6
        bucket.take(amount)


def test_each_key_has_buckets_of_its_own_and_few_are_remembered() -> None:
    rates = Rates(Settings(key_requests_per_s=1), HandClock())

    def of(name: str) -> Allowance:
        return rates.of(Principal(name, frozenset()))

    of("key:one").requests.charge(BURST_S)
    assert of("key:one").requests is of("key:one").requests
    assert not is_taken(of("key:one").requests, 1)
    assert is_taken(of("key:two").requests, 1)
    for n in range(MOST_PRINCIPALS + 5):
        of(f"key:{n}")
    assert rates.remembered == MOST_PRINCIPALS


def test_without_keys_there_is_no_limit() -> None:
    rates = Rates(Settings(key_requests_per_s=1, key_readings_per_s=1, key_bytes_per_s=1))
    allowance = rates.of(ANYBODY)
    assert is_taken(allowance.requests, 1000)
    assert is_taken(allowance.readings, 10**6)
