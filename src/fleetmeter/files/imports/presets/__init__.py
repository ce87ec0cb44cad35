"""Files that people often have: a TOML file a layout, named preset.layout.toml.

Where a layout is more than columns, a module here reads it into some.
"""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from fleetmeter.files.imports.mapping.model import MappingError

Layouts = dict[str, dict[str, Any]]
"""What each layout of a preset says, by name."""


@cache
def presets() -> dict[str, Layouts]:
    """Return all presets by name."""
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
        raise MappingError(f"there is no preset {preset}; there are {', '.join(presets())}")
    return presets()[preset]
