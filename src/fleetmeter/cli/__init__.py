"""The command line: one module per command."""

import os
from getpass import getuser
from importlib import import_module
from importlib.metadata import entry_points
from keyword import iskeyword
from pkgutil import iter_modules

import click

from fleetmeter import __version__
from fleetmeter.access.actor import Actor, act_as
from fleetmeter.errors import FleetMeterError, NotMigratedError
from fleetmeter.log import log_to_stderr
from fleetmeter.terminal import printable

_BESIDE = "fleetmeter.commands"
"""Entry points through which other packages add commands: the simulator and the benchmark."""


class _Commands(click.Group):
    """Offers a command for each module of this package and for each registered entry point.

    A module is loaded only when its `command` is called. FleetMeter's own errors are shown as one
    line, without a traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_own_commands(), *entry_points(group=_BESIDE).names])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _own_commands():
            module = import_module(
                f"{__name__}.{name}_" if iskeyword(name) else f"{__name__}.{name}"
            )
            command: click.Command = module.command
            return command
        return next((beside.load() for beside in entry_points(group=_BESIDE, name=name)), None)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except NotMigratedError as error:
            raise click.ClickException(
                f"the database is not migrated ({error}); run: fleetmeter migrate"
            ) from error
        except FleetMeterError as error:
            raise click.ClickException(printable(str(error))) from error
        except click.ClickException as error:  # it names what was typed, and files
            error.message = printable(error.message)  # type: ignore[misc]
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleetmeter")
def main() -> None:
    """FleetMeter: energy accounting for electric fleets.

    Settings are environment variables named FLEETMETER_…; the README lists them.
    """
    log_to_stderr()
    act_as(Actor(f"command:{_user()}"))


def _user() -> str:
    """Return the user who runs the command, for the audit log."""
    try:
        return getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())


def _own_commands() -> list[str]:
    return [module.name.rstrip("_") for module in iter_modules(__path__) if not module.ispkg]
