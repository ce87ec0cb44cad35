"""Built-in mappings for common files: one TOML file per layout, named preset.layout.toml.

A layout that is not a table has a module here that reads it into columns.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from fleetmeter.files.imports.mapping.model import MappingError

Layouts = dict[str, dict[str, Any]]
"""The mapping of each layout of a preset, by name."""


@cache
def presets() -> dict[str, Layouts]:
    """Return all presets, sorted by name."""
    found: dict[str, Layouts] = {}
    for each in sorted(files(__name__).iterdir(), key=lambda each: each.name):
        if each.name.endswith(".toml"):
            preset, _, layout = each.name.removesuffix(".toml").partition(".")
            said = tomllib.loads(each.read_text(encoding="utf-8"))
            found.setdefault(preset, {})[layout or preset] = said
    return found


def layouts_of(preset: str) -> Layouts:
    """Return the layouts of a preset. Raises MappingError."""
    if preset not in presets():
        raise MappingError(f"unknown preset '{preset}'; choose from {', '.join(presets())}")
    return presets()[preset]
