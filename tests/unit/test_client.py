"""The client of gateways: what is put is sent until there is an outcome, or reported."""

import ast
import gzip
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetmeter import client
from fleetmeter.client import Client, Lost
from tests.conftest import eventually
from tests.support.scripted import Answered, Asked, Script, answering

AT = datetime(2026, 2, 9, 10, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:1"
TAKEN = b'{"accepted":1,"duplicates":0,"rejected":[]}'


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSES_S", (0.01, 0.02))


def reading(number: int) -> dict[str, Any]:
    return {"meterId": "M-1", "kwhConsumedAcTotal": number, "timestamp": "2026-02-09T10:00:00Z"}


def taken(count: int) -> bytes:
    return b'{"accepted":%d,"duplicates":0,"rejected":[]}' % count


def numbers(asked: Asked) -> list[int]:
    """The readings of a request."""
    lines = gzip.decompress(asked.body).splitlines()
    return [json.loads(line)["kwhConsumedAcTotal"] for line in lines]


def of(lost: Sequence[Lost]) -> list[tuple[int, str]]:
    return [(each.reading["kwhConsumedAcTotal"], each.code) for each in lost]


@contextmanager
def sending(url: str, spool: Path) -> Iterator[tuple[Client, list[Lost]]]:
    """A client that sends at once, and what it has reported."""
    lost: list[Lost] = []
    with Client(url, spool, max_age_s=0, on_lost=lost.extend) as sender:
        yield sender, lost


def test_a_batch_is_what_the_service_takes_and_leaves_the_disk_once_it_is_answered(
    tmp_path: Path,
) -> None:
    with answering([(200, {}, taken(2))]) as (url, asked):
        with Client(f"{url}/fleet/", tmp_path, key="secret") as sender:
            sender.put({"vehicleId": "EV-1", "soc": 72, "timestamp": AT}, reading(2))
        assert not list(tmp_path.iterdir())
    (request,) = asked
    assert request.path == "/fleet/v1/ingest"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Content-Type"] == "application/x-ndjson"
    first, _ = gzip.decompress(request.body).splitlines()
    assert json.loads(first) == {
        "vehicleId": "EV-1",
        "soc": 72,
        "timestamp": "2026-02-09T10:00:00+00:00",
    }


@pytest.mark.parametrize(
    "unanswered",
    [
        (408, {}, b"{}"),
        (429, {"Retry-After": "0"}, b"{}"),
        (503, {"Retry-After": "0"}, b"{}"),
        (500, {}, b"{}"),
        (401, {}, b'{"detail":"no key"}'),
        (404, {}, b"<html>"),
        (200, {}, b"<html>log in to the wireless network</html>"),
        (200, {}, taken(3)),
        (200, {}, b'{"accepted":1,"duplicates":0,"rejected":[{"index":7}]}'),
        (200, {}, b"[]"),
        (0, {}, b""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[2][:30].decode()}",
)
def test_what_has_no_outcome_is_sent_again_as_it_was(
    unanswered: tuple[int, dict[str, str], bytes], tmp_path: Path
) -> None:
    with answering([unanswered, unanswered, (200, {}, taken(2))]) as (url, asked):
        with sending(url, tmp_path) as (sender, lost):
            sender.put(reading(1), reading(2))
        assert not list(tmp_path.iterdir())
    assert [numbers(each) for each in asked] == [[1, 2]] * 3
    assert not lost


def test_it_waits_as_long_as_the_service_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            return super().wait(0)

    script: Script = [
        (503, {"Retry-After": "7"}, b"{}"),
        (503, {"Retry-After": "99999999"}, b"{}"),
        (503, {"Retry-After": "Mon, 09 Feb 2026 10:00:00 GMT"}, b"{}"),
        (200, {}, TAKEN),
    ]
    with answering(script) as (url, _):
        monkeypatch.setattr(threading, "Event", Watched)
        sender = Client(url, tmp_path, max_age_s=0)
        sender.put(reading(1))
        assert sender.flush(20)
        monkeypatch.undo()
        sender.close()
    first, second, third = (each for each in waited if each is not None)
    assert (first, second) == (7, 3600)
    assert 0.01 <= third <= 60


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    script: Script = [
        (413, {}, b"<html>"),
        (413, {}, b"<html>"),
        (200, {}, TAKEN),
        (200, {}, TAKEN),
        (200, {}, taken(2)),
    ]
    with answering(script) as (url, asked):
        with sending(url, tmp_path) as (sender, lost):
            sender.put(*map(reading, range(4)))
        assert not list(tmp_path.iterdir())
    assert [numbers(each) for each in asked] == [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]]
    assert not lost


def test_a_reading_that_the_service_cannot_read_costs_no_other(tmp_path: Path) -> None:
    problem = b'{"type":"urn:fleetmeter:problem:malformed-body","detail":"no JSON"}'
    script: Script = [(400, {}, problem), (400, {}, problem), (200, {}, TAKEN)]
    with answering(script) as (url, _), sending(url, tmp_path) as (sender, lost):
        sender.put(reading(0), reading(1))
        assert sender.flush(20)
    assert of(lost) == [(0, "refused")]


def test_another_program_that_refuses_a_reading_is_not_believed(tmp_path: Path) -> None:
    script: Script = [(400, {}, b"plain HTTP was sent to a TLS port"), (200, {}, TAKEN)]
    with answering(script) as (url, asked), sending(url, tmp_path) as (sender, lost):
        sender.put(reading(0))
        assert sender.flush(20)
    assert len(asked) == 2
    assert not lost


@pytest.mark.parametrize("status", [207, 422])
def test_rejected_readings_are_reported_with_the_reason_of_each(
    status: int, tmp_path: Path
) -> None:
    answer = {
        "accepted": 0 if status == 422 else 1,
        "duplicates": 0 if status == 422 else 1,
        "rejected": [
            {"index": 0, "code": "too_old", "detail": "is too old"},
            {"index": 5, "code": "conflict", "detail": "has other values"},
        ],
        "moreRejected": [{"code": "too_old", "count": 3, "ranges": [[1, 2], [4, 4]]}],
    }
    count = 5 + (2 if status == 207 else 0)
    if status == 422:
        answer["rejected"][1]["index"] = 3  # type: ignore[index]
    with (
        answering([(status, {}, json.dumps(answer).encode())]) as (url, asked),
        sending(url, tmp_path) as (sender, lost),
    ):
        sender.put(*map(reading, range(count)))
        assert sender.flush(20)
    assert len(asked) == 1
    conflict = (5 if status == 207 else 3, "conflict")
    assert sorted(of(lost)) == sorted(
        [(0, "too_old"), (1, "too_old"), (2, "too_old"), (4, "too_old"), conflict]
    )
    assert lost[0].detail == "is too old"


def test_it_waits_for_a_batch_to_fill_but_not_for_longer_than_its_age(tmp_path: Path) -> None:
    script: Script = [(200, {}, taken(3)), (200, {}, TAKEN)]
    size = len(client._line(reading(0)))
    with answering(script) as (url, asked):
        with Client(url, tmp_path, batch_bytes=3 * size, max_age_s=3600) as sender:
            for number in range(3):
                assert not asked
                sender.put(reading(number))
            eventually(lambda: len(asked) == 1)
            sender.put(reading(3))
        assert [numbers(each) for each in asked] == [[0, 1, 2], [3]]  # the last when it is closed


def test_put_returns_once_the_readings_and_their_file_outlast_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def fsync(descriptor: int) -> None:
        state = os.fstat(descriptor)
        synced.append((state.st_ino, state.st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    sender = Client(NOWHERE, tmp_path, max_age_s=3600)
    sender.put(reading(1))
    (batch,) = tmp_path.iterdir()
    written = len(client._line(reading(1)))
    assert [inode for inode, _ in synced] == [tmp_path.stat().st_ino, batch.stat().st_ino]
    assert synced[1][1] == written
    sender.put(reading(2), reading(3))
    assert synced[2:] == [(batch.stat().st_ino, 3 * written)]
    sender.close(timeout_s=0)


def test_only_a_service_whose_certificate_is_trusted_gets_readings(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=gateway test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    trusted = ssl.create_default_context(cafile=certificate)
    with answering([(200, {}, TAKEN)], served) as (url, asked):
        stranger = Client(url, tmp_path / "spool", max_age_s=0)
        stranger.put(reading(1))
        assert not stranger.flush(0.1)
        stranger.close(timeout_s=0)
        assert not asked
        with Client(url, tmp_path / "spool", tls=trusted) as sender:
            assert sender.flush(20)
    assert numbers(asked[0]) == [1]


def test_what_could_not_be_sent_is_sent_after_the_next_start(tmp_path: Path) -> None:
    size = len(client._line(reading(0)))
    sender = Client(NOWHERE, tmp_path, batch_bytes=4 * size)
    for number in range(10):
        sender.put(reading(number))
    assert not sender.flush(0.05)
    sender.close(timeout_s=0)
    script: Script = [(200, {}, taken(4)), (200, {}, taken(4)), (200, {}, taken(2))]
    with answering(script) as (url, asked):
        Client(url, tmp_path).close()
    assert [number for each in asked for number in numbers(each)] == list(range(10))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="closed"):
        sender.put(reading(10))


def test_a_full_spool_drops_its_oldest_batches_and_reports_every_reading(tmp_path: Path) -> None:
    size = len(client._line(reading(10)))
    lost: list[Lost] = []
    sender = Client(
        NOWHERE, tmp_path, max_bytes=40 * size, batch_bytes=4 * size, on_lost=lost.extend
    )
    for number in range(10, 90):
        sender.put(reading(number))
        assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 40 * size
    sender.close(timeout_s=0)
    kept = [
        json.loads(line)["kwhConsumedAcTotal"]
        for batch in sorted(tmp_path.iterdir())
        for line in client._read(batch)[0]
    ]
    assert len(kept) >= 36
    assert sorted([number for number, _ in of(lost)] + kept) == list(range(10, 90))
    assert kept[-30:] == list(range(60, 90))
    # of the oldest, only the batch that was being sent is still there
    assert [number for number, _ in of(lost)] == sorted(number for number, _ in of(lost))
    assert {code for _, code in of(lost)} == {"spool_full"}


def test_what_cannot_be_json_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    sender = Client(NOWHERE, tmp_path, max_bytes=2000, batch_bytes=100)
    with pytest.raises(ValueError, match="not JSON compliant"):
        sender.put(reading(1), {"meterId": "M", "voltage": float("nan")})
    with pytest.raises(TypeError):
        sender.put(reading(1), {"meterId": b"M"})
    with pytest.raises(ValueError, match="a quarter of the spool"):
        sender.put(*map(reading, range(100)))
    sender.close(timeout_s=0)
    assert not list(tmp_path.iterdir())


def test_a_spool_is_used_by_one_client_at_a_time(tmp_path: Path) -> None:
    with Client(NOWHERE, tmp_path), pytest.raises(OSError, match="another client uses this spool"):
        Client(NOWHERE, tmp_path)
    Client(NOWHERE, tmp_path).close()


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://host", "https://"])
def test_what_is_no_url_says_what_one_is(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write it like https://host:3000"):
        Client(url, tmp_path)


def test_a_report_that_fails_keeps_the_batch_until_it_works(tmp_path: Path) -> None:
    reported: list[Sequence[Lost]] = []

    def report(lost: Sequence[Lost]) -> None:
        reported.append(lost)
        if len(reported) == 1:
            raise OSError("the disk is full")

    rejected = b'{"accepted":0,"duplicates":0,"rejected":[{"index":0,"code":"x","detail":"y"}]}'
    with answering([(422, {}, rejected)]) as (url, asked):
        with Client(url, tmp_path, on_lost=report) as sender:
            sender.put(reading(1))
        assert not list(tmp_path.iterdir())
    assert len(asked) == 2
    assert reported[0] == reported[1]


def test_losses_are_logged_when_nobody_else_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = b'{"accepted":0,"duplicates":0,"rejected":[{"index":0,"code":"x","detail":"y"}]}'
    busy = b'{"detail":"overloaded"}'
    script: Script = [(503, {}, busy), (503, {}, busy), (422, {}, rejected)]
    with answering(script) as (url, _), Client(url, tmp_path) as sender:
        sender.put(reading(1))
    assert [each.message for each in caplog.records] == [
        "not sent yet: 503 overloaded",
        "sent again",
        "lost 1 readings, such as Lost(reading={'meterId': 'M-1', 'kwhConsumedAcTotal': 1, "
        "'timestamp': '2026-02-09T10:00:00Z'}, code='x', detail='y')",
    ]


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from fleetmeter.client import Client

sender = Client("http://127.0.0.1:1", sys.argv[1], max_age_s=3600)
put, failed = 0, 0
for number in range(400):
    # the system writes as much as fits, and then fails
    most = 2000 if number % 7 else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        sender.put({"n": number})
        print(number)
    except OSError as error:
        assert error.errno == 27, error
        failed += 1
assert failed > 100, failed
sender.close(timeout_s=0)
"""


def test_a_disk_that_is_full_keeps_all_or_nothing_of_what_is_put(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    read = [client._read(batch) for batch in sorted(tmp_path.iterdir())]
    assert not [damaged for _, damages in read for damaged in damages]
    kept = [json.loads(line)["n"] for lines, _ in read for line in lines]
    assert kept == list(map(int, done.stdout.split()))


Fault = Literal["busy", "unanswered", "unanswered though stored", "too large", "interfered"]


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.lists(st.sampled_from(get_args(Fault)), max_size=12),
    st.sets(st.integers(0, 29)),
)
def test_whatever_goes_wrong_every_reading_is_stored_or_reported_and_never_both(
    puts: list[int], faults: list[Fault], bad: set[int]
) -> None:
    stored: set[int] = set()

    def answer(asked: Asked) -> Answered:
        fault = faults.pop() if faults else None
        if fault == "busy":
            return 503, {}, b"{}"
        if fault == "unanswered":
            return 0, {}, b""
        if fault == "too large":
            return 413, {}, b"{}"
        if fault == "interfered":
            return 200, {}, b"<html>"
        sent = numbers(asked)
        good = [number for number in sent if number not in bad]
        known = len(stored & set(good))
        stored.update(good)
        rejected = [
            {"index": index, "code": "too_old", "detail": ""}
            for index, number in enumerate(sent)
            if number in bad
        ]
        outcome = {"accepted": len(good) - known, "duplicates": known, "rejected": rejected}
        if fault is not None:
            return 0, {}, b""
        return 200 if not rejected else 207, {}, json.dumps(outcome).encode()

    lost: list[Lost] = []
    count = 0
    with TemporaryDirectory() as folder, answering(answer) as (url, _):
        for size in puts:  # each by a client that is started again
            sender = Client(url, folder, max_age_s=3600, on_lost=lost.extend)
            sender.put(*map(reading, range(count, count + size)))
            count += size
            sender.close(timeout_s=0)
        with Client(url, folder, on_lost=lost.extend):
            pass
        assert not list(Path(folder).iterdir())
    reported = {number for number, _ in of(lost)}
    assert stored == set(range(count)) - bad
    assert reported == set(range(count)) & bad


@given(st.data())
def test_of_a_damaged_spool_every_reading_is_sent_as_it_was_put_or_reported(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        sender = Client(NOWHERE, folder)
        for number in range(5):
            sender.put(reading(number))
        sender.close(timeout_s=0)
        (batch,) = Path(folder).iterdir()
        content = bytearray(batch.read_bytes())
        cut = data.draw(st.integers(0, len(content)), label="cut")
        torn = data.draw(st.binary(max_size=300), label="torn")
        content[cut:] = torn
        batch.write_bytes(content)
        lines, damaged = client._read(batch)
    whole = content[:cut].count(b"\n")
    assert [json.loads(line)["kwhConsumedAcTotal"] for line in lines[:whole]] == list(range(whole))
    assert all(json.loads(line) == reading(n) for n, line in enumerate(lines))
    written = [line for line in bytes(content).split(b"\n") if line]
    assert len(written) == len(lines) + len(damaged)


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(Path(client.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    assert imported <= sys.stdlib_module_names


def test_a_client_may_be_closed_twice(tmp_path: Path) -> None:
    with Client(NOWHERE, tmp_path) as sender:
        sender.put(reading(1))
        sender.close(timeout_s=0)
        with (tmp_path / "other").open("wb") as other:  # has the number that the lock had
            sender.close()
            other.write(b"x")
    with Client(NOWHERE, tmp_path):
        pass


def test_a_key_may_have_the_line_break_of_its_file(tmp_path: Path) -> None:
    with answering([(200, {}, TAKEN)]) as (url, asked):
        with Client(url, tmp_path, key="fm_1_2\n") as sender:
            sender.put(reading(1))
        assert [each.headers["Authorization"] for each in asked] == ["Bearer fm_1_2"]


@pytest.mark.parametrize("key", ["a\nb", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="characters") as refused:
        Client(NOWHERE, tmp_path, key=key)
    assert key not in str(refused.value)
