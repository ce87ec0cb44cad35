"""The pages for people: their links lead somewhere, and the map shows the tree as it is."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.repository import ROOT

PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "sql/*.md")
    for path in ROOT.glob(pattern)
)
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


def test_every_file_on_the_map_exists() -> None:
    named = set(re.findall(r"`(\w[\w./*]*\.(?:py|sql|toml|txt))`", ARCHITECTURE))
    assert len(named) > 40
    folders = [ROOT / folder for folder in ("src", "sql", "tests")]
    missing = {
        name
        for name in named
        if not any(list(place) for place in (ROOT.glob(name), *(f.rglob(name) for f in folders)))
    }
    assert not missing


def test_the_layers_on_the_page_are_those_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in contracts["contracts"] if each["id"] == "layers")
    shown = ARCHITECTURE.partition("## The layers")[2].split("```")[1].split("\n")
    assert [line for line in shown if line] == [each for each in layers if each != "__main__"]
