"""Writes docker/grafana/dashboards/*.json from docker/grafana/source/*.yaml.

    python docker/grafana/write_dashboards.py [--check]     (make dashboards)

A source has what differs from panel to panel: title, query, fields with their style, size. How a
panel of a type looks, what a style means and how dashboards link stands here, once.
docs/grafana.md describes the sources.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SOURCES = HERE / "source"
DASHBOARDS = HERE / "dashboards"

Json = dict[str, Any]

POSTGRESQL = {"type": "grafana-postgresql-datasource", "uid": "fleetmeter"}
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}

TAG = "fleetmeter"
WIDTH = 24


def steps(lowest: str, *further: tuple[float, str]) -> Json:
    """Thresholds: the colour from the lowest value on, and from each further one."""
    found: list[Json] = [{"color": lowest, "value": None}]
    found += [{"color": color, "value": value} for value, color in further]
    return {"mode": "absolute", "steps": found}


def coloured(*args: Any) -> Json:
    return {"thresholds": steps(*args), "color": {"mode": "thresholds"}}


COLORS = ("blue", "green", "orange", "red", "purple", "text")

STYLES: dict[str, Json] = {
    "energy": {"unit": "kwatth", "decimals": 1},
    "efficiency": {
        "unit": "percentunit",
        "decimals": 1,
        # above 100 % something is wrong
        **coloured("red", (0.8, "yellow"), (0.85, "green"), (1.000001, "purple")),
    },
    "share": {"unit": "percentunit", "decimals": 1},
    "faults": {"unit": "percentunit", "decimals": 1, **coloured("green", (0.01, "orange"))},
    "percent": {"unit": "percent", "decimals": 0, "min": 0, "max": 100},
    "celsius": {"unit": "celsius", "decimals": 1},
    "hot": {"unit": "celsius", "decimals": 1, **coloured("green", (42, "yellow"), (45, "red"))},
    "volt": {"unit": "volt", "decimals": 1},
    "power": {"unit": "kwatt", "decimals": 1},
    "distance": {"unit": "lengthkm", "decimals": 0},
    "count": {"unit": "short", "decimals": 0},
    "alarm": {"unit": "short", "decimals": 0, **coloured("green", (1, "red"))},
    "up": {"unit": "short", "decimals": 0, **coloured("red", (1, "green"))},
    "rate": {"unit": "cps"},
    "requests": {"unit": "reqps"},
    "seconds": {"unit": "s"},
    "bytes": {"unit": "bytes"},
    "ago": {"unit": "dateTimeFromNow"},
    "time": {"unit": "dateTimeAsLocal"},
    # how a series is drawn
    "line": {"custom.drawStyle": "line", "custom.fillOpacity": 0},
    # how a cell is shown
    "colored": {"custom.cellOptions": {"type": "color-text"}},
}

LINKS = {
    "to-vehicle": ("Vehicle", "vehicle", "vehicle"),
    "to-meter": ("Meter", "meter-and-site", "meter"),
    "to-site": ("Site", "meter-and-site", "site"),
}
"""Words of fields whose values lead to another dashboard: title, its uid, its variable."""


def style(words: str) -> Json:
    """The properties of a field by id, of words like `energy blue`."""
    found: Json = {}
    for word in words.split():
        if word in COLORS:
            found["color"] = {"mode": "fixed", "fixedColor": word}
        elif word in LINKS:
            title, uid, variable = LINKS[word]
            url = f"/d/{uid}?var-{variable}=${{__value.raw:percentencode}}&${{__url_time_range}}"
            found["links"] = [{"title": title, "url": url}]
        else:
            found |= STYLES[word]
    return found


def defaults(properties: Json) -> Json:
    """The same as the defaults of a panel, in which custom properties are nested."""
    found = {name: value for name, value in properties.items() if not name.startswith("custom.")}
    custom = {
        name.removeprefix("custom."): value
        for name, value in properties.items()
        if name.startswith("custom.")
    }
    return found | ({"custom": custom} if custom else {})


STAT: Json = {
    "colorMode": "value",
    "graphMode": "none",
    "justifyMode": "auto",
    "orientation": "auto",
    "textMode": "auto",
    "wideLayout": True,
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
}
TIME_SERIES: Json = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "none"},
}
BAR_GAUGE: Json = {
    "displayMode": "basic",
    "orientation": "horizontal",
    "showUnfilled": True,
    "valueMode": "color",
    # a bar for each row
    "reduceOptions": {"calcs": [], "fields": "", "values": True},
}
TABLE: Json = {"cellHeight": "sm", "showHeader": True}


def drawn(draw: str, stack: bool) -> Json:
    """How time series are drawn, as `bars` or `line`."""
    return {
        "drawStyle": draw,
        "lineWidth": 1 if draw == "bars" else 2,
        "fillOpacity": 60 if draw == "bars" else 10,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }


def targets(kind: str, source: Json) -> list[Json]:
    """The queries of a panel: `sql`, one or several, or `promql` by legend."""
    if "sql" in source:
        sql = source["sql"]
        return [
            {
                "refId": chr(ord("A") + number),
                "datasource": POSTGRESQL,
                "editorMode": "code",
                "format": "time_series" if kind == "timeseries" else "table",
                "rawQuery": True,
                "rawSql": each.strip(),
            }
            for number, each in enumerate([sql] if isinstance(sql, str) else sql)
        ]
    return [
        {
            "refId": chr(ord("A") + number),
            "datasource": PROMETHEUS,
            "editorMode": "code",
            "expr": expr,
            "legendFormat": legend,
            "instant": kind != "timeseries",
            "range": kind == "timeseries",
        }
        for number, (legend, expr) in enumerate(source["promql"].items())
    ]


def panel(number: int, kind: str, source: Json, place: Json) -> Json:
    """One panel; its title is the value of its type's key."""
    options = {"stat": STAT, "timeseries": TIME_SERIES, "bargauge": BAR_GAUGE, "table": TABLE}[kind]
    found = style(source.get("is", ""))
    if kind == "timeseries":
        found = {"color": {"mode": "palette-classic"}} | found
        custom = drawn(source.get("draw", "line"), source.get("stack", False))
        found = {f"custom.{name}": value for name, value in custom.items()} | found
    elif kind == "table":
        found = {"custom.align": "auto", "custom.filterable": True, "noValue": "–"} | found
    else:
        found["noValue"] = "–"
    if "min" in source:
        found["min"] = source["min"]
    if kind == "stat" and "thresholds" not in found:
        found = {"thresholds": steps("text")} | found
    overrides = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": id_, "value": value} for id_, value in style(words).items()],
        }
        for name, words in source.get("fields", {}).items()
    ]
    if source.get("text"):
        options = options | {"reduceOptions": STAT["reduceOptions"] | {"fields": "/.*/"}}
    made = {
        "id": number,
        "type": kind,
        "title": source[kind],
        "description": source.get("about", ""),
        "gridPos": place,
        "datasource": POSTGRESQL if "sql" in source else PROMETHEUS,
        "targets": targets(kind, source),
        "fieldConfig": {"defaults": defaults(found), "overrides": overrides},
        "options": options,
    }
    if "last" in source:
        made["timeFrom"] = source["last"]
    return made


