"""Requests that nobody sends by mistake, to every route, with what must not come of them.

A `Forge` makes the same ones for the same seed. It knows whether a request may succeed at all, and
which names the request says itself: an answer may repeat those.
"""

import gzip
import json
import random
import re
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

import msgspec

from fleetmeter.access.principal import SCOPES
from fleetmeter.app import create_app
from fleetmeter.http.shared.authentication import PUBLIC, SCOPE, SIGNED_IN, handlers_of
from fleetmeter.settings import Settings
from tests.support.hostile_values import (
    BODIES,
    FIELDS,
    INSIDE,
    KEYED,
    NOW,
    ODD,
    OUTSIDE,
    POOLS,
    READING,
    SITES,
    TIMES,
    TRICKS,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LONG_LISTS = b"[" + b"[]," * 600_000 + b"[]]"
_LONG_OBJECT = b'{"parameters": {' + b",".join(b'"%x":0' % n for n in range(180_000)) + b"}}"
_MANY_LISTS = b"[" + b"[]," * 49_000 + b"[]]"
"""Bodies of as many bytes, or pieces, as they may have."""

_NUMBERED = re.compile("file_path|anomaly_id|webhook_id|number")
"""Paths that lead nowhere with an id that is no number."""

_POOL_OF = {
    "anomaly_id": "limit",
    "webhook_id": "limit",
    "number": "limit",
    "kind": "kind",
    "site": "site",
}
"""The pools of values of parameters in paths, other than ids of devices."""

_CHUNKED = b"POST /v1/ingest HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Holder(NamedTuple):
    """A key, or none, and what it is for."""

    key: str
    scopes: frozenset[str]
    limited: bool
    """It reaches a part of the fleet alone."""


class Hostile(NamedTuple):
    """A request and what must not come of it."""

    sent: bytes
    scope: str
    """Of the route that it asks for."""

    says: bytes
    """Everything that it names, decoded and as it is sent; its answer may repeat that."""

    may_succeed: bool
    limited: bool
    """Its answer must name nothing outside, unless the request says it."""

    is_stream: bool = False
    statuses: frozenset[int] | None = None
    """The only right ones, where they are known."""


class Operation(NamedTuple):
    """A method of a route."""

    method: str
    path: str
    scope: str
    parameters: Sequence[str]


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every method of every route, with the parameters of the service's OpenAPI document."""
    found = []
    for path, handler in handlers_of(create_app("postgresql://nowhere", Settings())):
        plain = path.replace(":str}", "}").replace(":int}", "}").replace(":path}", "}")
        for method in sorted(getattr(handler, "http_methods", {"POST"})):
            described = document["paths"].get(plain, {}).get(method.lower(), {})
            names = [
                each["name"] for each in described.get("parameters", []) if each["in"] == "query"
            ]
            found.append(Operation(method, plain, handler.opt[SCOPE], names))
    return found


class Forge:
    """Makes hostile requests, the same ones for the same seed."""

    def __init__(self, document: dict[str, Any], holders: Sequence[Holder], seed: int) -> None:
        self._operations = operations(document)
        self._holders = holders
        self._random = random.Random(seed)  # noqa: S311 - the same each time
        self._dice = self._random.random

    def request(self) -> Hostile:
        """One request, complete enough to be answered on a connection that stays open."""
        pick = self._random.choice
        holder = pick(self._holders)
        allowed = [each for each in self._operations if each.scope in holder.scopes]
        operation = pick(allowed if allowed and self._dice() < 0.7 else self._operations)
        authorization, is_right = self._authorization(holder)
        method = (
            operation.method
            if self._dice() < 0.93
            else pick(["HEAD", "OPTIONS", "PUT", "TRACE", "get", "QUERY"])
        )
        path, names, is_plain = self._path(operation.path)
        query = self._query(operation.parameters)
        headers = [b"Host: x", *authorization]
        body = told = b""
        if operation.path == "/v1/ingest":
            body, told, more = self._readings(spare=not holder.limited)
            headers += more
        elif method in ("POST", "PUT", "PATCH", "DELETE") and (
            method != "DELETE" or self._dice() < 0.2
        ):
            body, told = self._body(f"{method} {operation.path}")
            headers.append(
                pick(
                    [b"Content-Type: application/json"] * 9 + [b"Content-Type: text/\xff", b"X: y"]
                )
            )
        if operation.path == "/v1/stream":
            headers.append(b"Last-Event-ID: " + self._text(pick(POOLS["lastEventId"])))
        target = path + query
        if not holder.limited and holder.scopes & {"ingest", "operate"}:
            target = target.replace(b"OUTSIDE", b"IN-SIDE").replace(b"outside", b"in-side")
            body = body if operation.path == "/v1/ingest" else _spared(body)
        if body or method in ("POST", "PUT", "PATCH"):
            headers.append(b"Content-Length: %d" % len(body))
        head = b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method.encode(), target, b"\r\n".join(headers))
        is_known = operation.scope in SCOPES and is_plain and method == operation.method
        may_succeed = operation.scope == PUBLIC or method == "OPTIONS"
        may_succeed |= is_right and operation.scope in (*holder.scopes, SIGNED_IN)
        if holder.limited and names_outside(names) and not names_inside(names):
            may_succeed &= method == "OPTIONS" or "/v1/rules/" in operation.path
        statuses = None
        if is_known and not is_right:
            statuses = frozenset({401, 429})
        elif is_known and operation.scope not in holder.scopes:
            statuses = frozenset({403})
        return Hostile(
            head + body,
            operation.scope,
            b"\n".join([head, told, body, names.encode(errors="replace")]),
            may_succeed,
            holder.limited or not is_right,
            is_stream=operation.path == "/v1/stream",
            statuses=statuses,
        )

    def rubbish(self) -> Hostile:
        """Bytes after which the service may close the connection."""
        pick, sent = self._random.choice, self.request().sent
        at = self._random.randrange(len(sent))
        mangled: list[Callable[[], bytes]] = [
            lambda: sent[:at],
            lambda: sent[:at] + self._random.randbytes(8) + sent[at:],
            lambda: self._random.randbytes(200) + b"\r\n\r\n",
            lambda: sent.replace(b"Host: x", b"Content-Length: 5\r\nContent-Length: 6"),
            lambda: sent.replace(b"Host: x", b"Transfer-Encoding: chunked"),
            lambda: sent.replace(
                b"Host: x", b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3"
            ),
            lambda: sent.replace(
                b"Host: x", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA=="
            ),
            lambda: sent.replace(
                b"Host: x", b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings"
            ),
            lambda: sent.replace(b"Host: x", b"Expect: 100-continue"),
            lambda: sent.replace(b"Host: x", b"a: " + b"b" * pick([100, 8000, 40000])),
            lambda: sent.replace(b"Host: x", b"\r\n".join([b"a: b"] * pick([50, 101, 3000]))),
            lambda: sent.replace(
                b"HTTP/1.1", pick([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"", b"ICY"])
            ),
            lambda: sent.replace(b" /", b" http://x/", 1),
            lambda: sent.replace(b"\r\n", b"\n"),
            lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            lambda: b"".join(self.request().sent for _ in range(40)),
            lambda: _CHUNKED + b"fffffffffffffffff\r\n",
            lambda: _CHUNKED + b"1;" + b"x" * 70000,
        ]
        return Hostile(pick(mangled)(), "", b"OUTSIDE", may_succeed=True, limited=False)

    def _authorization(self, holder: Holder) -> tuple[list[bytes], bool]:
        """The headers that a key is sent in, and whether they let its holder in."""
        key = holder.key.encode()
        basic = b64encode(b"any:" + key)
        if not key:
            cookies = [b"Cookie: __Host-fleetmeter=" + b"a" * 43, b"Cookie: =;;__Host-fleetmeter"]
            return [self._random.choice(cookies)] if self._dice() < 0.3 else [], False
        if self._dice() < 0.85:
            way = self._random.choice([b"Bearer " + key, b"token " + key, b"BASIC " + basic])
            return [b"Authorization: " + way], True
        wrong = self._random.choice(
            [
                *(key, b"Bearer", b"Bearer  ", b"Bearer " + key[:-1], b"Bearer " + key + b"0"),
                *(b"Bearer " + key.upper(), b"Bearer " + key + b"," + key),
                *(b"Bearer \xff" + key, b"Basic " + basic[:-3], b"Basic !!", b"Basic "),
                *(b"Digest " + key, b"Bearer fm_" + b"0" * 9 + b"_" + b"0" * 48),
                *(b"Bearer " + b"a" * 9000, b"Bearer null", b"Negotiate YII="),
                b"Bearer " + key[:20] + b"\xc2\xa0" + key[20:],
                b"Basic " + b64encode(b"any:\xff" + key),
            ]
        )
        return [b"Authorization: " + wrong, b"Authorization: Bearer " + key], False

    def _path(self, path: str) -> tuple[bytes, str, bool]:
        """A path of a route, the ids in it, and whether it surely leads to the route."""
        names, parts = "", []
        for part in path.split("/"):
            if part.startswith("{"):
                name = part.strip("{}")
                value = self._value(_POOL_OF.get(name, "deviceId"))
                names += f"\n{value}"
                is_same = value.isascii() and value.isalnum()
                parts.append(quote(value, safe="", errors="replace"))
                if not is_same and value not in (*INSIDE, *OUTSIDE):
                    names += "\x00"
            else:
                parts.append(part)
        made = "/".join(parts).encode()
        # an id that is no number leads nowhere
        is_plain = "\x00" not in names and not re.search(
            "file_path|anomaly_id|webhook_id|number", path
        )
        if self._dice() < 0.1:
            is_plain = False
            made = self._random.choice(
                [
                    *(b"/" + made, made + b"/", made + b"//", made.replace(b"/", b"//")),
                    *(made.replace(b"/v1", b"/V1"), made.replace(b"/", b"%2F")),
                    *(b"/health/.." + made, b"/docs/%2e%2e" + made, made + b"%00"),
                    *(made + b";a", made + b"/..", b"/assets/swagger-ui/.." + made),
                    *(made.replace(b"v", b"%76"), made + b"%", made + b"\xff"),
                    made.replace(b"/", b"\\"),
                ]
            )
        return made, names.replace("\x00", ""), is_plain

    def _query(self, names: Sequence[str]) -> bytes:
        parts = []
        for name in names:
            if self._dice() < (0.75 if name == "from" else 0.4):
                parts.append(
                    f"{name}=".encode() + quote_from_bytes(self._text(self._value(name))).encode()
                )
        if self._dice() < 0.05:
            parts.append(
                self._random.choice(
                    [b"x=1", b"&&=&", b"from=%ff", b"limit[]=1", b"a" * 9000, b"cursor=%"]
                )
            )
        return b"?" + b"&".join(parts) if parts else b""

    def _value(self, name: str) -> Any:
        """A value of a parameter: often a right one."""
        pick = self._random.choice
        if name == "cursor":
            made = urlsafe_b64encode(json.dumps(pick(KEYED)).encode()).decode().rstrip("=")
            return (
                made
                if self._dice() < 0.9
                else pick(["!", "=", "a", "A" * 400, "A" * 401, "\u00e9"])
            )
        pool = POOLS.get(name, ODD)
        if name in ("deviceId", "vehicleId", "meterId") and self._dice() < 0.7:
            pool = [*INSIDE[:5], *OUTSIDE]
        if self._dice() < 0.6:
            return str(
                pool[self._random.randrange(min(4, len(pool)))]
                if name in ("from", "to")
                else pick(pool)
            )
        return str(pick(pool if self._dice() < 0.7 else ODD))

    @staticmethod
    def _text(value: Any) -> bytes:
        return str(value).encode("utf-8", "surrogatepass").replace(b"\r\n", b"")

    def _body(self, route: str) -> tuple[bytes, bytes]:
        """A JSON body, and what it says."""
        template = next(
            (body for start, body in BODIES.items() if route.startswith(start)), {"a": 1}
        )
        value: Any = json.loads(json.dumps(template))
        for _ in range(self._random.choice([0, 1, 1, 2, 5])):
            self._mutate(value)
        if route == "POST /v1/corrections" and self._dice() < 0.3:
            value = [value] * self._random.choice([1, 2, 50])
        return self._mangled(json.dumps(value).encode()), json.dumps(value).encode()

    def _mutate(self, value: dict[str, Any]) -> None:
        pick = self._random.choice
        name = pick([*value, pick(FIELDS)])
        if name == "site":
            value[name] = pick(SITES)
        elif name in ("vehicleId", "meterId", "target"):
            value[name] = pick([*INSIDE, *OUTSIDE, *OUTSIDE, *TRICKS])
        elif name in ("timestamp", "since", "at", "expiresAt"):
            value[name] = pick(TIMES)
        elif name == "intervalStart":
            # rarely months ago: such an interval has a row for each quarter hour, 38,400 in all
            value[name] = pick(TIMES[:5] if self._dice() < 0.95 else TIMES)
        elif name == "scope":
            value[name] = pick(POOLS["scope"])
        elif self._dice() < 0.2:
            value.pop(name, None)
        else:
            value[name] = pick(ODD)

    def _mangled(self, body: bytes) -> bytes:
        """A body that is no longer what it was, now and then."""
        if self._dice() < 0.9 or not body:
            return body
        at = self._random.randrange(len(body))
        return self._random.choice(
            [
                *(body[:at], body + body, body[:at] + self._random.randbytes(3) + body[at:]),
                *(b"", b"[" * 5000, b"\xff\xfe" + body, b"\xef\xbb\xbf" + body),
                *(body.decode("latin-1").encode("utf-16"), b"{" + b'"a":{' * 2000, b"NaN"),
                *(b"[1e999]", _LONG_LISTS, _LONG_OBJECT, _MANY_LISTS),
            ]
        )

    def _readings(self, spare: bool) -> tuple[bytes, bytes, list[bytes]]:
        """A body of readings, what it says, and its headers."""
        pick = self._random.choice
        count = pick([1, 1, 1, 2, 5, 20, 100]) if self._dice() < 0.995 else pick([5_000, 20_000])
        items = []
        for _ in range(min(count, 100)):
            item: Any = dict(READING[pick(["vehicleId", "meterId"])])
            item["timestamp"] = (
                NOW - timedelta(seconds=self._random.randrange(86_400))
            ).isoformat()
            for _ in range(pick([0, 0, 1, 2])):
                self._mutate(item)
            items.append(item if self._dice() < 0.97 else pick(ODD))
        items *= -(-count // 100)
        form = pick(["json", "json", "ndjson", "msgpack"])
        lines = [json.dumps(each).encode() for each in items]
        body = b"[" + b",".join(lines) + b"]"
        if form == "ndjson":
            body = b"\n".join(lines)
        elif form == "msgpack":
            try:
                body = msgspec.msgpack.encode(items)
            except (OverflowError, UnicodeEncodeError):
                body = b"\xc1"
        told = body.replace(b"\\u0000", b"\x00")
        body = self._mangled(_spared(body) if spare else body)
        told += b"\n" + body
        encoding = pick(["", "", "gzip", "zstd"])
        if encoding == "gzip":
            body = gzip.compress(body, 1)
        elif encoding == "zstd":
            body = zstd.compress(body)
        if encoding:
            body = self._mangled(body)
        if self._dice() < 0.02:
            encoding = pick(["br", "gzip, gzip", "\u00ff", "identity", "GZIP", "deflate"])
        types = {
            "json": "application/json",
            "ndjson": "application/x-ndjson",
            "msgpack": "application/msgpack",
        }
        type_ = (
            types[form]
            if self._dice() < 0.97
            else pick([*types.values(), "text/plain", "*/*", "a" * 300])
        )
        headers = [f"Content-Type: {type_}".encode()]
        if encoding:
            headers.append(f"Content-Encoding: {encoding}".encode("latin-1"))
        return body, told, headers


def _spared(sent: bytes) -> bytes:
    """A body of a key that reaches everything, without what is compared at the end."""
    return (
        sent.replace(b"OUTSIDE", b"IN-SIDE")
        .replace(b"outside", b"in-side")
        .replace(b"fleet", b"meter")
    )


def names_outside(names: str) -> bool:
    """Whether one of the ids of a path is outside."""
    return any(each in (*OUTSIDE, "OUTSIDE-site") for each in names.split("\n"))


def names_inside(names: str) -> bool:
    """Whether one of the ids of a path is within reach."""
    return any(each in INSIDE for each in names.split("\n"))
