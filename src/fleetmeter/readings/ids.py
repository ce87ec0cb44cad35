"""Defines valid ids of devices and names of sites.

EVSE ids have `*`, OCPP allows `| = + @` and spaces, and serial numbers have `/`: an id is the
user's, so whatever a person can distinguish on a screen is one. `.` and `..` are none, because a
client resolves them in a path, even percent-encoded. Patterns are for JSON Schema and for Python;
a `$` lets a line break pass in Python, so values are checked by the functions.
"""

import re

DEVICE_ID_PATTERN = r"^(?!\.{1,2}$)[!-~]([ -~]{0,62}[!-~])?$"
DEVICE_ID = re.compile(DEVICE_ID_PATTERN)
DEVICE_ID_RULE = (
    "must be 1 to 64 printable ASCII characters without a space at either end, and not . or .."
)

SITE_PATTERN = r"^(?!\.{1,2}$)[A-Za-z0-9._:-]{1,64}$"
SITE = re.compile(SITE_PATTERN)
SITE_RULE = "must be 1 to 64 of the characters A–Z a–z 0–9 . _ : -, and not . or .."


SESSION_ID_RULE = "must be 1 to 64 printable characters"


def is_session_id(text: str) -> bool:
    """Return whether a charging session can have this id."""
    return 1 <= len(text) <= 64 and text.isprintable()


def is_device_id(text: str) -> bool:
    """Return whether a vehicle or a meter can have this id."""
    return DEVICE_ID.fullmatch(text) is not None


def is_site(text: str) -> bool:
    """Return whether a site can have this name."""
    return SITE.fullmatch(text) is not None
