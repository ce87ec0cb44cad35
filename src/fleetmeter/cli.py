"""The command line."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, Literal, get_args

import click
import msgspec
import structlog
from msgspec.structs import replace

from fleetmeter import __version__
from fleetmeter.anomalies.model import Kind as AnomalyKind
from fleetmeter.database.embedded import embedded_postgresql
from fleetmeter.database.migrations import Accounting, Migrated, migrate, missing_from
from fleetmeter.errors import DatabaseUnavailableError, FleetMeterError, NotMigratedError
from fleetmeter.log import configure_logging
from fleetmeter.purge import Kind, count, kind_of, purge
from fleetmeter.settings import Settings, load_settings
from fleetmeter.simulate.durations import parse_duration
from fleetmeter.simulate.faults import Wanted, parse_wanted
from fleetmeter.transfer.export_file import check, export_to, parse_device_id, parse_time
from fleetmeter.transfer.exporting import Selection

_DATABASE_WAIT_S = 30.0
"""How long a start waits for a database that is still starting itself."""

_WELCOME = """
FleetMeter is running at {url}
  API reference  {url}/docs
  Try            curl -X POST {url}/v1/ingest -H 'Content-Type: application/json' -d '{reading}'
"""
_READING = (
    '{"meterId": "MTR-1", "kwhConsumedAc": 1.5, "voltage": 230, '
    '"timestamp": "\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'"}'
)


class _Commands(click.Group):
    """Shows our own errors as one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except NotMigratedError as error:
            raise click.ClickException(
                f"the database is not migrated ({error}); run: fleetmeter migrate"
            ) from error
        except FleetMeterError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleetmeter")
def main() -> None:
    """FleetMeter: energy accounting for electric fleets.

    Settings are environment variables, FLEETMETER_…; the README lists them.
    """


@main.command("serve")
@click.option(
    "--workers",
    default=1,
    type=click.IntRange(1, 64),
    help="Processes that answer requests, each with writers and a pool of its own.",
)
@click.option("--welcome", is_flag=True, help="Print where it can be reached, and what to try.")
def serve_command(workers: int, welcome: bool) -> None:
    """Migrate the database and answer HTTP until SIGINT or SIGTERM."""
    # the HTTP framework, which takes longer to load than most commands take
    from fleetmeter.serving import listening_socket, serve, serve_with_workers, url_of

    settings = load_settings()
    configure_logging(settings)
    # uvicorn stops gracefully on a signal and then raises it again: it must not end the process
    # before the embedded server has been stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)

    def listening(url: str) -> None:
        structlog.get_logger().info("listening", url=url)
        if welcome:
            click.echo(_WELCOME.format(url=url, reading=_READING))

    with listening_socket(settings) as listener, _database_url(settings) as url:
        if settings.migrate:
            done = _migrate(url, settings)
            structlog.get_logger().info("database ready", engine=done.engine, applied=done.applied)
        if workers == 1:
            serve(url, settings, listener, listening)
        else:
            listening(url_of(listener))
            serve_with_workers(url, settings, workers, listener)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database to this version's schema; safe to repeat and to run at the same time."""
    settings = load_settings()
    with _database_url(settings) as url:
        done = _migrate(url, settings)
    for name in done.applied:
        click.echo(f"applied {name}")
    click.echo(f"the database is up to date (engine: {done.engine})")


@main.command("storage")
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def storage_command(as_json: bool) -> None:
    """Tell what is stored, how large it is, and how the database's own jobs went last."""
    from fleetmeter import storage  # what it needs, nothing else does

    with _database_url(load_settings()) as url:
        stored = asyncio.run(storage.read_storage(url))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(stored)))
    else:
        storage.show(stored)


@main.command("welcome", hidden=True)
@click.argument("url")
def welcome_command(url: str) -> None:
    """Print where a running service can be reached, and what to try."""
    click.echo(_WELCOME.format(url=url, reading=_READING))


