"""Each file of tests stands alone: what several share lies in tests/support."""

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
