"""Counts what a load has reached so far."""

import resource
from collections import Counter

import msgspec

from fleetmeter_benchmark.client import Answer


class _Outcome(msgspec.Struct):
    """Reads what any version of the service says about a batch, as far as it is counted here."""

    accepted: int
    duplicates: int


_outcome = msgspec.json.Decoder(_Outcome)


class Tally:
    """Counts readings and answers, and notes latencies."""

    def __init__(self) -> None:
        self.readings = 0
        self.handled = 0
        self.accepted = 0
        self.latencies: list[float] = []
        self.answers: Counter[str] = Counter()

    def count(self, answer: Answer, seconds: float, readings: int = 1) -> None:
        """Count an answer of the service, and what it acknowledges.

        `readings` are those of the request, for answers that do not say it.
        """
        self.answers[str(answer.status)] += 1
        if answer.status in (200, 207):
            outcome = _outcome.decode(answer.body)
            self.acknowledged(outcome.accepted, outcome.duplicates, seconds)
        elif answer.status == 204:  # to line protocol, and by the empty handler
            self.acknowledged(readings, 0, seconds)

    def acknowledged(self, accepted: int, duplicates: int, seconds: float) -> None:
        """Count readings that were acknowledged after so many seconds."""
        self.accepted += accepted
        self.readings += accepted + duplicates
        self.handled += accepted + duplicates
        self.latencies.append(seconds * 1000)

    def start(self) -> None:
        """Start the clock; what came before was the warm-up."""
        self.readings = 0
        self.latencies.clear()
        self.answers.clear()


def cpu_s() -> float:
    """Return the CPU time of this process, seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