@main.command("bench")
@click.option("--devices", default=10_000, type=click.IntRange(1000, 900_000), show_default=True)
@click.option(
    "--readings",
    default=1_000_000,
    type=click.IntRange(200_000, 20_000_000),
    show_default=True,
    help="Of each scenario that goes as fast as it can.",
)
@click.option(
    "--seconds",
    default=30.0,
    type=click.FloatRange(1, 600),
    show_default=True,
    help="Of each scenario that has a rate.",
)
@click.option(
    "--fleet",
    default=10_000,
    type=click.IntRange(100, 100_000),
    show_default=True,
    help="Vehicles of the answers, and as many meters; of the columnstore a tenth.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=int,
    default=(101,),
    show_default=True,
    help="Of a fleet whose anomalies are looked for; can be given several times.",
)
@click.option("--vehicles", default=200, type=click.IntRange(1, 10_000), help="Of each of them.")
@click.option("--days", default=30, type=click.IntRange(1, 90), help="Of each of them.")
@click.option("--faults", default=20, type=click.IntRange(1, 100), help="Of each kind in each.")
@click.option("--rounds", default=1, type=click.IntRange(1, 20), help="Take medians of so many.")
@click.option("--workers", default=1, type=click.IntRange(1, 64), help="Of the service.")
@click.option("--only", multiple=True, help="A scenario; can be given several times.")
@click.option("--soak", default=0.0, help="Seconds at half load, beside the scenarios.")
@click.option(
    "--against",
    is_flag=False,
    flag_value="19b41f4",
    metavar="[REVISION]",
    help="Compare this version with one of the git repository, 19b41f4 unless given, in turn.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="A fifth of the devices and readings, and a twentieth of the fleet, in some minutes.",
)
@click.option(
    "--out",
    default="bench.json",
    type=click.Path(dir_okay=False, path_type=Path),
    show_default=True,
)
def bench_command(out: Path, rounds: int, **options: Any) -> None:
    """Measure how fast readings are stored and asked about, and how small they become.

    On a database of its own, created on the server of FLEETMETER_DATABASE_URL and dropped again, or
    on an embedded server in a temporary folder.
    """
    from fleetmeter.bench import command  # what it needs, nothing else does

    settings = load_settings()
    with _bench_server(settings) as url:
        command.bench(url, settings, rounds=rounds, out=out, **options)


