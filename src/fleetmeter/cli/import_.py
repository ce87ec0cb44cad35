"""`fleetmeter import`: stores readings from files."""

from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from fleetmeter.cli.shared.database import database_url, migrate_when_new
from fleetmeter.files.imports import prepare, run
from fleetmeter.log import configure_logging
from fleetmeter.settings import load_settings


def _preset(ctx: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """List the presets and exit when the name is `help`."""
    if name == "help":
        prepare.list_presets()
        ctx.exit()
    return name


@click.command("import")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "ndjson", "json", "parquet", "xlsx"]),
    help="Format of all files; by default, taken from their extensions.",
)
@click.option(
    "--map",
    "mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that maps columns to fields; see docs/import.md.",
)
@click.option(
    "--preset",
    metavar="NAME",
    is_eager=True,
    callback=_preset,
    help="Built-in mapping for a common format; --preset help lists them.",
)
@click.option("--device", metavar="ID", help="Device id, if the file does not contain one.")
@click.option(
    "--zone", metavar="ZONE", help="Time zone of times without an offset, such as Europe/Berlin."
)
@click.option("--guess", is_flag=True, help="Print a mapping to start from; store nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be stored; store nothing.")
@click.option(
    "--evaluate",
    is_flag=True,
    help="Then run the anomaly rules over the period of the files, however old.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for rejects and progress files; by default, beside each input file.",
)
@click.option(
    "--correct",
    is_flag=True,
    help="Replace stored values that differ from the file; old versions are kept.",
)
@click.option(
    "--reason", metavar="TEXT", help="With --correct: the reason; by default, the file name."
)
@click.option(
    "--who", metavar="TEXT", help="With --correct: the author; by default, fleetmeter import."
)
def command(*, correct: bool, reason: str | None, who: str | None, **options: Any) -> None:
    """Import readings from files straight into the database.

    CSV, NDJSON, JSON and Parquet files with the API's field names need no options. Other files,
    Excel workbooks included, need --map or --preset; --guess writes a mapping to start from.
    Rejected lines go to FILE.rejected.ndjson with line number and reason; the rest is stored. An
    interrupted import resumes where it stopped when it is run again.
    """
    settings = load_settings()
    quiet = settings.log_level == "info"
    configure_logging(replace(settings, log_level="warning") if quiet else settings)
    if (who or reason) and not correct:
        raise click.UsageError("--who and --reason go with --correct")
    imports, evaluate = prepare.prepare(settings, **options)
    corrections = run.corrections(options["files"], who, reason) if correct else None
    with run.Stop().on_signals() as stop, database_url(settings) as url:
        migrate_when_new(url, settings)
        status = run.run(imports, url, settings, stop, corrections, evaluate=evaluate)
    raise SystemExit(status)
