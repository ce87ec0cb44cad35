"""`fleetmeter import --correct`: what a file has replaces what is stored with the same key."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from fleetmeter.cli import main
from fleetmeter.errors import FleetMeterError
from fleetmeter.files.imports.run import Stop, corrections, prepared, run
from fleetmeter.settings import Settings
from tests.conftest import Db, eventually, hours_ago, meter_reading, post, rfc3339
from tests.support.consistency import rollup_differences
from tests.support.corrections import correct
from tests.support.imports import rejects
from tests.support.pages import history

MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.either


def imported(url: str, path: Path, reason: str | None = "the final values") -> int:
    """Import with --correct; return the exit status."""
    why = corrections([path], "anna", reason)
    return run(prepared([path], None, None), url, Settings(database_url=url), Stop(), why)


def test_the_rows_of_a_file_replace_what_is_stored(
    client: httpx.Client,
    db: Db,
    database_url: str,
    uid: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at, meter, register = hours_ago(30), f"{uid}M", f"{uid}R"
    post(client, *(meter_reading(meter, at + n * MINUTE, 0) for n in range(4)))
    for n, total in enumerate((100, 109, 103)):
        reading = {"meterId": register, "timestamp": rfc3339(at + n * MINUTE)}
        post(client, reading | {"kwhConsumedAcTotal": total})
    correct(client, meterId=meter, timestamp=rfc3339(at + 3 * MINUTE), void=True)
    path = tmp_path / "final.csv"
    rows = [
        f"{meter},{rfc3339(at)},1.3,,",
        f"{meter},{rfc3339(at + MINUTE)},0,,",  # as it is stored
        f"{meter},{rfc3339(at + 2 * MINUTE)},0.8,,231",
        f"{meter},{rfc3339(at + 3 * MINUTE)},0.4,,",  # voided
        f"{meter},{rfc3339(at + 4 * MINUTE)},0.5,,",  # not stored yet
        f"{meter},{rfc3339(at + 5 * MINUTE)},-1,,",
        f"{meter},{rfc3339(at)},,7,",  # the other kind of energy
        f"{register},{rfc3339(at + MINUTE)},,101,",
    ]
    header = "meterId,timestamp,kwhConsumedAc,kwhConsumedAcTotal,voltage"
    path.write_text("\n".join([header, *rows]) + "\n")
    assert imported(database_url, path) == 1
    said = capsys.readouterr().out
    assert "1 accepted, 3 corrected, 1 duplicates, 3 rejected" in said
    found = {line: reject["code"] for line, reject in rejects(path).items()}
    assert found == {5: "voided_reading", 7: "out_of_range", 8: "mixed_energy"}

    items = history(client, f"/v1/meters/{meter}", at, versions="all")
    assert [item.get("kwhConsumedAc") for item in items] == [1.3, 0, 0.8, None, 0.5]
    assert items[2]["voltage"] == 231
    assert items[0]["voltage"] == 230, "what a row does not have stays"
    (version,) = items[0]["versions"]
    assert (version["kwhConsumedAc"], version["replacedBy"]) == (0, "anna")
    assert version["reason"] == "the final values"
    derived = [item["kwhConsumedAc"] for item in history(client, f"/v1/meters/{register}", at)]
    assert derived == [None, 1, 2]
    eventually(lambda: rollup_differences(db, uid) == [], timeout_s=20)

    assert imported(database_url, path) == 1, "the rejected ones are still in it"
    assert "0 accepted, 5 duplicates, 3 rejected" in capsys.readouterr().out


def test_without_correct_what_is_stored_stays(
    client: httpx.Client, database_url: str, uid: str, tmp_path: Path
) -> None:
    at = hours_ago(3)
    post(client, meter_reading(f"{uid}M", at, 0))
    path = tmp_path / "again.ndjson"
    path.write_text(json.dumps(meter_reading(f"{uid}M", at, 9)) + "\n")
    assert run(prepared([path], None, None), database_url, Settings(), Stop()) == 1
    (item,) = history(client, f"/v1/meters/{uid}M", at)
    assert item["kwhConsumedAc"] == 0


def test_who_and_why_have_a_default_and_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "final.csv"
    assert corrections([path], None, None) == ("fleetmeter import", "imported from final.csv")
    for wrong in ("a\nb", "x" * 1001):
        with pytest.raises(FleetMeterError, match="--reason must be at most 1000 characters"):
            corrections([path], None, wrong)


def test_a_reason_goes_with_correct(tmp_path: Path) -> None:
    path = tmp_path / "final.csv"
    path.write_text("meterId,timestamp,kwhConsumedAc\n")
    arguments: list[Any] = ["import", str(path), "--reason", "because"]
    said = CliRunner().invoke(main, arguments)
    assert (said.exit_code, "go with --correct" in said.output) == (2, True)
