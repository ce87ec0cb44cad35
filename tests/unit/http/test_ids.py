"""Ids: all printable ASCII, and each of them reaches its route through a path."""

import asyncio
import re
from typing import Annotated, Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import get
from litestar.params import FromPath, PathParameter

from fleetmeter.http.shared.paths import EncodedPaths, decode_parameters, encoded_path
from fleetmeter.http.shared.problems import problem_details
from fleetmeter.readings.ids import (
    DEVICE_ID,
    DEVICE_ID_PATTERN,
    SITE_PATTERN,
    is_device_id,
    is_site,
)

IDS = st.from_regex(DEVICE_ID, fullmatch=True)


@pytest.mark.parametrize(
    "text",
    [
        *("EV-1", "A4:CF:12", "NL*TNM*E1*2", "DEPOT|1", "SN 4 8", "SN/113", "+31*1", "BOX=1@north"),
        *("?a=1#b", "%2F1%20", "a/../x", "\"'\\<&>", "!~", "~", "...", "./..", "a" * 64),
    ],
)
def test_any_printable_ascii_makes_an_id(text: str) -> None:
    assert is_device_id(text)
    assert re.search(DEVICE_ID_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", " ", " a", "a ", "a\n", "\n", "a\tb", "a\x7f", "Säule", "a\u00a0b", "a" * 65],
)
def test_what_no_path_addresses_and_nobody_can_tell_apart_makes_none(text: str) -> None:
    assert not is_device_id(text)


def test_a_site_keeps_to_characters_that_nothing_encodes() -> None:
    assert is_site("BER-1")
    assert is_site("a.b_c:d")
    for text in ("", ".", "..", "two words", "a/b", "a*b", "a\n", "a" * 65):
        assert not is_site(text)
    assert re.search(SITE_PATTERN, "..") is None


@given(st.text(max_size=66))
def test_the_rule_is_what_its_sentence_says(text: str) -> None:
    assert is_device_id(text) == (
        1 <= len(text) <= 64
        and text.isascii()
        and text.isprintable()
        and text == text.strip(" ")
        and text not in (".", "..")
    )


@get("/v1/things/{thing_id:str}", sync_to_thread=False)
def thing(thing_id: Annotated[str, PathParameter(pattern=DEVICE_ID_PATTERN)]) -> list[str]:
    return ["thing", thing_id]


@get("/v1/things/{thing_id:str}/parts/{part_id:str}", sync_to_thread=False)
def part(thing_id: FromPath[str], part_id: FromPath[str]) -> list[str]:
    return ["part", thing_id, part_id]


APP = EncodedPaths(
    [thing, part],
    middleware=[decode_parameters],
    plugins=[problem_details],
    openapi_config=None,
    logging_config=None,
)


def answer(path: str) -> tuple[int, Any]:
    """Status and body of a GET, of which the server has decoded the path, as servers do."""
    sent = asyncio.run(_sent(path))
    body = httpx.Response(200, content=sent[1]["body"]).json()
    return sent[0]["status"], body


async def _sent(path: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 3000),
        "client": ("127.0.0.1", 9),
    }
    await APP(scope, receive, send)  # type: ignore[arg-type]
    return sent


def every_character(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


@given(IDS, IDS)
@example("a/b", "a%2Fb")
@example("%252F", "%")
@example("parts", "..a/../x")
def test_every_id_comes_out_of_a_path_as_it_went_in(thing_id: str, part_id: str) -> None:
    for encode in (
        lambda text: quote(text, safe=""),
        lambda text: quote(text, safe="!$&'()*+,;=:@|^`{}\"<>\\[]"),  # what need not be encoded
        every_character,
    ):
        path = f"/v1/things/{encode(thing_id)}"
        assert answer(path) == (200, ["thing", thing_id])
        path += f"/parts/{encode(part_id)}"
        assert answer(path) == (200, ["part", thing_id, part_id])


@given(st.text(st.sampled_from("%2Fé./aZ0"), min_size=1, max_size=8))
def test_no_path_is_an_error_of_the_service(text: str) -> None:
    path = "".join(c if c.isascii() else quote(c) for c in text)
    assert answer(f"/v1/things/{path}")[0] in (200, 400, 404)


@pytest.mark.parametrize("text", ["%", "a%2", "%zz", "%2%35", "%FF", "%C3%28", "%u0041", "%%41"])
def test_what_is_not_percent_encoded_is_400(text: str) -> None:
    status, body = answer(f"/v1/things/{text}")
    assert (status, body["type"]) == (400, "urn:fleetmeter:problem:invalid-parameter")
    assert body["errors"][0]["path"] == "thing_id"


@pytest.mark.parametrize("text", ["%2E", "%2e%2E", ".", "%20a", "%C3%A4"])
def test_what_is_no_id_is_400_with_the_rule(text: str) -> None:
    status, body = answer(f"/v1/things/{text}")
    assert status == 400
    assert "1 to 64 printable ASCII characters" in body["detail"]


def test_words_of_a_path_may_be_encoded_too() -> None:
    assert answer("/%76%31/th%69ngs/EV%2D1") == (200, ["thing", "EV-1"])
    assert answer("/v1%2Fthings/EV-1")[0] == 404


def test_a_server_that_gives_no_raw_path_decodes_once_too() -> None:
    assert encoded_path("/v1/things/a%2Fb", None) == "/v1/things/a%252Fb"
    assert encoded_path("/v1/things/EV-1", None) == "/v1/things/EV-1"


def test_text_with_nul_is_400_before_anything_is_asked_with_it() -> None:
    status, body = answer("/v1/things/a%00b")
    assert status == 400
    assert body["detail"] == "thing_id: contains the character U+0000"
