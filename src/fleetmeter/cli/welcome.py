"""`fleetmeter welcome`: prints the URL of a running service and a command to try."""

import click

from fleetmeter.terminal import say

_WELCOME = """
FleetMeter is running at {url}
  API reference  {url}/docs
  Try            curl -X POST {url}/v1/ingest -H 'Content-Type: application/json' -d '{reading}'
"""
_READING = (
    '{"meterId": "MTR-1", "kwhConsumedAc": 1.5, "voltage": 230, '
    '"timestamp": "\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'"}'
)


@click.command("welcome", hidden=True)
@click.argument("url")
def command(url: str) -> None:
    """Print the URL of a running service and a command to try."""
    show_welcome(url)


def show_welcome(url: str) -> None:
    """Print the URL of the service and a command to try."""
    say(_WELCOME.format(url=url, reading=_READING))
