"""Shows text to people on a terminal, which takes some characters as commands."""

import click


def printable(text: str) -> str:
    r"""Return a text with everything escaped that is not printed: ESC becomes \u001b.

    Names of files, headers of columns and what devices send may hold control characters, which move
    the cursor or change the terminal's title, and marks that turn the order of letters round. Line
    breaks and tabs stay. Text in quotes of JSON, TOML or Python keeps its meaning.
    """
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text, escaped, on standard output or as what a command says beside it (`err`)."""
    click.echo(printable(text), err=err, nl=nl)
