"""Writes src/fleetmeter/web/vendor: the libraries of the page, out of npm packages.

    python .ci/vendor.py     (make vendor)

lock.json pins each package by version and integrity hash, and says which of its files are taken
and what is changed in them, so that browsers can load them as modules: `replace` and `append`.
To take another version, change `version` and `integrity` (`npm view NAME@VERSION dist.integrity`).
The SHA-256 of each written file is noted in lock.json, where a test looks it up.
"""

import json
import re
import subprocess
import tarfile
from base64 import b64encode
from hashlib import sha256, sha512
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

VENDOR = Path(__file__).parent.parent / "src/fleetmeter/web/vendor"
LOCK = VENDOR / "lock.json"

_SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=.*\n?")


def main() -> None:
    """Write the files and their hashes. Raises SystemExit when a package is not what is pinned."""
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    with TemporaryDirectory() as folder:
        for name, package in lock.items():
            _write(name, package, _packed(f"{name}@{package['version']}", Path(folder)))
    LOCK.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
    kept = {"lock.json", *(file for package in lock.values() for file in package["files"])}
    for path in VENDOR.iterdir():
        if path.name not in kept:
            path.unlink()


def _packed(wanted: str, folder: Path) -> Path:
    """Return the archive of a package, fetched by npm."""
    pack = ["npm", "pack", "--silent", "--pack-destination", str(folder), wanted]
    packed = subprocess.run(pack, check=True, capture_output=True, text=True)  # noqa: S603
    return folder / packed.stdout.split()[-1]


def _write(name: str, package: dict[str, Any], archive: Path) -> None:
    found = f"sha512-{b64encode(sha512(archive.read_bytes()).digest()).decode()}"
    if found != package["integrity"]:
        raise SystemExit(f"{name}: the integrity hash is {found}, not that of lock.json")
    with tarfile.open(archive) as files:
        for target, source in package["files"].items():
            member = files.extractfile(f"package/{source['from']}")
            if member is None:
                raise SystemExit(f"{name}: {source['from']} is not a file")
            text = _SOURCE_MAP.sub(b"\n", member.read())
            if change := source.get("replace"):
                old, new = (each.encode() for each in change)
                if text.count(old) != 1:
                    raise SystemExit(f"{name}: {change[0]} must be in {source['from']} once")
                text = text.replace(old, new)
            text = text.rstrip() + b"\n" + source.get("append", "").encode()
            (VENDOR / target).write_bytes(text)
            source["sha256"] = sha256(text).hexdigest()


if __name__ == "__main__":
    main()
