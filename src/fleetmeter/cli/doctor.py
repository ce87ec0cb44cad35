"""`fleetmeter doctor`: looks whether the database and what runs on it are well."""

import asyncio
import sys

import click
import msgspec

from fleetmeter.cli.shared.database import database_url
from fleetmeter.database.embedded import is_initialised
from fleetmeter.errors import FleetMeterError
from fleetmeter.operations.doctor.asking import ask
from fleetmeter.operations.doctor.facts import Finding, error
from fleetmeter.operations.doctor.judgement import judge, worst
from fleetmeter.settings import Settings, load_settings
from fleetmeter.terminal import say


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Number of processes that serve this database: services × --workers.",
)
def command(as_json: bool, processes: int) -> None:
    """Look whether the database is well, and say what to do about what is not.

    Prints a line for each check: ok, warning or error. Run it with the settings of the service.
    Changes nothing. The exit status is 1 if there is an error, otherwise 0, also with warnings.
    """
    findings = _examine(load_settings(), processes)
    status = worst(findings)
    if as_json:
        document = msgspec.json.encode({"status": status, "findings": findings})
        say(msgspec.json.format(document).decode())
    else:
        for each in findings:
            advice = f" → {each.advice}" if each.advice else ""
            say(" ".join(f"{each.status:<8} {each.check:<12} {each.text}{advice}".split("\n")))
    if status == "error":
        sys.exit(1)


def _examine(settings: Settings, processes: int) -> list[Finding]:
    """Return all findings; one alone if the database cannot be asked."""
    try:
        if settings.database_url is None and not is_initialised(settings.data_dir):
            raise FleetMeterError(
                f"FLEETMETER_DATABASE_URL is not set, and {settings.data_dir} has no database"
            )
        with database_url(settings) as url:
            return judge(asyncio.run(ask(url, settings, processes)))
    except FleetMeterError as reason:
        return [
            error(
                "database",
                str(reason),
                "see that the server runs and that the settings are those of the service",
            )
        ]
