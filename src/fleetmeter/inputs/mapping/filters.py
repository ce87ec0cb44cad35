"""Topics of MQTT: which a rule is for, and what its names stand for in one. Pure.

A filter is as in MQTT, with + for any level and # for all that follow, and has names of levels
besides: `shellies/{device}/emeter/+/energy`.
"""

import re
from collections.abc import Iterable, Sequence
from re import Pattern

_NAME = re.compile(r"\{([^{}/]+)\}")

_LONGEST_BYTES = 65_535
"""Maximum length of a topic in MQTT, bytes."""


def check_filter(text: str) -> str | None:
    """Return what is wrong with a filter, or None."""
    if not text or "\0" in text or len(text.encode()) > _LONGEST_BYTES:
        return "a topic is not empty, and has no zero character"
    levels = text.split("/")
    if levels[0] == "$share":
        return "topics are shared by FLEETMETER_MQTT_SHARE; leave $share/… out"
    names = [found[1] for level in levels if (found := _NAME.fullmatch(level))]
    if len(names) != len(set(names)):
        return "each {name} stands for one level"
    for place, level in enumerate(levels):
        if level == "#" and place < len(levels) - 1:
            return "# stands for all levels that follow, so it is the last one"
        if level not in ("+", "#") and not _NAME.fullmatch(level) and re.search(r"[+#{}]", level):
            return f"{level}: +, # and {{name}} each stand for a whole level between slashes"
    return None


def subscription(text: str) -> str:
    """Return the filter of MQTT that has all topics of ours."""
    return "/".join("+" if _NAME.fullmatch(level) else level for level in text.split("/"))


def pattern_of(text: str) -> Pattern[str]:
    """Return the pattern of the topics of a filter; its groups are the levels with names."""
    parts: list[str] = []
    for level in text.split("/"):
        if level == "#":  # also the level above it
            parts[-1:] = [rf"{parts[-1]}(?:/.*)?"] if parts else [".*"]
        elif level == "+":
            parts.append("[^/]*")
        else:
            parts.append("([^/]*)" if _NAME.fullmatch(level) else re.escape(level))
    system = "" if text.startswith("$") else r"(?!\$)"
    return re.compile(system + "/".join(parts), re.DOTALL)


def names_of(text: str) -> list[str]:
    """Return the names of levels, in their order."""
    return [found[1] for level in text.split("/") if (found := _NAME.fullmatch(level))]


def subscriptions(filters: Iterable[str]) -> Sequence[str]:
    """Return what to subscribe to for all of some filters: none that others have all topics of."""
    wanted = sorted({subscription(each) for each in filters})
    return [each for each in wanted if not any(_covers(o, each) for o in wanted if o != each)]


def _covers(wide: str, narrow: str) -> bool:
    """Return whether each topic of the second filter of MQTT is one of the first."""
    if wide[0] in "+#" and narrow[0] == "$":
        return False
    mine, theirs = wide.split("/"), narrow.split("/")
    for place, level in enumerate(mine):
        if level == "#":
            return True
        if place >= len(theirs) or theirs[place] == "#":
            return False
        if level != "+" and level != theirs[place]:
            return False
    return len(mine) == len(theirs)
