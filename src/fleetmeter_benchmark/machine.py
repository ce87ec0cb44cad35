"""Describes what a benchmark was measured on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fleetmeter import __version__
from fleetmeter_benchmark.processes import connected

_PACKAGES = ("asyncpg", "litestar", "msgspec", "uvicorn", "uvloop")


async def machine(server_url: str) -> dict[str, Any]:
    """Describe this machine and the software."""
    async with connected(server_url) as connection:
        timescaledb = await connection.fetchval(
            "select default_version from pg_available_extensions where name = 'timescaledb'"
        )
        server = await connection.fetchval("show server_version")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": server.split(" ")[0],
        "timescaledb": timescaledb,
        "fleetmeter": __version__,
    } | {name: version(name) for name in _PACKAGES}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.processor(),
    )
