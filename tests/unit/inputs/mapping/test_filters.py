"""Topics are matched as brokers match them."""

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from fleetmeter.inputs.mapping.filters import (
    check_filter,
    names_of,
    pattern_of,
    subscription,
    subscriptions,
)

LEVELS = st.sampled_from(["a", "b", "", "$a", "a.b", "é"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = st.builds(
    lambda levels, rest: "/".join(levels + rest),
    st.lists(LEVELS | st.sampled_from(["+", "{x}"]), min_size=1, max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(lambda text: text != "" and check_filter(text) is None)


@given(FILTERS, TOPICS)
def test_a_filter_has_the_topics_that_it_has_at_a_broker(text: str, topic: str) -> None:
    matched = pattern_of(text).fullmatch(topic) is not None
    assert matched == topic_matches_sub(subscription(text), topic)


@given(st.lists(FILTERS, min_size=1, max_size=4), TOPICS)
def test_what_is_subscribed_to_has_all_topics_of_all_filters(
    filters: list[str], topic: str
) -> None:
    wanted = any(topic_matches_sub(subscription(text), topic) for text in filters)
    assert any(topic_matches_sub(text, topic) for text in subscriptions(filters)) == wanted


def test_a_filter_within_another_is_not_subscribed_to() -> None:
    assert subscriptions(["a/{x}/c", "a/+/c", "a/#", "$a/#", "b"]) == ["$a/#", "a/#", "b"]
    assert subscriptions(["#", "$SYS/#", "a/b"]) == ["#", "$SYS/#"]


def test_names_stand_for_levels() -> None:
    found = pattern_of("depot/{site}/+/{charger}/#").fullmatch("depot/n/1/é/x/y")
    assert found is not None
    assert dict(zip(names_of("depot/{site}/+/{charger}/#"), found.groups(), strict=True)) == {
        "site": "n",
        "charger": "é",
    }