def _duration(ctx: click.Context, option: click.Parameter, text: str | None) -> timedelta | None:
    """A length of time. Raises click.BadParameter."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _time_or_none(ctx: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _faults(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[Wanted]:
    """Raises click.BadParameter."""
    try:
        return [parse_wanted(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@main.command("simulate")
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="Of the service.")
@click.option("--vehicles", default=200, type=click.IntRange(1, 100_000), show_default=True)
@click.option("--seed", default=1, show_default=True, help="Another one is another fleet.")
@click.option(
    "--backfill",
    callback=_duration,
    metavar="LENGTH",
    help="How far back it begins, like 30d or 12h; by default 24h with --speed, else now.",
)
@click.option(
    "--start",
    callback=_time_or_none,
    metavar="TIME",
    help="When it begins instead, RFC 3339 or a date; for the same readings again.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=1),
    metavar="N",
    help="How many times as fast the past goes by; by default as fast as the service takes it.",
)
@click.option(
    "--duration",
    callback=_duration,
    metavar="LENGTH",
    help="How long it goes on once it has reached the present; 0 stops there, by default Ctrl-C.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    metavar="FAULT",
    help="KIND[:VARIANT]@DEVICE[+START[/LENGTH]], like dc_exceeds_ac:wrong-meter@EV-7+2d/5d, START "
    "from the beginning; without it, when the fault shows. Can be given several times.",
)
@click.option(
    "--faults-per-kind",
    default=0,
    type=click.IntRange(0, 1000),
    help="So many of every kind, on devices and at times where they show.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what is really wrong, as JSON.",
)
@click.option("--prefix", default="", help="Before the ids of all devices and sites.")
@click.option(
    "--season",
    type=click.Choice(["winter", "spring", "summer", "autumn"]),
    help="Whatever the date says.",
)
@click.option("--connections", default=4, type=click.IntRange(1, 64), show_default=True)
def simulate_command(**options: Any) -> None:
    """Drive a running service with a fleet that behaves like one, and with faults.

    Vehicles EV-1, EV-2, … charge at meters MTR-1, … of sites SITE-1, …; they are announced, with
    their meters and batteries, and then report every minute. It begins at the full hour before
    --backfill or --start, sends what is past as fast as the service takes it (or --speed times as
    fast as it was), and goes on live once it has reached the present. What the service does not
    acknowledge is sent again. Ctrl-C stops it and tells what was done.

    \b
    Kinds of faults, and their variants:
      efficiency_low         efficiency_drop     standby_loss
      vehicle_silent         meter_silent        site_silent
      battery_hot            battery_cold_charging
      voltage_out_of_range   sag, swell
      soc_mismatch           soc, energy
      clock_skew             behind, ahead
      power_implausible      wh, double
      soc_stuck              soc_scale           register_unstable
      dc_exceeds_ac          wrong-meter, clock-offset, time-zone, missing-ac,
                             register-reset, reporting-lag
    """
    from fleetmeter.simulate import command  # what it needs, nothing else does

    command.simulate(command.Options(**options))


def _preset(ctx: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """List the presets instead, when that is asked for."""
    if name == "help":
        from fleetmeter.transfer.preparing import list_presets

        list_presets()
        ctx.exit()
    return name


@main.command("import")
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
def import_command(*, correct: bool, reason: str | None, who: str | None, **options: Any) -> None:
    """Store the readings of files, straight into the database.

    CSV, NDJSON, JSON and Parquet files with the API's names need nothing else. Others need --map,
    --preset or --guess; they may be Excel workbooks too. What cannot be taken goes to
    FILE.rejected.ndjson, with its line and the reason; the rest is stored. An import that was
    interrupted goes on where it was when it is run again.
    """
    from fleetmeter.transfer import command, preparing  # what they need, nothing else does

    settings = load_settings()
    quiet = settings.log_level == "info"
    configure_logging(replace(settings, log_level="warning") if quiet else settings)
    if (who or reason) and not correct:
        raise click.UsageError("--who and --reason go with --correct")
    imports, evaluate = preparing.prepare(settings, **options)
    corrections = command.corrections(options["files"], who, reason) if correct else None
    with command.Stop().on_signals() as stop, _database_url(settings) as url:
        _migrate_when_new(url, settings)
        status = command.run(imports, url, settings, stop, corrections, evaluate=evaluate)
    raise SystemExit(status)


@main.command("export")
@click.option(
    "--from", "start", required=True, type=parse_time, metavar="TIME", help="Begin (inclusive)."
)
@click.option(
    "--to", "end", required=True, type=parse_time, metavar="TIME", help="End (exclusive)."
)
@click.option(
    "--format",
    "format_",
    default="csv",
    show_default=True,
    type=click.Choice(["csv", "parquet"]),
)
@click.option(
    "--vehicle",
    "vehicle_id",
    type=parse_device_id,
    metavar="ID",
    help="Only this vehicle's readings.",
)
@click.option(
    "--meter",
    "meter_id",
    type=parse_device_id,
    metavar="ID",
    help="Only this meter's own readings.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; standard output by default.",
)
def export_command(format_: Literal["csv", "parquet"], output: Path | None, **what: Any) -> None:
    """Write the readings of a window as they were sent, so that they can be imported again.

    A time is RFC 3339, or a date, which is its midnight in UTC.
    """
    selection = Selection(**what)
    check(selection, format_, output)
    settings = load_settings()
    with _database_url(settings) as url:
        export_to(output, url, settings, selection, format_)


@main.command("purge")
@click.option(
    "--device",
    "device_id",
    required=True,
    type=parse_device_id,
    metavar="ID",
    help="Id of a vehicle or a meter.",
)
@click.option("--kind", type=click.Choice(["vehicle", "meter"]), help="When both have that id.")
@click.option("--dry-run", is_flag=True, help="Only count what is stored of it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge_command(device_id: str, kind: Kind | None, dry_run: bool, yes: bool) -> None:
    """Remove all that is stored of one device, for ever; counts it first, and asks.

    Readings, corrections, rollups, settings and assignments go. Of a meter, vehicles that charged
    there keep their readings, but not its id.
    """
    with _database_url(load_settings()) as url:
        kind = kind or asyncio.run(kind_of(url, device_id))
        stored = asyncio.run(count(url, kind, device_id)) if kind else []
        if kind is None or not stored:
            click.echo(f"nothing is stored of {device_id}")
            return
        for relation, change, rows in stored:
            click.echo(f"{rows:>12,}  {relation}{' (only its id)' if change else ''}")
        if dry_run:
            return
        if not yes:
            click.confirm(f"Remove all of it? The {kind} {device_id} is forgotten", abort=True)
        left = asyncio.run(purge(url, kind, device_id))
        click.echo(f"the {kind} {device_id} is forgotten; rollups follow within seconds")
        if any("readings" in relation for relation, _, _ in left):
            click.echo("It reported again meanwhile: stop it, and purge what came in.", err=True)


@main.group("webhook")
def webhook_group() -> None:
    """Who is told, by HTTP, what happens to anomalies.

    Messages are signed (www.standardwebhooks.com) and sent by the running service, in order, until
    they are taken: with any 2xx.
    """


@webhook_group.command("add")
@click.argument("target", metavar="URL")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(get_args(AnomalyKind)),
    help="Only anomalies of this kind; can be given several times.",
)
@click.option(
    "--format",
    "format_",
    default="fleetmeter",
    show_default=True,
    type=click.Choice(["fleetmeter", "alertmanager"]),
    help="alertmanager: what Prometheus' Alertmanager sends to its receivers.",
)
def webhook_add_command(
    target: str, kinds: tuple[str, ...], format_: Literal["fleetmeter", "alertmanager"]
) -> None:
    """Tell URL what happens from now on; prints the secret that signs it, this once."""
    from fleetmeter.telling import webhooks  # what it needs, nothing else does

    settings = load_settings()
    with _database_url(settings) as url:
        added = asyncio.run(webhooks.add(url, settings, target, kinds, format_))
    click.echo(f"webhook {added.id} is told what happens from now on\nsecret: {added.secret}")


@webhook_group.command("list")
def webhook_list_command() -> None:
    """Show all webhooks, how it goes, and what went wrong last."""
    from fleetmeter.telling import webhooks

    with _database_url(load_settings()) as url:
        found = asyncio.run(webhooks.all_webhooks(url))
    for each in found:
        click.echo(f"{each.id:>4}  {each.shown_url}")
        click.echo(f"      {each.format}, {', '.join(each.kinds or ['all kinds'])}")
        click.echo(f"      {each.state}; events waiting: {each.waiting:,}")
        if each.last_error:
            click.echo(f"      last error: {each.last_error}")
    if not found:
        click.echo("there are no webhooks")


@webhook_group.command("remove")
@click.argument("which", metavar="ID|URL")
def webhook_remove_command(which: str) -> None:
    """Tell a webhook no more."""
    from fleetmeter.telling import webhooks

    with _database_url(load_settings()) as url:
        asyncio.run(webhooks.remove(url, which))
    click.echo(f"webhook {which} is removed")


@webhook_group.command("enable")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@click.option("--from-now", is_flag=True, help="Leave out what it has missed.")
def webhook_enable_command(webhook_id: int, from_now: bool) -> None:
    """Tell a webhook again that was disabled, from where it was; one that failed, at once."""
    from fleetmeter.telling import webhooks

    with _database_url(load_settings()) as url:
        asyncio.run(webhooks.enable(url, webhook_id, from_now))
    click.echo(f"webhook {webhook_id} is told again")


@webhook_group.command("test")
@click.argument("webhook_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
def webhook_test_command(webhook_id: int) -> None:
    """Send a test message to a webhook from here, and tell what it answers."""
    from fleetmeter.telling import webhooks

    settings = load_settings()
    with _database_url(settings) as url:
        outcome = asyncio.run(webhooks.try_out(url, settings, webhook_id))
    if outcome.error is not None:
        raise FleetMeterError(outcome.error)
    click.echo(f"it took the message, and answered {outcome.status}")


def _exit(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # an impatient second one must not disturb the stop
    raise SystemExit(0)


@contextmanager
def _database_url(settings: Settings) -> Iterator[str]:
    """The configured database, or the embedded one for the length of the block."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        with embedded_postgresql(settings.data_dir) as url:
            yield url


