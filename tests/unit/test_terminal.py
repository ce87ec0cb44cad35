"""What others have written reaches a terminal as text, never as commands."""

import ast
import json
import logging
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import fleetmeter
import fleetmeter_simulator
from fleetmeter import cli
from fleetmeter.log import configure_logging, log_to_stderr
from fleetmeter.settings import Settings
from fleetmeter.terminal import printable

EVIL = "\x1b]0;owned\x07\x9b31m\r\u202e\udc80\x7f"
"""It would set the title, turn red, write over the line and turn its letters round."""

SHOWN = r"\u001b]0;owned\u0007\u009b31m\u000d\u202e\udc80\u007f"


@pytest.fixture
def _logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_only_what_is_printed_is_left(text: str) -> None:
    shown = printable(text)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    if text.isprintable():
        assert shown == text


def test_escapes_keep_what_is_in_quotes() -> None:
    for text in ("\x9b1m", "\u202e", "\x7f"):
        assert json.loads(printable(f'"{text}"')) == text
        assert tomllib.loads(printable(f'name = "{text}"')) == {"name": text}


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("for_a_service", [True, False])
def test_a_log_for_people_escapes_what_it_is_given(
    capsys: pytest.CaptureFixture[str], for_a_service: bool
) -> None:
    if for_a_service:
        configure_logging(Settings(log_format="console"))
        logging.getLogger("other").warning("%s", EVIL)
    else:
        log_to_stderr()
    try:
        raise ValueError(EVIL)
    except ValueError:
        structlog.get_logger().error(EVIL, device=EVIL, several=[EVIL], exc_info=True)
    logged = capsys.readouterr().err
    assert all(character.isprintable() or character == "\n" for character in logged)
    assert logged.count(SHOWN) >= 3


@pytest.mark.parametrize("option", ["--guess", "--dry-run"])
def test_an_import_shows_a_header_and_the_name_of_a_file_escaped(
    tmp_path: Path, option: str
) -> None:
    file = tmp_path / f"{EVIL[:-2]}.csv"
    file.write_text(f"meterId,timestamp,{EVIL[:-2]}\nM,2026-01-01T00:00:00Z,1\n")
    shown = CliRunner().invoke(cli.main, ["import", str(file), option])
    assert "owned" in shown.output
    assert all(character.isprintable() or character == "\n" for character in shown.output)


def test_an_option_that_is_wrong_is_shown_escaped() -> None:
    for arguments in (
        ["import", EVIL, "--dry-run"],
        ["purge", "--device", "A", EVIL],
        ["serve", f"--{EVIL}"],
    ):
        shown = CliRunner().invoke(cli.main, arguments)
        assert shown.exit_code == 2
        assert "owned" in shown.output
        assert all(character.isprintable() or character == "\n" for character in shown.output)


@pytest.mark.parametrize("package", [fleetmeter, fleetmeter_simulator])
def test_commands_show_text_in_one_way(package: object) -> None:
    folder = Path(package.__file__).parent  # type: ignore[attr-defined]
    for path in folder.rglob("*.py"):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        if path.name != "terminal.py":
            assert not calls & {"print", "click.echo", "click.secho"}, path
