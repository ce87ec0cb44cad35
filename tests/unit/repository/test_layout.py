"""Tests are where one looks for them, and stand alone: what several share is in tests/support."""

import ast
from pathlib import Path

from tests.support.repository import ROOT

TESTS = ROOT / "tests"


def test_no_test_module_imports_another() -> None:
    imports = {
        (str(path.relative_to(TESTS)), name)
        for path in TESTS.rglob("*.py")
        for name in imported(path)
        if name.startswith("tests.") and ".test_" in name
    }
    assert not imports, "what several tests share belongs in tests/support"


def test_the_folders_of_unit_tests_are_those_of_src() -> None:
    src = ROOT / "src"
    tested = {
        "repository": ROOT,
        "simulator": src / "fleetmeter_simulator",
        "benchmark": src / "fleetmeter_benchmark",
    }
    for folder in packages(TESTS / "unit"):
        first, *rest = folder.relative_to(TESTS / "unit").parts
        package = tested.get(first, src / "fleetmeter" / first).joinpath(*rest)
        assert package.is_dir(), f"{folder} tests no package of src"


def test_no_folder_lacks_its_init() -> None:
    """Without one, two files of the same name in different folders cannot both be collected."""
    assert all((folder / "__init__.py").is_file() for folder in packages(TESTS))


def test_every_engine_runs_the_whole_contract() -> None:
    contract = (TESTS / "database" / "test_engine.py").read_text(encoding="utf-8")
    assert "pytest.mark" not in contract, "what one engine does alone is no part of the contract"


def packages(folder: Path) -> list[Path]:
    """The folders below one that hold Python files."""
    return sorted({path.parent for path in folder.rglob("*.py")} - {folder})


def imported(path: Path) -> set[str]:
    """The modules that a file imports, and the names that it imports from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: tests import by absolute names"
            found |= {f"{node.module}.{each.name}" for each in node.names}
    return found


def test_no_module_is_longer_than_one_can_hold_in_mind() -> None:
    """Lists of data may be."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "src").rglob("*.py")
    }
    assert {path: length for path, length in lengths.items() if length > 300} == {}
