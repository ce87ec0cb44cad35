"""The files of the page, read and compressed once, under a path that contains their hash."""

import gzip
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from os.path import normpath
from pathlib import Path

FOLDER = Path(str(files("fleetmeter"))) / "web"

TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Content types of what is served, by the end of the name; other files are not."""

_COMMENTS = re.compile(rb"^[ \t]*(?:/\*(?:(?!\*/)[\s\S])*\*/[ \t]*|//.*)\n|^\n", re.MULTILINE)
"""Comments on lines of their own, and empty lines: a tenth of all bytes."""

_INDENTATION = re.compile(rb"^[ \t]+", re.MULTILINE)
"""Means nothing in CSS and JavaScript; only markup has several lines, and htm drops it there."""

_IMPORT = re.compile(r"^(?:import|export)\b[^;=('\"]*?\s'([^'\"]+)';", re.MULTILINE)
"""A static import, one module that a module needs before it runs."""

_TEXTS = "texts/"
"""The folder of the languages; a browser loads one of them."""

_TEMPLATE = "index.html"
_START = "app.js"


@dataclass(frozen=True)
class WebFile:
    """A file as it is sent."""

    content: bytes
    compressed: bytes
    """The same, with gzip."""

    media_type: str


@dataclass(frozen=True)
class WebFiles:
    """The page, and all that it loads."""

    page: WebFile
    etag: str
    version: str
    """Hash of all files: a path with it never means anything else."""

    assets: dict[str, WebFile]
    """By path below the folder, such as `views/now.js`."""

    @property
    def compressed_bytes(self) -> int:
        """Return the size of all that a browser loads, compressed, in the largest language."""
        sizes = {name: len(file.compressed) for name, file in self.assets.items()}
        texts = [sizes.pop(name) for name in self.assets if name.startswith(_TEXTS)]
        return len(self.page.compressed) + sum(sizes.values()) + max(texts)


@cache
def web_files() -> WebFiles:
    """Return the files of the page; they are read on first use."""
    contents = {
        path.relative_to(FOLDER).as_posix(): _without_comments(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }
    template = (FOLDER / _TEMPLATE).read_text(encoding="utf-8")
    digest = sha256(template.encode())
    for name, content in contents.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    version = digest.hexdigest()[:16]
    base = f"/assets/{version}"
    preload = "\n".join(
        f'    <link rel="modulepreload" href="{base}/{name}">'
        for name in sorted(_needed_first(contents))
    )
    page = template.replace("{{preload}}", preload.strip()).replace("{{base}}", base)
    return WebFiles(
        page=_file(page.encode(), "text/html"),
        etag=f'"{version}"',
        version=version,
        assets={
            name: _file(content, TYPES[Path(name).suffix]) for name, content in contents.items()
        },
    )


def static_imports(module: str) -> list[str]:
    """Return what a module names in its static imports."""
    found: list[str] = _IMPORT.findall(module)
    return found


def _needed_first(contents: dict[str, bytes]) -> set[str]:
    """Return the modules that the start of the page imports, and what these do.

    Without those that are imported when they are needed.
    """
    found: set[str] = set()
    wanted = {_START}
    while wanted:
        name = wanted.pop()
        found.add(name)
        for target in static_imports(contents[name].decode()):
            path = normpath(Path(name).parent / target)
            if path not in found and not path.startswith(_TEXTS):
                wanted.add(path)
    return found


def _without_comments(path: Path) -> bytes:
    """Return a file without what only its readers need."""
    content = path.read_bytes()
    if path.parent.name == "vendor" or path.suffix not in (".js", ".css"):
        return content
    return _INDENTATION.sub(b"", _COMMENTS.sub(b"", content))


def _file(content: bytes, media_type: str) -> WebFile:
    return WebFile(content, gzip.compress(content, 9, mtime=0), media_type)
