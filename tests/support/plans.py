"""Read the plans of the statements that ran, nested ones included."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import asyncpg


class Scan(NamedTuple):
    """A node of a plan that read a relation, and by which condition on an index."""

    relation: str
    condition: str


async def scans(url: str, ask: Any) -> list[Scan]:
    """Every scan of a relation that the statements of `ask` ran."""
    found: list[Scan] = []
    for node in await _nodes(url, ask, enable_seqscan="off"):  # so few rows would be read whole
        if relation := node.get("Relation Name"):
            below = [child.get("Index Cond", "") for child in node.get("Plans", [])]
            found.append(Scan(relation, " ".join([node.get("Index Cond", ""), *below])))
    assert found
    return found


async def rows_handled(url: str, ask: Any) -> int:
    """How many rows the nodes of all plans of `ask` returned or removed, together."""
    rows = 0
    for node in await _nodes(url, ask):
        each = sum(
            count
            for name, count in node.items()
            if name == "Actual Rows" or name.startswith("Rows Removed by ")
        )
        rows += round(each * node["Actual Loops"])
    return rows


async def widest(url: str, ask: Any) -> int:
    """How many relations, chunks above all, one node of the plans of `ask` puts together."""
    return max(len(node.get("Plans", [])) for node in await _nodes(url, ask))


async def _nodes(url: str, ask: Any, **settings: str) -> list[dict[str, Any]]:
    """Every node that ran in a plan of the statements of `ask`."""
    settings |= {
        "auto_explain.log_min_duration": "0",
        "auto_explain.log_nested_statements": "on",
        "auto_explain.log_analyze": "on",
        "auto_explain.log_format": "json",
        "client_min_messages": "log",
    }
    plans: list[Any] = []
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC", "jit": "off"})
    try:
        await connection.execute("load 'auto_explain'")
        for setting, value in settings.items():
            await connection.execute(f"set {setting} = {value}")
        connection.add_log_listener(lambda _, message: plans.append(message.message))
        await ask(connection)
    finally:
        await connection.close()

    def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if node.get("Actual Loops"):
            yield node
            for child in node.get("Plans", []):
                yield from walk(child)

    return [
        node
        for text in plans
        if (start := text.find("{")) >= 0 and '"Plan"' in text
        for node in walk(json.loads(text[start:])["Plan"])
    ]
