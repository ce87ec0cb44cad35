"""Rules for the messages of well-known programs and devices; docs/inputs/mqtt.md lists them."""

from importlib.resources import files

_FOLDER = files(__name__)

PRESETS = sorted(
    each.name.removesuffix(".toml") for each in _FOLDER.iterdir() if each.name.endswith(".toml")
)


def preset_text(name: str) -> str:
    """Return a preset as it could stand in a file."""
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