def panels(sources: list[Json]) -> list[Json]:
    """All panels, from left to right and from top to bottom, as their sizes let them."""
    made: list[Json] = []
    x = y = height = 0
    for number, source in enumerate(sources, start=1):
        kind = next(iter(source))
        w, h = (WIDTH, 1) if kind == "row" else map(int, source["size"].split("x"))
        if x + w > WIDTH:
            x, y, height = 0, y + height, 0
        place = {"x": x, "y": y, "w": w, "h": h}
        x, height = x + w, max(height, h)
        if kind == "row":
            row = {"id": number, "type": "row", "title": source["row"], "gridPos": place}
            made.append(row | {"collapsed": False, "panels": []})
        else:
            made.append(panel(number, kind, source, place))
    return made


def variable(name: str, source: Json) -> Json:
    """A variable: of a query, or one of fixed values. `all` offers several and starts with all."""
    several = "values" in source or source.get("all", False)
    chosen = source.get("chosen", ["$__all"])
    made: Json = {
        "name": name,
        "label": source["label"],
        "multi": several,
        "includeAll": several,
        "current": {"text": chosen, "value": chosen} if several else {},
        "hide": 0,
        "skipUrlSync": False,
    }
    if chosen == ["$__all"] and several:
        made["current"]["text"] = ["All"]
    if "values" in source:
        return made | {
            "type": "custom",
            "query": ",".join(source["values"]),
            "options": [
                {"text": each, "value": each, "selected": each in chosen}
                for each in source["values"]
            ],
        }
    sql = source["sql"].strip()
    return made | {
        "type": "query",
        "datasource": POSTGRESQL,
        "query": sql,
        "definition": sql,
        # with the dashboard; and while somebody types, if the query has $__searchFilter
        "refresh": 1,
        "regex": "",
        "sort": 0,
        "options": [],
    }


def annotation(source: Json) -> Json:
    """What is marked in every panel over time: rows with time, timeend, text and tags."""
    made: Json = {"name": source["name"], "enable": True, "hide": False, "iconColor": "orange"}
    if "promql" in source:
        return made | {
            "datasource": PROMETHEUS,
            "expr": source["promql"],
            "titleFormat": "{{alertname}}",
            "tagKeys": "severity",
            "step": "60s",
        }
    (target,) = targets("table", source)
    return made | {"datasource": POSTGRESQL, "target": target | {"refId": "Anno"}}


def dashboard(source: Json, variables: Json) -> Json:
    return {
        "uid": source["uid"],
        "title": source["title"],
        "description": source["about"],
        "tags": [TAG],
        "schemaVersion": 42,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "time": {"from": f"now-{source['last']}", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "refresh": source["refresh"],
        # to all others, at the same time
        "links": [
            {
                "type": "dashboards",
                "title": "FleetMeter",
                "tags": [TAG],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": [annotation(each) for each in source.get("annotations", [])]},
        "templating": {
            "list": [variable(name, variables[name]) for name in source.get("variables", [])]
        },
        "panels": panels(source["panels"]),
    }


def written() -> dict[Path, str]:
    """The text of every dashboard by its path."""

    def read(path: Path) -> Any:
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    variables = read(SOURCES / "variables.yaml")
    return {
        DASHBOARDS / f"{path.stem}.json": json.dumps(
            dashboard(read(path), variables), indent=2, ensure_ascii=False
        )
        + "\n"
        for path in sorted(SOURCES.glob("*.yaml"))
        if path.stem != "variables"
    }


def main() -> None:
    stale = [
        path
        for path, text in written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"stale: {', '.join(path.name for path in stale)}; run make dashboards")
        return
    for path in stale:
        path.write_text(written()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(HERE.parent.parent)}")


if __name__ == "__main__":
    main()
