"""Finds the folder of the SQL files, in the package or in the repository."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

SQL: Path = next(
    folder for folder in (_PACKAGE / "sql", _PACKAGE.parents[1] / "sql") if folder.is_dir()
)
"""The folder of the SQL files: inside an installed wheel, or at the top of a checkout."""
