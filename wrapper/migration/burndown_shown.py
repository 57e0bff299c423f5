"""The burndown for people and programs: lines of text, JSON-ready data, and one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from wrapper.migration.burndown import Burndown, Count, Day, Outlook
from wrapper.migration.consumption import columns
from wrapper.migration.forecast import SURE
from wrapper.operation import STAGES
from wrapper.units import DAY, day, iso, minute

FAR = 4102444800.0  # 2100-01-01: nobody plans for later
_COLOURS = {"legacy": "#8d99ae", "shadow": "#c9ada7", "canary": "#f2c14e", "modern": "#3a86c8", "retired": "#2a9d6f"}
_WIDTH, _HEIGHT = 720, 240
_STYLE = """body{font:15px/1.4 sans-serif;margin:2em auto;max-width:60em;padding:0 1em}
table{border-collapse:collapse}th,td{padding:.15em .8em;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}svg text{font-size:12px}"""


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    rows: Sequence[Sequence[str]]  # the first is the head
    note: str = ""


def lines(told: Burndown) -> list[str]:
    """For a terminal."""
    out = [f"Burndown as of {minute(told.at)} UTC", ""]
    for table in _tables(told):
        out += [table.title, *(f"  {line}" for line in columns(table.rows)), *([f"  {table.note}"] if table.note else []), ""]
    out += ["What stands in the way"]
    for blocked in told.blocked:
        out += [f"  {blocked.endpoint} ({blocked.stage})", *(f"    {why}" for why in blocked.why)]
    return [*out, *(["  nothing"] if not told.blocked else []), "", "Forecast", *(f"  {line}" for line in forecasts(told))]


def data(told: Burndown) -> dict[str, Any]:
    """For a program."""
    return {
        "at": iso(told.at),
        "stages": [{"at": iso(count.at), **{stage: count.stages.get(stage, 0) for stage in STAGES}} for count in told.counts],
        "calls": [
            {
                "day": d.day,
                "legacy": d.legacy,
                "modern": d.modern,
                "left": _left(d),
                "seconds": round(d.seconds, 3),
                "freed": round(d.freed, 3),
            }
            for d in told.days
        ],
        "blocked": [{"endpoint": b.endpoint, "stage": b.stage, "why": list(b.why)} for b in told.blocked],
        "forecast": [_outlook(outlook) for outlook in told.outlooks],
    }


def page(told: Burndown) -> str:
    """One HTML document, without scripts and without anything from elsewhere."""
    blocked = "".join(
        f"<dt>{escape(b.endpoint)} ({b.stage})</dt>" + "".join(f"<dd>{escape(why)}</dd>" for why in b.why) for b in told.blocked
    )
    body = [
        f"<h1>Burndown as of {minute(told.at)} UTC</h1>",
        _chart(told.counts),
        *(_html(table) for table in _tables(told)),
        f"<h2>What stands in the way</h2>{f'<dl>{blocked}</dl>' if blocked else '<p>nothing</p>'}",
        "<h2>Forecast</h2>" + "".join(f"<p>{escape(line)}</p>" for line in forecasts(told)),
    ]
    head = f'<meta charset="utf-8"><title>Figway: burndown</title><style>{_STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>", ""])


def forecasts(told: Burndown) -> list[str]:
    """A sentence each; one when both would say the same."""
    able, everything = told.outlooks
    return [_told(able)] + ([_told(everything)] if everything.endpoints != able.endpoints else [])


def _told(outlook: Outlook) -> str:
    if not outlook.endpoints:
        return f"there are no {outlook.of}"
    about = f"{outlook.reached} of {outlook.endpoints} {outlook.of} are on modern or retired"
    seen = outlook.forecast
    if outlook.reached == outlook.endpoints:
        return f"{about}: done"
    if seen is None:
        moved = {0: "no endpoint has reached modern", 1: "only 1 endpoint has reached modern"}.get(
            outlook.reached, f"only {outlook.reached} endpoints have reached modern, in one move"
        )
        return f"{about}; no forecast: {moved}"
    grain = minute if seen.late - seen.early < 2 * DAY else day
    early, middle, late = (grain(at) if at < FAR else "after 2100" for at in (seen.early, seen.middle, seen.late))
    return f"{about}; at the pace so far all will be between {early} and {late} ({SURE:.0%} sure; as likely before {middle} as after it)"


def _outlook(outlook: Outlook) -> dict[str, Any]:
    seen = outlook.forecast
    times = {"early": seen.early, "middle": seen.middle, "late": seen.late} if seen is not None else {}
    found = {name: iso(at) if at < FAR else None for name, at in times.items()}
    between = {"sure": SURE, **found} if found else None
    return {"of": outlook.of, "endpoints": outlook.endpoints, "reached": outlook.reached, "all": between, "told": _told(outlook)}


def _left(day: Day) -> float | None:
    """The share of calls that legacy still answers."""
    return round(day.legacy / (day.legacy + day.modern), 4) if day.legacy + day.modern else None


def _tables(told: Burndown) -> Iterator[_Table]:
    stages = [[_when(count, told.at), *(str(count.stages.get(stage, 0)) for stage in STAGES)] for count in told.counts]
    yield _Table("Endpoints by stage", [["end of day", *STAGES], *stages])
    head = ["day (UTC)", "legacy", "modern", "left", "legacy s", "sessions busy", "freed s", "sessions freed"]
    rows = [
        [d.day, f"{d.legacy:,}", f"{d.modern:,}", "-" if (left := _left(d)) is None else f"{left:.1%}",
         f"{d.seconds:,.0f}", f"{d.seconds / DAY:.3f}", f"{d.freed:,.0f}", f"{d.freed / DAY:.3f}"]
        for d in told.days
    ]  # fmt: skip
    note = (
        "sessions busy, sessions freed: these seconds as host sessions that are busy all day; today is not over"
        if rows
        else "nothing has been counted yet"
    )
    yield _Table("Calls left on legacy", [head, *rows], note)


def _when(count: Count, now: float) -> str:
    return "now" if count.at == now else day(count.at - 1)


def _html(table: _Table) -> str:
    head, *rows = table.rows
    made = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape(table.title)}</h2><table><tr>{made}</tr>{body}</table><p>{escape(table.note)}</p>"


def _chart(counts: Sequence[Count]) -> str:
    """Stages stacked, the last one lowest: what is done grows from the ground."""
    shown = counts if len(counts) > 1 else [*counts, *counts]
    begin, end = shown[0].at, shown[-1].at
    most = max(1, *(sum(count.stages.values()) for count in shown))
    across = [(n / (len(shown) - 1) if end == begin else (count.at - begin) / (end - begin)) * _WIDTH for n, count in enumerate(shown)]
    floor, areas = [0] * len(shown), []
    for stage in reversed(STAGES):
        roof = [low + count.stages.get(stage, 0) for low, count in zip(floor, shown, strict=True)]
        edge = [*zip(across, roof, strict=True), *reversed([*zip(across, floor, strict=True)])]
        points = " ".join(f"{x:.1f},{_HEIGHT * (1 - y / most):.1f}" for x, y in edge)
        areas.append(
            f'<polygon points="{points}" fill="{_COLOURS[stage]}"><title>{stage}: {shown[-1].stages.get(stage, 0)} now</title></polygon>'
        )
        floor = roof
    legend = "".join(
        f'<rect x="{n * 120}" y="{_HEIGHT + 28}" width="12" height="12" fill="{_COLOURS[stage]}"/>'
        f'<text x="{n * 120 + 18}" y="{_HEIGHT + 39}">{stage} {shown[-1].stages.get(stage, 0)}</text>'
        for n, stage in enumerate(STAGES)
    )
    ends = f'<text x="0" y="{_HEIGHT + 16}">{day(begin)}</text><text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{day(end)}</text>'
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + 48}" role="img" aria-label="endpoints by stage over time, at most {most}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{"".join(areas)}{ends}{legend}</svg>'
