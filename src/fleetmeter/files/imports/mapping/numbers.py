"""Reads numbers as files write them."""

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from fleetmeter.readings.validate import Invalid

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_GROUPED = {
    ",": re.compile(r"[+-]?(\d{1,3}([. '’]\d{3})+|\d+)(,\d*)?|[+-]?,\d+", re.ASCII),
    ".": re.compile(r"[+-]?(\d{1,3}([, '’]\d{3})+|\d+)(\.\d*)?|[+-]?\.\d+", re.ASCII),
}
"""With a mark between thousands, by the decimal mark."""

_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "−": "-"})
_LONGEST = 64

NumberOf = Callable[[Any, str], float | None]
"""A cell of a column as a number, None when it is empty. Raises Invalid."""


def number_reader(decimal: str | None, absent: Collection[str], unit: str | None) -> NumberOf:
    """Return a function that reads numbers; without `decimal`, an ambiguous comma is an error.

    `absent`: what stands for nothing, in lower case; `unit`: what may follow a number.
    """

    def number(cell: Any, column: str) -> float | None:
        if isinstance(cell, str):
            text = cell.strip()
            plain = text
            if decimal == ",":
                plain = "" if "." in text else text.replace(",", ".")
            try:
                if plain.isascii() and "_" not in plain:
                    return _finite(float(plain), column, text)
            except ValueError:
                pass
            text = text.translate(_SPACES).strip()
            if text.lower() in absent:
                return None
            if unit is not None:
                text = text.removesuffix(unit).rstrip()
            return _parsed(text, column)
        if cell is None:
            return None
        if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
            return None if cell != cell else _finite(float(cell), column, str(cell))
        raise _no_number(column, str(cell))

    def _parsed(text: str, column: str) -> float:
        if len(text) > _LONGEST:
            raise _no_number(column, text)
        if decimal is not None and _GROUPED[decimal].fullmatch(text):
            digits = re.sub(r"[ '’]", "", text)
            if decimal == ",":
                digits = digits.replace(".", "").replace(",", ".")
            return float(digits.replace(",", ""))
        if _PLAIN.fullmatch(text) and decimal != ",":
            return float(text)
        raise _no_number(column, text, decimal)

    def _finite(value: float, column: str, text: str) -> float | None:
        if value != value:
            return None
        if value in (float("inf"), float("-inf")):
            raise _no_number(column, text)
        return value

    return number


def _no_number(column: str, text: str, decimal: str | None = None) -> Invalid:
    seen = text if len(text) <= 40 else f"{text[:40]}…"
    hint = ""
    if decimal is None and re.fullmatch(r"[+-]?[\d. ]*,\d+", text):
        hint = '; if that is a decimal comma, add decimal = "," to the mapping'
    elif decimal is not None and re.search(r"[.,]", text):
        hint = f'; the mapping says decimal = "{decimal}"'
    return Invalid("invalid_type", f"{column} is {seen}, which is not a number{hint}")
