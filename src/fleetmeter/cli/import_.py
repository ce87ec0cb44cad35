"""`fleetmeter import`: files of readings into the database."""

from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from fleetmeter.cli.shared.database import database_url, migrate_when_new
from fleetmeter.files.imports import prepare, run
from fleetmeter.log import configure_logging
from fleetmeter.settings import load_settings


def _preset(ctx: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """List the presets instead, when that is asked for."""
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
    help="Of all files; otherwise their endings tell it.",
)
@click.option(
    "--map",
    "mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says which columns mean what; docs/import.md explains it.",
)
@click.option(
    "--preset",
    metavar="NAME",
    is_eager=True,
    callback=_preset,
    help="A common export; --preset help lists them.",
)
@click.option("--device", metavar="ID", help="The device, where the file does not tell it.")
@click.option("--zone", metavar="ZONE", help="Of times without an offset, such as Europe/Berlin.")
@click.option("--guess", is_flag=True, help="Print a mapping that may fit, and store nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be stored, and store nothing.")
@click.option(
    "--evaluate",
    is_flag=True,
    help="Then let the rules look at the time of the files, however long ago it was.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the rejects and the progress; otherwise they go beside each file.",
)
@click.option(
    "--correct",
    is_flag=True,
    help="Replace the values of readings that are stored with others; versions are kept.",
)
@click.option("--reason", metavar="TEXT", help="With --correct: why; the file's name by default.")
@click.option(
    "--who", metavar="TEXT", help="With --correct: who corrects; fleetmeter import by default."
)
def command(*, correct: bool, reason: str | None, who: str | None, **options: Any) -> None:
    """Store the readings of files, straight into the database.

    CSV, NDJSON, JSON and Parquet files with the API's names need nothing else. Others need --map,
    --preset or --guess; they may be Excel workbooks too. What cannot be taken goes to
    FILE.rejected.ndjson, with its line and the reason; the rest is stored. An import that was
    interrupted goes on where it was when it is run again.
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
