"""Make Excel workbooks."""

import io
from typing import Any

import openpyxl


def workbook(*rows: list[Any], title: str = "Daten") -> bytes:
    """A workbook whose second sheet has these rows."""
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Deckblatt"])
    sheet = book.create_sheet(title)
    for row in rows:
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
