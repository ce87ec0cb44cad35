"""GET /v1/export: everything sent, in both formats, and no cut file that looks complete."""

import csv
import io
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import httpx
import pytest
from pyarrow import parquet

from fleetmeter import app
from fleetmeter.files.column_names import DERIVED, EXPORTED
from fleetmeter.http import export
from fleetmeter.http.shared import streaming
from tests.conftest import (
    Db,
    Server,
    eventually,
    hours_ago,
    meter_reading,
    migrated_database,
    on_migrated,
    post,
    rfc3339,
    running_service,
    vehicle_reading,
)
from tests.support.services import served

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TIMES = {"intervalStart", "timestamp"}
TEXTS = {"vehicleId", "meterId", "sessionId", *TIMES}
SENT = EXPORTED[: -len(DERIVED)]
MANY = 160_000
"""Readings whose export no socket's buffers hold, and no row group of Parquet."""

DEVICES = """
insert into devices (device, kind, id)
overriding system value
select 1000 + n, 'vehicle', 'EV-' || n from generate_series(0, 99) as n
union all select 2000, 'meter', 'MTR'
"""
FILL = """
insert into readings (device, meter, time, energy_mwh, soc_bp, battery_temp_cdeg)
select 1000 + n % 100, 2000, timestamptz '2026-01-01 00:00Z' + n / 100 * interval '10 seconds',
    n, 5000, 2000
from generate_series(0, $1 - 1) as n
"""


