"""The input of InfluxDB's line protocol: a mapping, and what it did not take."""

from fleetmeter.inputs.known_lines import KnownHeads
from fleetmeter.inputs.line_decoder import LineDecoder
from fleetmeter.inputs.mapping.rules import Mapping
from fleetmeter.inputs.untaken import UntakenCounter


class Influx:
    """Makes decoders of bodies, which share what they know of series."""

    def __init__(self, mapping: Mapping, untaken: UntakenCounter) -> None:
        self._mapping = mapping
        self._known = KnownHeads()
        self._untaken = untaken

    def decoder(self, unit_ns: int, max_batch: int) -> LineDecoder:
        """Return a decoder; `unit_ns` is what timestamps count, nanoseconds."""
        return LineDecoder(self._mapping, self._known, unit_ns, max_batch)

    def note(self, decoder: LineDecoder) -> None:
        """Count what a body had that no rule took."""
        if decoder.untaken:
            self._untaken.note("influx", decoder.untaken)
