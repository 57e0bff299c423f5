"""The way from legacy to modern: is there one, can its gates be met, will its rollback hold still, and are callers told of its end?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapters.blocks import instead
from wrapper.catalogue import check_compare, check_group
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.build_migration import share, texts
from wrapper.catalogue.estate import Estate, Told, beyond, terms
from wrapper.catalogue.found import Path
from wrapper.operation import PARTS
from wrapper.units import midnight

_ALWAYS = (200, 202, 400, 404, 422)  # what an endpoint may answer without an error rule


def stages(endpoint: Endpoint, _: Estate) -> Told:
    """What a stage needs: somewhere to go, and no side effect asked for twice."""
    raw, at = terms(endpoint), ("migration", "highest_stage")
    stage = raw.get("highest_stage", "legacy")
    if stage != "legacy" and "modern" not in endpoint.raw:
        yield at, f"'{stage}' needs a modern block, and there is none"
    if endpoint.operation.effect == "write" and stage == "shadow":
        yield at, "a write can't be shadowed: both sides would do it"
    if raw.get("promotion") == "automatic" and not (beyond(endpoint, "shadow") and "roll_back_when" in raw):
        told = "a highest_stage of canary or beyond, and roll_back_when: what moves by itself goes back by itself"
        yield ("migration", "promotion"), f"`promotion: automatic` needs {told}"
    shares = [share(step) for step in raw.get("steps", ())]
    for n, step in enumerate(shares):
        if not 0 < step < 1 or step * PARTS % 1:
            yield ("migration", "steps", n), f"a step is more than 0% and less than 100%, in hundredths of a percent; met {raw['steps'][n]}"
        elif step <= max(shares[:n], default=0):
            yield ("migration", "steps", n), f"the steps must ascend: {raw['steps'][n]} comes after {raw['steps'][n - 1]}"


def gate(endpoint: Endpoint, estate: Estate) -> Told:
    """A gate that can never be met would keep a team waiting for ever, and one that asks for nothing shows nothing."""
    raw = terms(endpoint)
    promote, at = raw.get("promote_when"), ("migration", "promote_when")
    if promote is None:
        if endpoint.operation.effect == "read" and beyond(endpoint, "shadow"):
            yield ("migration",), f"nothing would ever be shown before it goes to {raw['highest_stage']}: say promote_when"
        return
    if endpoint.operation.effect == "write":
        yield at, "the gate can never be met: a write is never compared; it goes after the reads of its group"
    elif not beyond(endpoint, "legacy"):
        yield at, "the gate can never be met: highest_stage is legacy, so there is nothing to be promoted to"
    if not share(raw.get("compare", {}).get("sample", "100%")):
        yield ("migration", "compare", "sample"), "the gate can never be met: with a sample of 0% nothing is compared"
    yield from _proof(promote, at)
    for key in ("score_drift_at_most", "score_flips_at_most"):
        if key in promote and not _scored(endpoint, estate):
            yield (*at, key), "the gate can never be met: nothing scores this endpoint's answers"
    yield from _seen(promote.get("must_have_seen", {}), endpoint, (*at, "must_have_seen"))


def _proof(promote: Mapping[str, Any], at: Path) -> Told:
    for key, told, example in (("parity_at_least", "shows a parity", "99.9%"), ("confidence", "gives a confidence", "95%")):
        if share(promote[key]) == 1:
            yield (*at, key), f"the gate can never be met: no sample {told} of 100%; say {example}"
        elif not share(promote[key]):
            yield (*at, key), f"the gate asks for nothing: any sample {told} of 0%; say {example}"


def _scored(endpoint: Endpoint, estate: Estate) -> bool:
    """By itself, or through a join."""
    joins = (e.operation for e in estate.endpoints.values() if any(p.operation == endpoint.operation.name for p in e.operation.parts))
    return any(operation.scoring is not None for operation in (endpoint.operation, *joins))


def _seen(raw: Mapping[str, Any], endpoint: Endpoint, path: Path) -> Told:
    for name, values in raw.items():
        if name == "status":
            yield from _statuses(values, endpoint, (*path, name))
        elif name == "pages":
            most = endpoint.raw.get("legacy", {}).get("max_pages")
            if endpoint.operation.shape != "items" or (most is not None and values > most):
                yield (*path, name), f"the gate can never be met: an answer has at most {most or 1} page(s), not {values}"
        elif name not in endpoint.fields:
            yield (
                (*path, name),
                f"must_have_seen names '{name}', which the response does not have{instead(name, [*endpoint.fields, 'status', 'pages'])}",
            )
        else:
            legacy = endpoint.operation.legacy
            codes = legacy.read[name].values if legacy is not None and name in legacy.read else None
            yield from _words(name, values, tuple(codes.values()) if codes else endpoint.fields[name].one_of, (*path, name))


def _statuses(values: list[int], endpoint: Endpoint, path: Path) -> Told:
    rules = endpoint.operation.legacy.errors if endpoint.operation.legacy else ()
    possible = {*_ALWAYS, *(rule.status for rule in rules)}
    for status in values:
        if status not in possible:
            yield path, f"the gate can never be met: no error rule answers {status}"


def _words(name: str, values: Any, allowed: tuple[str, ...], path: Path) -> Told:
    for value in texts(values):
        if allowed and value not in allowed:
            yield path, f"the gate can never be met: '{name}' is never '{value}'{instead(value, allowed)}"


def rollback(endpoint: Endpoint, _: Estate) -> Told:
    """A rollback must not fire on one bad call, nor on what was good enough to be promoted."""
    raw = terms(endpoint)
    back, at = raw.get("roll_back_when"), ("migration", "roll_back_when")
    if back is None:
        return
    if "min_count" not in back:
        yield at, "a rollback needs a min_count: without it the first failed call of a quiet night rolls back"
    if "errors_over" not in back and "parity_below" not in back:
        yield at, "a rollback needs errors_over or parity_below: it has nothing to fire on"
    if "parity_below" in back and endpoint.operation.effect == "write":
        yield (*at, "parity_below"), "parity_below never fires: a write is never compared"
    promoted = raw.get("promote_when", {}).get("parity_at_least")
    if promoted is not None and share(back.get("parity_below", "0%")) >= share(promoted):
        yield (
            (*at, "parity_below"),
            f"the rollback flaps: promoted at {promoted}, rolled back below {back['parity_below']}; leave a gap between them",
        )
    if "errors_over" in back and share(back["errors_over"]) == Decimal(0):
        yield (*at, "errors_over"), "the rollback flaps: over 0% every single error fires it; say 1%"


def dates(endpoint: Endpoint, _: Estate) -> Told:
    raw, told = terms(endpoint), endpoint.operation.migration
    if told is None:
        return
    if told.sunset and told.deprecated and told.sunset < told.deprecated:
        yield ("migration", "sunset"), f"the sunset {raw['sunset']} is before the deprecation {raw['deprecated']}"
    for key, what in (("sunset", "a sunset"), ("brown_outs", "a brown-out")):
        if key in raw and "deprecated" not in raw:
            yield ("migration", key), f"{what} without a deprecation takes callers by surprise: say when it is `deprecated`"
    for begin, end in told.brown_outs:
        if told.deprecated and begin < midnight(told.deprecated):
            yield ("migration", "brown_outs"), f"the brown-out of {begin.isoformat()} is before the deprecation {raw['deprecated']}"
        if told.sunset and end > midnight(told.sunset):
            yield ("migration", "brown_outs"), f"the brown-out until {end.isoformat()} is not before the sunset {raw['sunset']}"


def successor(endpoint: Endpoint, _: Estate) -> Told:
    """Its link can be made of the request's own path."""
    placed = re.findall(r"\{(\w+)\}", endpoint.operation.path)
    for name in re.findall(r"\{(\w+)\}", terms(endpoint).get("successor", "")):
        if name not in placed:
            yield ("migration", "successor"), f"successor names '{name}', which the route does not have{instead(name, placed)}"


CHECKS = (stages, gate, rollback, dates, successor, *check_compare.CHECKS, *check_group.CHECKS)