def exported(client: httpx.Client, **params: Any) -> list[dict[str, str]]:
    """Return the lines of an export."""
    answer = client.get("/v1/export", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.text.splitlines()[0] == ",".join(EXPORTED)
    return lines


def sent(line: dict[str, str]) -> dict[str, Any]:
    """Return a line as a device would send it."""
    return {name: line[name] if name in TEXTS else float(line[name]) for name in SENT if line[name]}


def edges(uid: str, at: datetime) -> list[dict[str, Any]]:
    """Return readings with values at the edges of their bounds."""
    register = {"kwhDeliveredDcTotal": 999_999_999.999999, "kwhDeliveredDc": None}
    ac_register = {"kwhConsumedAc": None}
    readings = [
        vehicle_reading(f"{uid}EV", at, 0.000001, soc=0, batteryTemp=-60),
        vehicle_reading(f"{uid}EV", at + MINUTE, 0.1 + 0.2, soc=100, batteryTemp=150),
        vehicle_reading(f"{uid}EV", at + 2 * MINUTE, 1000, soc=0.01, batteryTemp=-0.01),
        vehicle_reading(f"{uid}EV", at + timedelta(seconds=150.5), 0, meterId=f"{uid}M"),
        vehicle_reading(f"{uid}EV", at + timedelta(microseconds=180_000_001), 123.000045),
        vehicle_reading(f"{uid}:.R-_", at, soc=99.99, **register),
        meter_reading(f"{uid}M", at, 0.00001, voltage=0),
        meter_reading(f"{uid}M", at + MINUTE, 0.0001, voltage=999.999),
        *(
            meter_reading(f"{uid}R", at + n * MINUTE, kwhConsumedAcTotal=total, **ac_register)
            for n, total in enumerate([10, 10.25, 3, 1_000_000_000])
        ),
        meter_reading(f"{uid}S", at, 5, intervalStart=rfc3339(at - timedelta(seconds=7200.5))),
        meter_reading(f"{uid}S", at + MINUTE, 2, intervalStart=rfc3339(at - 90 * MINUTE)),
    ]
    return [{k: v for k, v in reading.items() if v is not None} for reading in readings]


@pytest.mark.either
def test_every_value_is_exact_and_can_be_sent_again(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    readings = edges(uid, at)
    post(client, *readings)
    put = client.put(f"/v1/vehicles/{uid}EV/meter", json={"meterId": f"{uid}M"})
    assert put.status_code == 200
    window = {"from": rfc3339(at), "to": rfc3339(at + 4 * MINUTE)}
    lines = [
        line for line in exported(client, **window) if uid in line["vehicleId"] + line["meterId"]
    ]

    def key(reading: dict[str, Any]) -> tuple[str, str, str]:
        return reading.get("vehicleId", ""), reading.get("meterId", ""), reading["timestamp"]

    shown = [
        {name: _trimmed(value) if name in TIMES else value for name, value in r.items()}
        for r in readings
    ]
    assert sorted(map(sent, lines), key=key) == sorted(
        [
            r | {k: pytest.approx(v, abs=1e-9, rel=0) for k, v in r.items() if isinstance(v, float)}
            for r in shown
        ],
        key=key,
    )
    energies = [line["kwhDeliveredDc"] for line in lines if line["vehicleId"] == f"{uid}EV"]
    assert energies == ["0.000001", "0.3", "1000.0", "0.0", "123.000045"]
    resent = post(client, *map(sent, lines))
    assert (resent["accepted"], resent["duplicates"]) == (0, len(readings))


@pytest.mark.either
def test_derived_values_have_columns_of_their_own(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    since = rfc3339(at - MINUTE)
    for vehicle in ("EV", "REG"):
        json = {"meterId": f"{uid}M", "since": since}
        assert client.put(f"/v1/vehicles/{uid}{vehicle}/meter", json=json).status_code == 200
    total = {"kwhDeliveredDc": None, "kwhDeliveredDcTotal": 7}
    readings = [
        vehicle_reading(f"{uid}EV", at),
        vehicle_reading(f"{uid}EV", at + MINUTE, meterId=f"{uid}other"),
        *(
            {
                k: v
                for k, v in vehicle_reading(f"{uid}REG", at + n * MINUTE, **total).items()
                if v is not None
            }
            | {"kwhDeliveredDcTotal": kwh}
            for n, kwh in enumerate([7, 7.5, 2])
        ),
    ]
    post(client, *readings)
    window = {"from": rfc3339(at), "to": rfc3339(at + 3 * MINUTE)}
    stamped, declared = exported(client, vehicleId=f"{uid}EV", **window)
    assert (stamped["meterId"], stamped["assignedMeterId"]) == ("", f"{uid}M")
    assert (declared["meterId"], declared["assignedMeterId"]) == (f"{uid}other", "")
    registers = exported(client, vehicleId=f"{uid}REG", **window)
    assert [
        (line["kwhDeliveredDc"], line["kwhDeliveredDcTotal"], line["derivedKwh"], line["reset"])
        for line in registers
    ] == [("", "7.0", "", ""), ("", "7.5", "0.5", ""), ("", "2.0", "", "true")]
    history = client.get(f"/v1/vehicles/{uid}REG/readings", params=window).json()["items"]
    assert [item["kwhDeliveredDc"] for item in history] == [None, 0.5, None]


@pytest.mark.either
def test_parquet_has_the_same_values_with_types(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    post(client, *edges(uid, at))
    for device in (
        {"vehicleId": f"{uid}EV"},
        {"vehicleId": f"{uid}:.R-_"},
        *({"meterId": f"{uid}{name}"} for name in "RS"),
    ):
        window = {"from": rfc3339(at), "to": rfc3339(at + 4 * MINUTE)} | device
        answer = client.get("/v1/export", params={"format": "parquet", **window})
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        rows = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
        assert [list(row) for row in rows] == [list(EXPORTED)] * len(rows)
        texts: list[dict[str, Any]] = [
            {name: None if value == "" else value for name, value in line.items()}
            for line in exported(client, **window)
        ]
        for line in texts:
            for name in set(EXPORTED) - TEXTS - {"assignedMeterId"}:
                if line[name] is not None:
                    line[name] = line[name] == "true" if name == "reset" else float(line[name])
            for name in TIMES:
                line[name] = line[name] and datetime.fromisoformat(line[name])
        assert rows == texts


@pytest.mark.either
def test_a_window_begins_with_from_and_ends_before_to(client: httpx.Client, uid: str) -> None:
    at = hours_ago(2)
    post(client, *(meter_reading(f"{uid}M", at + n * MINUTE, n) for n in range(4)))
    window = {"from": rfc3339(at + MINUTE), "to": rfc3339(at + 3 * MINUTE)}
    lines = exported(client, meterId=f"{uid}M", **window)
    assert [line["kwhConsumedAc"] for line in lines] == ["1.0", "2.0"]


@pytest.mark.either
def test_an_empty_window_is_an_empty_file_of_either_format(client: httpx.Client) -> None:
    window = {"from": "1999-01-01T00:00:00Z", "to": "2019-01-01T00:00:00Z"}
    assert exported(client, **window) == []
    answer = client.get("/v1/export", params={"format": "parquet", **window})
    table = parquet.read_table(io.BytesIO(answer.content))
    assert (table.num_rows, table.column_names) == (0, list(EXPORTED))


@pytest.mark.either
@pytest.mark.parametrize(
    ("params", "status", "kind"),
    [
        ({"vehicleId": "nobody"}, 404, "unknown-vehicle"),
        ({"meterId": "nobody", "format": "parquet"}, 404, "unknown-meter"),
        ({"vehicleId": "a", "meterId": "b"}, 400, "invalid-parameter"),
        ({"vehicleId": " ab"}, 400, "invalid-parameter"),
        ({"format": "xml"}, 400, "invalid-parameter"),
        ({"limit": "3"}, 400, "invalid-parameter"),
        ({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 400, "invalid-parameter"),
    ],
)
def test_an_invalid_export_is_a_problem(
    client: httpx.Client, params: dict[str, str], status: int, kind: str
) -> None:
    answer = client.get("/v1/export", params=params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:fleetmeter:problem:{kind}"
    for error in answer.json().get("errors", []):
        assert error["path"] in params


@pytest.mark.either
def test_the_file_is_named_after_what_it_holds(client: httpx.Client, uid: str) -> None:
    post(client, meter_reading(f"{uid}M:1", hours_ago(1)))
    window = {"from": "2026-01-31T00:00:00Z", "to": "2026-02-01T06:30:00Z"}
    answer = client.get("/v1/export", params={"meterId": f"{uid}M:1", **window})
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="fleetmeter_{uid}M-1_2026-01-31_2026-02-01T063000Z.csv"'
    )


def slow_client(url: str) -> httpx.Client:
    """Return a client with a small socket buffer."""
    small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    transport = httpx.HTTPTransport(socket_options=[small])
    return httpx.Client(base_url=url, timeout=30, transport=transport)


class Large(NamedTuple):
    """A service on a database of its own, with more history than buffers hold."""

    url: str
    db: Db
    client: httpx.Client

    def stream(self, format_: str = "csv") -> Any:
        """Ask for all of it."""
        window = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
        return self.client.stream("GET", "/v1/export", params={"format": format_, **window})

    def copies(self) -> int:
        """Return the number of connections that are copying."""
        found: int = self.db.value(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid()"
            " and (query ilike 'copy (%' and state = 'active' or state like 'idle in%')"
        )
        return found

    def busy(self) -> bool:
        """Return whether an export is refused."""
        window = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
        return self.client.get("/v1/export", params=window).status_code == 503


@pytest.fixture(scope="module")
def large(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    with migrated_database(server, jobs=False) as url:
        db = Db(url)
        db.fetch(DEVICES)
        db.fetch(FILL, MANY)
        environ = {**on_migrated(url), "FLEETMETER_POOL_SIZE": "4"}
        with (
            running_service(tmp_path_factory.mktemp("large"), environ) as service,
            slow_client(service.base_url) as client,
        ):
            yield Large(url, db, client)


@pytest.mark.slow
def test_a_large_export_is_whole_in_either_format(large: Large, tmp_path: Path) -> None:
    for format_ in ("csv", "parquet"):
        with large.stream(format_) as answer, (tmp_path / format_).open("wb") as file:
            for block in answer.iter_raw():
                file.write(block)
    assert (tmp_path / "csv").read_bytes().count(b"\n") == MANY + 1
    table = parquet.read_table(tmp_path / "parquet")
    energies = table["kwhDeliveredDc"].to_pylist()
    assert sorted(energies) == [n / 1_000_000 for n in range(MANY)]
    groups = parquet.ParquetFile(tmp_path / "parquet").metadata
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) < MANY


@pytest.mark.slow
def test_clients_that_disconnect_free_their_connections(large: Large) -> None:
    for n in range(8):
        with large.stream("csv" if n % 3 else "parquet") as answer:
            assert answer.status_code in (200, 503)
            if n % 2:
                next(answer.iter_raw())
    eventually(lambda: not large.copies())
    assert not large.busy()
    assert post(large.client, meter_reading(f"M-{n}", hours_ago(1)))["accepted"] == 1
    for _ in range(8):  # each connection of the pool works
        assert large.client.get("/v1/vehicles").status_code == 200


@pytest.mark.either
def test_a_third_simultaneous_export_is_503_with_retry_after(large: Large) -> None:
    eventually(lambda: not large.copies() and not large.busy())
    with ExitStack() as open_streams:
        for _ in range(2):
            assert open_streams.enter_context(large.stream()).status_code == 200
        refused = large.client.get("/v1/export")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:fleetmeter:problem:exports-busy"
        assert int(refused.headers["retry-after"]) >= 1
        assert post(large.client, meter_reading("M-busy", hours_ago(1)))["accepted"] == 1
    eventually(lambda: not large.busy())


def test_a_slow_client_holds_no_lock_that_a_policy_or_a_writer_waits_for(large: Large) -> None:
    eventually(lambda: not large.busy())
    with large.stream() as answer:
        next(answer.iter_raw(1000))
        large.db.run("set local lock_timeout = '5s'; lock table readings in access exclusive mode")
    eventually(lambda: not large.busy())


TERMINATE = (
    # also between two pages, while the client reads
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database()"
    " and (query ilike 'copy (%' or query like 'select r.device, r.time%')"
)


@pytest.mark.either
def test_a_file_that_the_database_could_not_finish_is_visibly_truncated(large: Large) -> None:
    eventually(lambda: not large.busy())
    with pytest.raises(httpx.TransportError), large.stream() as answer:  # noqa: PT012
        blocks = answer.iter_raw()
        next(blocks)
        assert large.db.fetch(TERMINATE)
        for _ in blocks:
            pass
    eventually(lambda: not large.busy())


@pytest.mark.either
def test_a_failure_before_the_first_byte_is_a_problem(large: Large) -> None:
    eventually(lambda: not large.busy())
    with ThreadPoolExecutor(1) as beside:
        terminated = beside.submit(lambda: eventually(large.db.fetch, TERMINATE, pause_s=0))
        try:
            with large.stream("parquet") as answer:
                answer.read()
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:fleetmeter:problem:database-unavailable"
        except httpx.TransportError:
            pass  # a first row group was out already
        assert terminated.result()
    eventually(lambda: not large.busy())


@pytest.mark.slow
def test_a_client_that_stops_reading_is_dropped(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "STALL_S", 0.3)
    monkeypatch.setattr(app, "_spare_the_collector", lambda: None)
    window = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    log = Mock()
    monkeypatch.setattr(streaming, "_log", log)
    with served(large.url) as url, slow_client(url) as client:
        with (  # noqa: PT012
            pytest.raises(httpx.TransportError),
            client.stream("GET", "/v1/export", params=window) as answer,
        ):
            assert answer.status_code == 200
            eventually(lambda: log.log.called)
            assert "the client took nothing for 0.3 s" in str(log.log.call_args)
            for _ in answer.iter_raw():
                pass
        assert client.get("/v1/export").status_code == 200


@pytest.mark.either
def test_without_pyarrow_parquet_says_what_to_install(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_spare_the_collector", lambda: None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with served(large.url) as url:
        answer = httpx.get(f"{url}/v1/export", params={"format": "parquet"})
        assert answer.status_code == 501
        assert "pip install 'fleetmeter[parquet]'" in answer.json()["detail"]
        assert httpx.get(f"{url}/v1/export").status_code == 200


def _trimmed(timestamp: str) -> str:
    """Return a timestamp as exports write it, without trailing zeros in the fraction."""
    time = datetime.fromisoformat(timestamp).astimezone(UTC)
    text = time.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"
