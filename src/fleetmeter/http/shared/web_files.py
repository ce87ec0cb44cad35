"""The files of the page, read and compressed once, under a path that contains their hash."""

import gzip
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from fleetmeter.http.shared.web_modules import FIRST, joined

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

_STYLE = re.compile(r'( *<link rel="stylesheet" href="\{\{base\}\}/)([^"]+)(">\n)')
"""A style sheet that the template names; they are served as one, in their order."""

_TEXTS = "texts/"
"""The folder of the languages; a browser loads one of them."""

_TEMPLATE = "index.html"
_STYLES = "styles.css"
_ALONE = (_TEXTS, "vendor/", "lib/before_paint.classic.js")
"""Scripts that are served as they are; the others are joined."""


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
    sources = {
        path.relative_to(FOLDER).as_posix(): _without_comments(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES and path.is_file()
    }
    template = (FOLDER / _TEMPLATE).read_text(encoding="utf-8")
    contents = _served(sources, [name for _, name, _ in _STYLE.findall(template)])
    template = _STYLE.sub("", template, count=template.count('"stylesheet"') - 1)
    template = _STYLE.sub(rf"\g<1>{_STYLES}\g<3>", template)
    digest = sha256(template.encode())
    for name, content in contents.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    version = digest.hexdigest()[:16]
    base = f"/assets/{version}"
    libraries = re.findall(rb"^import .* from '\.\./(.*)';$", contents[FIRST], re.MULTILINE)
    preload = "\n".join(
        f'    <link rel="modulepreload" href="{base}/{name}">'
        for name in (FIRST, *map(bytes.decode, libraries))
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


def _served(sources: dict[str, bytes], styles: list[str]) -> dict[str, bytes]:
    """Return what is served, of all files of the page: modules and style sheets are joined."""
    scripts = {name: text.decode() for name, text in sources.items() if name.endswith(".js")}
    return {
        **{
            name: content
            for name, content in sources.items()
            if name not in styles and (name.startswith(_ALONE) or name not in scripts)
        },
        **{name: module.encode() for name, module in joined(scripts).items()},
        _STYLES: b"".join(sources[name] for name in styles),
    }


def _without_comments(path: Path) -> bytes:
    """Return a file without what only its readers need."""
    content = path.read_bytes()
    if path.parent.name == "vendor" or path.suffix not in (".js", ".css"):
        return content
    return _INDENTATION.sub(b"", _COMMENTS.sub(b"", content))


def _file(content: bytes, media_type: str) -> WebFile:
    return WebFile(content, gzip.compress(content, 9, mtime=0), media_type)
