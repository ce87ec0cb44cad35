"""What the stream sends to a key with a limited reach, live and when it resumes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from tests.conftest import (
    Db,
    eventually,
    hours_ago,
    meter_reading,
    post,
    rfc3339,
    vehicle_reading,
)
from tests.support.reach import (
    HEADER,
    REACHES,
    anomalies,
    happen,
    settle_in,
    told_service,
)

pytestmark = pytest.mark.either

KINDS = dict(zip(REACHES, ("soc_stuck", "soc_scale", "battery_cold_charging"), strict=True))
"""What happens to a device while each reach listens."""


@pytest.fixture(scope="module")
def client(database_url: str) -> Iterator[httpx.Client]:
    with told_service(database_url) as client:
        settle_in(client)
        yield client


class Heard:
    """What a stream has sent so far, read by a thread."""

    def __init__(self, answer: httpx.Response) -> None:
        self.text = ""
        self._answer = answer
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(httpx.TransportError, httpx.StreamError):
            for text in self._answer.iter_text():
                self.text += text

    def has(self, *texts: str) -> bool:
        return all(text in self.text for text in texts)

    def leave(self) -> None:
        stream = self._answer.extensions["network_stream"]
        with suppress(OSError):
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


@contextmanager
def listening(client: httpx.Client, reach: str, **params: str) -> Iterator[Heard]:
    with client.stream("GET", "/v1/stream", params=params, headers={HEADER: reach}) as answer:
        heard = Heard(answer)
        yield heard
        heard.leave()


@pytest.mark.parametrize("reach", REACHES)
def test_the_stream_sends_what_is_within_reach(client: httpx.Client, db: Db, reach: str) -> None:
    happen(db, anomalies(hours_ago(3)))
    with (
        listening(client, reach, lastEventId="0") as heard,
        listening(client, "", lastEventId="0") as whole,
    ):
        eventually(heard.has, "IN-V1 is hot")
        eventually(whole.has, "OUTSIDE-V1 is hot", "at IN-M1: the curve of OUTSIDE-M1 fits")
        now = datetime.now(UTC).replace(microsecond=0)
        hot = [each for each in anomalies(hours_ago(2)) if each.kind == "battery_hot"]
        happen(
            db,
            [
                msgspec.structs.replace(each, kind=KINDS[reach], summary=f"new {each.summary}")
                for each in hot
            ],
        )
        post(
            client,
            *(vehicle_reading(id_, now, None) for id_ in ("IN-V1", "OUTSIDE-V1")),
            vehicle_reading("IN-V2", now, None, meterId="OUTSIDE-M1"),
            meter_reading("OUTSIDE-M1", now, None),
            meter_reading("IN-M1", now, None),
        )
        new = f'"timestamp":"{rfc3339(now)}"'
        eventually(
            whole.has, "event: meter", '"meterId":"OUTSIDE-M1"', "new OUTSIDE-V1 is hot", new
        )
        eventually(whole.has, '{"vehicleId":"OUTSIDE-V1"', '{"meterId":"IN-M1"')
        eventually(heard.has, '{"vehicleId":"IN-V2"', '{"meterId":"IN-M1"', "new IN-V1 is hot", new)
        assert "OUTSIDE" not in heard.text
