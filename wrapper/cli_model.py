"""`figway model`: what can be told of a model beside its scores."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from wrapper.cli_state import CATALOGUE
from wrapper.settings import from_environment

_FLAGS: Mapping[str, bool] = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@click.group()
def model() -> None:
    """The models that score."""


@model.command("bias")
@click.argument("reference", metavar="MODEL@VERSION")
@click.option(
    "--data", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with a column for each feature, and one for the outcome; an empty cell is missing.",
)  # fmt: skip
@click.option("--outcome", required=True, metavar="COLUMN=VALUE", help="What the model warns of: Status=bad.")
@click.option("--decision", type=float, required=True, help="The score from which on somebody is declined.")
@click.option(
    "--by", multiple=True, required=True, metavar="FEATURE[:ENDS]", help="Groups: marital; in bands: age:25,35,50. May be repeated."
)
@click.option("--unseen", type=int, metavar="SEED", help="Only the quarter that random.Random(SEED).sample draws: those held out.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@CATALOGUE
def bias(
    reference: str, file: Path, outcome: str, decision: float, by: Sequence[str], unseen: int | None, as_json: bool, catalogue: str | None
) -> None:
    """Whether a model treats groups of people alike, on data with known outcomes. How: docs/model-bias.md."""
    from scoring import bias as measured
    from scoring.store import Store

    found = Store(from_environment(catalogue=catalogue).models).model(reference)
    column, _, value = outcome.partition("=")
    rows = _rows(file, unseen)
    bad = [_cell(row, column) == value for row in rows]
    features = [{one.name: _typed(one.kind, _cell(row, one.name), one.name) for one in found.card.features} for row in rows]
    scores = [found.score(each).value for each in features]
    made = {name: measured.groups(_named(features, name, ends), scores, bad, decision, _bands(ends)) for name, ends in map(_split, by)}
    if as_json:
        click.echo(json.dumps({"model": reference, "decision": decision, "rows": len(rows), "groups": measured.data(made)}, indent=2))
        return
    click.echo(f"{reference}: {len(rows)} people, declined from a score of {decision:g} on; {sum(bad) / len(bad):.1%} turned out bad")
    for name, groups in made.items():
        click.echo("\n" + "\n".join(measured.table(name, groups)))


def _rows(file: Path, unseen: int | None) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [{name.lower(): cell for name, cell in row.items()} for row in csv.DictReader(lines)]
    if not rows:
        raise click.ClickException(f"{file} has no rows")
    drawn = sorted(random.Random(unseen).sample(range(len(rows)), len(rows) // 4)) if unseen is not None else range(len(rows))
    return [rows[n] for n in drawn]


def _cell(row: Mapping[str, str], name: str) -> str:
    if name.lower() not in row:
        raise click.ClickException(f"the data have no column {name}; they have {', '.join(row)}")
    return row[name.lower()]


def _typed(kind: str, cell: str, name: str) -> Any:
    if cell == "":
        return None
    if kind == "category":
        return cell
    try:
        return _FLAGS[cell.lower()] if kind == "flag" else float(cell)
    except (KeyError, ValueError):
        raise click.ClickException(f"the column {name} has a cell that is no {kind}") from None


def _split(by: str) -> tuple[str, tuple[float, ...]]:
    name, _, ends = by.partition(":")
    try:
        return name, tuple(float(end) for end in ends.split(",") if end)
    except ValueError:
        raise click.UsageError(f"--by {by}: bands are written like age:25,35,50") from None


def _bands(ends: Sequence[float]) -> list[str]:
    if not ends:
        return []
    return [f"below {ends[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(ends)), f"{ends[-1]:g} and over"]


def _named(features: Sequence[Mapping[str, Any]], name: str, ends: Sequence[float]) -> list[str | None]:
    """Each person's group: the value itself, or the band that it lies in: from its lower end on, below its upper one."""
    if name not in features[0]:
        raise click.ClickException(f"the model has no feature {name}; it has {', '.join(features[0])}")
    bands, values = _bands(ends), [row[name] for row in features]
    return [None if value is None else bands[sum(value >= end for end in ends)] if bands else str(value) for value in values]
