"""Writes any text in the characters of ids, so that it can be read back.

Ids are printable ASCII, without spaces at the ends, and not . or ..; everything else, and % itself,
is percent-encoded as in URLs: `Ladesäule 3` is the id `Lades%C3%A4ule 3`.
"""

import re

_OTHERS = re.compile(r"[^ -~]|^ | $|^\.(?=\.?$)")
_OTHERS_AND_PERCENT = re.compile(rf"%|{_OTHERS.pattern}")


def encoded(text: str, *, also_percent: bool = True) -> str:
    """Return a text as a part of an id; without `also_percent`, what is encoded already stays."""
    pattern = _OTHERS_AND_PERCENT if also_percent else _OTHERS
    return pattern.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
