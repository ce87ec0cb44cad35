"""`fleetmeter welcome`: prints the URL of a running service and a command to try."""

import click

from fleetmeter.terminal import say

_WELCOME = """
FleetMeter is running at {url}
  API reference  {url}/docs
  Keys           {keys}
  Try            curl -X POST {url}/v1/ingest{header} {json} -d '{reading}'
"""
_JSON = "-H 'Content-Type: application/json'"
_READING = (
    '{"meterId": "MTR-1", "kwhConsumedAc": 1.5, "voltage": 230, '
    '"timestamp": "\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'"}'
)

_HEADER = ' -H "Authorization: Bearer {}"'
_NO_KEYS = "none, so it answers this machine only (fleetmeter key create --help)"
_KEYS = "needed, here as FLEETMETER_KEY (fleetmeter key list)"
_KEYS_OF_ENV = (
    "FLEETMETER_ADMIN_KEY (may do everything) and FLEETMETER_INGEST_KEY (may only send readings) "
    "in .env"
)
_OF_ENV = "$(sed -n s/^FLEETMETER_INGEST_KEY=//p .env)"


@click.command("welcome", hidden=True)
@click.argument("url")
def command(url: str) -> None:
    """Print the URL of the stack that has the keys of .env, and a command to try."""
    _show(url, _KEYS_OF_ENV, _HEADER.format(_OF_ENV))


def show_welcome(url: str, *, has_key: bool) -> None:
    """Print the URL of the service and a command to try."""
    if has_key:
        _show(url, _KEYS, _HEADER.format("$FLEETMETER_KEY"))
    else:
        _show(url, _NO_KEYS, "")


def _show(url: str, keys: str, header: str) -> None:
    say(_WELCOME.format(url=url, keys=keys, header=header, json=_JSON, reading=_READING))
