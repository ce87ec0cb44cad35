"""What Telegraf 1.39 sends, and what it makes of an answer, written down from its source.

It is not in any package registry that tests can use. `outputs.influxdb_v2` and `outputs.influxdb`
stream their body in chunks, compressed by default; times are in nanoseconds, without `precision`.
"""

import gzip
from base64 import b64encode
from collections.abc import Mapping
from typing import Literal

LINES = (
    r"wallbox,charger=3,host=gateway,site={site}\ 1 energy=1500i,power=7250.5,"
    'mode="solar, \\"boost\\"",on=true,phases=3i {ns}\n'
    "wallbox,charger=4,host=gateway,site={site}\\ 1 energy=98000i,power=0,on=false {ns}\n"
)
"""A batch with all that its serializer writes: floats are never in scientific notation, tags are in
alphabetical order, texts have their quotes escaped."""

Fate = Literal["delivered", "dropped", "kept", "split"]
"""What becomes of a batch: kept and split batches are sent again."""


def written(path: str, host: str, authorization: str, lines: str) -> bytes:
    """A request of outputs.influxdb_v2, or of outputs.influxdb if the path is that of version 1."""
    body = gzip.compress(lines.encode())
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[:half], body[half:], b""))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Telegraf/1.39.0 Go/1.26.0\r\n"
        f"Transfer-Encoding: chunked\r\nAuthorization: {authorization}\r\n"
        "Content-Encoding: gzip\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Accept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + chunks


def basic(key: str) -> str:
    """The header with which outputs.influxdb sends `username` and `password`."""
    return f"Basic {b64encode(b'telegraf:' + key.encode()).decode()}"


def fate_v2(status: int) -> Fate:
    """What outputs.influxdb_v2 does with a batch that got a status."""
    if status in (200, 201, 202, 204, 206, 207, 208):
        return "delivered"
    if status == 413:
        return "split"
    if status in (401, 403, 429) or status >= 500:
        return "kept"
    return "dropped"


def fate_v1(status: int) -> Fate:
    """What outputs.influxdb does with a batch that got a status."""
    if status == 204:
        return "delivered"
    return "dropped" if status < 500 else "kept"


def pause_s(headers: Mapping[str, str]) -> float:
    """For how long it stops sending after a 429 or 503; it reads nothing but a number."""
    return min(float(headers["retry-after"]), 600)


JSON_TRANSFORMATION = """
metrics.{
  "meterId": tags.site & "/" & tags.charger,
  "timestamp": timestamp,
  "kwhConsumedAcTotal": fields.energy / 1000,
  "powerKw": fields.power / 1000
}
"""
"""What docs/inputs/influxdb.md gives to outputs.http as json_transformation."""

TRANSFORMED = (
    '[{"kwhConsumedAcTotal":1.5,"meterId":"SITE/3","powerKw":7.25,"timestamp":"TIME"},'
    '{"kwhConsumedAcTotal":98,"meterId":"SITE/4","timestamp":"TIME"}]\n'
)
"""What JSONata 1.5.4 makes of two metrics by that, the second without power; of one, it makes an
object that is in no array."""
