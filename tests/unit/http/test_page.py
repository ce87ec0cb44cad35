"""The page and its files, as they are served."""

import gzip
import re
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from fleetmeter.http.page import accepts_html, index, page_files, takes_gzip
from fleetmeter.http.shared.problems import problem_details
from fleetmeter.http.shared.web_files import FOLDER, web_files
from fleetmeter.http.shared.web_modules import FIRST

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MOST_BYTES = 150_000


def read(name: str) -> str:
    """A file of the page."""
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    app = Litestar([index, page_files], plugins=[problem_details], openapi_config=None)
    with TestClient(app) as client:
        yield client


def test_programs_get_json(client: TestClient[Litestar]) -> None:
    for accept in ("*/*", "application/json", "text/html;q=0, */*"):
        answer = client.get("/", headers={"Accept": accept})
        assert answer.json()["message"] == "FleetMeter is running"
        assert answer.headers["vary"] == "Accept"


def test_browsers_get_a_page_that_may_load_its_own_files_only(client: TestClient[Litestar]) -> None:
    answer = client.get("/", headers=BROWSER)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["vary"].split(", ")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; " in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|\{\{", answer.text)


def test_all_that_the_page_names_is_there(client: TestClient[Litestar]) -> None:
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get("/", headers=BROWSER).text)
    assert len(named) > 5
    for path in named:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith(types[path.rpartition(".")[2]])
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_the_page_preloads_all_that_its_start_imports_and_no_more(
    client: TestClient[Litestar],
) -> None:
    text = client.get("/", headers=BROWSER).text
    preloaded = set(re.findall(r'modulepreload" href="/assets/\w+/([^"]+)"', text))
    first = web_files().assets["modules/first.js"].content.decode()
    imported = re.findall(r"^import .* from '\.\./(.*)';$", first, re.MULTILINE)
    assert "vendor/preact.js" in imported
    assert preloaded == {"modules/first.js", *imported}


def test_a_page_that_has_not_changed_is_not_sent_again(client: TestClient[Litestar]) -> None:
    etag = client.get("/", headers=BROWSER).headers["etag"]
    again = client.get("/", headers=BROWSER | {"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert client.get("/", headers=BROWSER | {"If-None-Match": '"other"'}).status_code == 200


def test_files_are_compressed_for_those_who_take_it(client: TestClient[Litestar]) -> None:
    path = f"/assets/{web_files().version}/{FIRST}"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    small = client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert small.content == plain.content == web_files().assets[FIRST].content
    assert gzip.decompress(web_files().assets[FIRST].compressed) == plain.content


@pytest.mark.parametrize(
    "path",
    [
        *("/assets/0123456789abcdef/modules/first.js", "/assets/{version}/nothing.js"),
        *("/assets/{version}/index.html", "/assets/{version}/app.js"),
        "/assets/{version}/vendor/lock.json",
        *("/assets/{version}/../page.py", "/assets/{version}/%2e%2e/%2e%2e/http/page.py"),
    ],
)
def test_what_is_no_file_of_the_page_is_not_found(client: TestClient[Litestar], path: str) -> None:
    answer = client.get(path.format(version=web_files().version))
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_style_sheets_are_one_in_the_order_of_the_template() -> None:
    names = re.findall(r'stylesheet" href="{{base}}/(.*)"', (FOLDER / "index.html").read_text())
    assert {FOLDER / name for name in names} == set(FOLDER.rglob("*.css"))
    styles = web_files().assets["styles.css"].content.decode()
    starts = [
        styles.index(re.findall(r"^[.:@\w].*{", read(name), re.MULTILINE)[0]) for name in names
    ]
    assert starts == sorted(starts)


def test_libraries_are_served_as_they_were_published() -> None:
    locked = (FOLDER / "vendor" / "preact.js").read_bytes()
    assert web_files().assets["vendor/preact.js"].content == locked


def test_all_of_it_is_small() -> None:
    assert web_files().compressed_bytes <= MOST_BYTES


def test_accept_is_read_as_browsers_and_programs_send_it() -> None:
    assert accepts_html("TEXT/HTML")
    assert accepts_html("application/json, text/html;q=0.1")
    assert not accepts_html("")
    assert not accepts_html("*/*")
    assert not accepts_html("text/*")
    assert not accepts_html("text/html;q=0.000")
    assert takes_gzip("gzip, deflate, br")
    assert not takes_gzip("gzip;q=0")
    assert not takes_gzip("identity")