@contextmanager
def _bench_server(settings: Settings) -> Iterator[str]:
    """The configured server, or an embedded one that is thrown away."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix="bench-", dir=settings.data_dir) as folder,
            embedded_postgresql(Path(folder)) as url,
        ):
            yield url


def _migrate(url: str, settings: Settings) -> Migrated:
    """Migrate, waiting for a database that is still starting."""
    deadline = monotonic() + _DATABASE_WAIT_S
    told = False
    accounting = Accounting(
        settings.reporting_interval_s, settings.coverage_tolerance, settings.session_gap_s
    )
    while True:
        try:
            return asyncio.run(migrate(url, settings.retention_days, accounting))
        except DatabaseUnavailableError as error:
            unreachable = _unreachable(url, error)
            if monotonic() > deadline:
                raise unreachable from error
            if not told:
                structlog.get_logger().warning("waiting for the database", reason=str(unreachable))
                told = True
            sleep(0.5)


def _migrate_when_new(url: str, settings: Settings) -> None:
    """A database that serves somebody is not configured by what this command happens to have set.

    Raises FleetMeterError when it is not of this version.
    """
    try:
        missing = asyncio.run(missing_from(url))
    except DatabaseUnavailableError as error:
        raise _unreachable(url, error) from error
    if missing == ["all"]:
        _migrate(url, settings)
    elif missing:
        raise FleetMeterError(
            f"the database lacks {', '.join(missing)}; run: fleetmeter migrate (with the settings "
            "of its service)"
        )


def _unreachable(url: str, error: DatabaseUnavailableError) -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        f"the database at {_without_password(url)} cannot be reached: {error}; "
        "check FLEETMETER_DATABASE_URL"
    )


def _without_password(url: str) -> str:
    """A database URL that may be shown."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
