"""Read the plans of the statements that ran, nested ones included."""

import json
from typing import Any, NamedTuple

import asyncpg


class Scan(NamedTuple):
    """A node of a plan that read a relation, and by which condition on an index."""

    relation: str
    condition: str


async def scans(url: str, ask: Any) -> list[Scan]:
    """Every scan of a relation that the statements of `ask` ran."""
    plans: list[Any] = []
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC", "jit": "off"})
    try:
        await connection.execute("load 'auto_explain'")
        for setting, value in (
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_nested_statements", "on"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_format", "json"),
            ("client_min_messages", "log"),
            ("enable_seqscan", "off"),  # so few rows would be read whole
        ):
            await connection.execute(f"set {setting} = {value}")
        connection.add_log_listener(lambda _, message: plans.append(message.message))
        await ask(connection)
    finally:
        await connection.close()
    found: list[Scan] = []

    def walk(node: dict[str, Any]) -> None:
        if not node.get("Actual Loops"):
            return
        if relation := node.get("Relation Name"):
            below = [child.get("Index Cond", "") for child in node.get("Plans", [])]
            found.append(Scan(relation, " ".join([node.get("Index Cond", ""), *below])))
        for child in node.get("Plans", []):
            walk(child)

    for text in plans:
        if (start := text.find("{")) >= 0 and '"Plan"' in text:
            walk(json.loads(text[start:])["Plan"])
    assert found
    return found
