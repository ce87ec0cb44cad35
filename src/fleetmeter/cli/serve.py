"""`fleetmeter serve`: runs the service."""

import asyncio
import signal

import click
import structlog

from fleetmeter.access.first_keys import prepare_keys
from fleetmeter.cli.shared.database import database_url, migrate_when_reachable
from fleetmeter.cli.welcome import show_welcome
from fleetmeter.log import configure_logging
from fleetmeter.settings import load_settings


@click.command("serve")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Number of processes, each with its own writers and connection pool.",
)
@click.option("--welcome", is_flag=True, help="Print the URL and a command to try.")
def command(workers: int, welcome: bool) -> None:
    """Migrate the database, then serve HTTP.

    SIGINT or SIGTERM stops it once requests in flight are answered.
    """
    # the HTTP framework, which takes longer to load than most commands take
    from fleetmeter.serving import listening_socket, serve, serve_with_workers, url_of

    settings = load_settings()
    configure_logging(settings, for_good=True)
    # uvicorn stops gracefully on a signal and then raises it again: it must not end the process
    # before the embedded server has been stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)

    def listening(url: str) -> None:
        structlog.get_logger().info("listening", url=url)
        if welcome:
            show_welcome(url, has_key=has_key)

    with listening_socket(settings) as listener, database_url(settings) as url:
        if settings.migrate:
            done = migrate_when_reachable(url, settings)
            structlog.get_logger().info("database ready", engine=done.engine, applied=done.applied)
        has_key = asyncio.run(prepare_keys(url, settings))
        if workers == 1:
            serve(url, settings, listener, listening)
        else:
            listening(url_of(listener))
            serve_with_workers(url, settings, workers, listener)


def _exit(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # an impatient second one must not disturb the stop
    raise SystemExit(0)
