"""Joins the page's modules into two: what the first view needs, and the views that come after it.

A browser that loads sixty modules asks for each, and waits for them in turn; together they are also
compressed better. Each module stays as it is written, in a block of its own, so that its names are
its own; its exports are an object, and its imports are taken from those of others.
"""

import re
from collections.abc import Mapping
from os.path import normpath
from pathlib import PurePosixPath

FIRST = "modules/first.js"
"""What the start needs: `app.js`, and all that it imports by static imports."""

LATER = "modules/later.js"
"""What is imported when it is needed."""

START = "app.js"

_VENDOR = "vendor/"
"""Libraries stay modules of their own, as they were published."""

_IMPORT = re.compile(
    r"^(?P<what>import|export) (?:\{(?P<names>[^}]*)\}|(?P<default>\w+)) from '(?P<from>[^']+)';\n",
    re.MULTILINE,
)
_EXPORT = re.compile(r"^export ((?:async )?(?:const|function|class) (\w+))", re.MULTILINE)
_UNKNOWN = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_LATER = re.compile(r"\bimport\('([^']+)'\)")


def static_imports(module: str) -> list[str]:
    """Return what a module names in its static imports."""
    return [found["from"] for found in _IMPORT.finditer(module)]


def joined(modules: Mapping[str, str]) -> dict[str, str]:
    """Return the two modules by path, of all modules of the page by theirs.

    Raises ValueError for modules that import each other, and what cannot be joined.
    """
    first = _in_order(START, modules)
    later: dict[str, None] = {}
    for name in first:
        for target in _LATER.findall(modules[name]):
            later |= dict.fromkeys(_in_order(_path(name, target), modules))
    rest = [name for name in later if name not in first]
    variables = {name: f"${number}" for number, name in enumerate([*first, *rest])}
    shared = ", ".join(variables[name] for name in first)
    return {
        FIRST: f"{_joined(first, modules, variables)}export {{ {shared} }};\n",
        LATER: f"import {{ {shared} }} from './{PurePosixPath(FIRST).name}';\n"
        f"{_joined(rest, modules, variables)}"
        f"export {{ {', '.join(variables[name] for name in rest)} }};\n",
    }


def _in_order(start: str, modules: Mapping[str, str]) -> list[str]:
    """Return a module and all that it imports, each after those that it imports itself."""
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in open_:
            raise ValueError(f"{' → '.join([*open_, name])}: these modules import each other")
        if name in order:
            return
        open_.append(name)
        if not name.startswith(_VENDOR):
            for target in static_imports(modules[name]):
                visit(_path(name, target))
        order.append(open_.pop())

    visit(start)
    return order


def _joined(order: list[str], modules: Mapping[str, str], variables: Mapping[str, str]) -> str:
    libraries = [name for name in order if name.startswith(_VENDOR)]
    imports = "".join(f"import * as {variables[name]} from '../{name}';\n" for name in libraries)
    own = "".join(_block(name, modules[name], variables) for name in order if name not in libraries)
    return imports + own


def _block(name: str, module: str, variables: Mapping[str, str]) -> str:
    """Return a module as a block that leaves its exports in its variable."""
    exported = [found[2] for found in _EXPORT.finditer(module)]
    taken = ""
    for found in _IMPORT.finditer(module):
        source = variables[_path(name, found["from"])]
        names = found["names"]
        if found["default"]:
            names = f"default as {found['default']}"
        bound = ", ".join(
            f"{other}: {own}".removeprefix(f"{own}: ") for other, own in _pairs(names)
        )
        taken += f"const {{ {bound} }} = {source};\n"
        if found["what"] == "export":
            exported += [each for _, each in _pairs(names)]
    body = _EXPORT.sub(r"\1", _IMPORT.sub("", module))
    if unknown := _UNKNOWN.search(body):
        raise ValueError(f"{name}: cannot be joined with others: {unknown[0]}")
    later = PurePosixPath(LATER).name
    body = _LATER.sub(
        lambda found: f"import('./{later}').then((all) => all.{variables[_path(name, found[1])]})",
        body,
    )
    exports = ", ".join(exported)
    variable = variables[name]
    return f"let {variable};\n{{\n{taken}{body}{variable} = {{ {exports} }};\n}}\n"


def _pairs(names: str) -> list[tuple[str, str]]:
    """Return the names in braces: what a module calls them, and what they are called here."""
    pairs = []
    for each in filter(None, map(str.strip, names.split(","))):
        other, _, own = each.partition(" as ")
        pairs.append((other, own or other))
    return pairs


def _path(name: str, target: str) -> str:
    """Return the path of what a module imports."""
    return normpath(PurePosixPath(name).parent / target)
