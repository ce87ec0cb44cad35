"""The browser that tests run the page in, if there is one."""

import os
import shutil

NO_CHROMIUM = "there is no chromium on the PATH"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where it is: FLEETMETER_TEST_CHROMIUM, or the one on the PATH."""
    given = os.environ.get("FLEETMETER_TEST_CHROMIUM")
    return given or next(filter(None, map(shutil.which, _NAMES)), None)
