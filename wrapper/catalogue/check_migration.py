"""The way from legacy to modern: can its gates be met, will its rollback hold still, and does a write stay single?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapters.blocks import instead
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.build_migration import share
from wrapper.catalogue.estate import Estate, Told
from wrapper.catalogue.found import Path

_ALWAYS = (200, 202, 400, 404, 422)  # what an endpoint may answer without an error rule


def stages(endpoint: Endpoint, _: Estate) -> Told:
    """What a stage needs: somewhere to go, and no side effect asked for twice."""
    raw = _raw(endpoint)
    stage = raw.get("highest_stage", "legacy")
    if stage != "legacy" and "modern" not in endpoint.raw:
        yield ("migration", "highest_stage"), f"'{stage}' needs a modern block, and there is none"
    if stage == "legacy" and "promote_when" in raw:
        yield ("migration", "promote_when"), "the gate can never be met: highest_stage is legacy, so there is nothing to be promoted to"
    if endpoint.operation.effect == "write" and stage == "shadow":
        yield ("migration", "highest_stage"), "a write can't be shadowed: both sides would do it"
    if endpoint.operation.effect == "write" and "compare" in raw:
        yield ("migration", "compare"), "a write can't be compared: both sides would do it"
    if endpoint.raw.get("legacy", {}).get("repeat") == "never":
        if stage == "shadow":
            yield ("migration", "highest_stage"), "`repeat: never` forbids shadowing: every request would be asked twice"
        for key in ("sample", "self_sample"):
            if share(raw.get("compare", {}).get(key, "0%")):
                yield ("migration", "compare", key), f"`repeat: never` forbids {key}: it asks again"


def compare(endpoint: Endpoint, _: Estate) -> Told:
    """What is compared exists, and something is left to compare."""
    raw, shape = _raw(endpoint).get("compare", {}), endpoint.operation.shape
    paths = {f"{shape}.{name}": name for name in endpoint.fields}
    for n, path in enumerate(raw.get("ignore", ())):
        if path not in paths:
            yield (
                ("migration", "compare", "ignore", n),
                f"compare.ignore names '{path}', which the response does not have{instead(path, paths)}",
            )
    if paths.keys() <= set(raw.get("ignore", ())):
        yield ("migration", "compare", "ignore"), "every field is ignored: nothing is compared"
    order = raw.get("order_by")
    if order is not None and (shape != "items" or order not in endpoint.fields):
        yield (
            ("migration", "compare", "order_by"),
            f"compare.order_by names '{order}', which is not a field of items{instead(order, endpoint.fields)}",
        )


def gate(endpoint: Endpoint, estate: Estate) -> Told:
    """A gate that can never be met would keep a team waiting for ever."""
    raw = _raw(endpoint)
    promote, at = raw.get("promote_when"), ("migration", "promote_when")
    if promote is None:
        return
    if share(promote["parity_at_least"]) == 1:
        yield (*at, "parity_at_least"), "the gate can never be met: no sample shows a parity of 100%; say 99.9%"
    if share(promote["confidence"]) == 1:
        yield (*at, "confidence"), "the gate can never be met: no sample gives a confidence of 100%; say 95%"
    if not share(raw.get("compare", {}).get("sample", "100%")):
        yield ("migration", "compare", "sample"), "the gate can never be met: with a sample of 0% nothing is compared"
    if "score_drift_at_most" in promote and not _scored(endpoint, estate):
        yield (*at, "score_drift_at_most"), "the gate can never be met: nothing scores this endpoint's answers"
    yield from _seen(promote.get("must_have_seen", {}), endpoint, (*at, "must_have_seen"))


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
    for value in values if isinstance(values, list) else [values]:
        if allowed and value not in allowed:
            yield path, f"the gate can never be met: '{name}' is never '{value}'{instead(value, allowed)}"


def rollback(endpoint: Endpoint, _: Estate) -> Told:
    """A rollback must not fire on one bad call, nor on what was good enough to be promoted."""
    raw = _raw(endpoint)
    back, at = raw.get("roll_back_when"), ("migration", "roll_back_when")
    if back is None:
        return
    if "min_count" not in back:
        yield at, "a rollback needs a min_count: without it the first failed call of a quiet night rolls back"
    if "errors_over" not in back and "parity_below" not in back:
        yield at, "a rollback needs errors_over or parity_below: it has nothing to fire on"
    promoted = raw.get("promote_when", {}).get("parity_at_least")
    if promoted is not None and share(back.get("parity_below", "0%")) >= share(promoted):
        yield (
            (*at, "parity_below"),
            f"the rollback flaps: promoted at {promoted}, rolled back below {back['parity_below']}; leave a gap between them",
        )
    if "errors_over" in back and share(back["errors_over"]) == Decimal(0):
        yield (*at, "errors_over"), "the rollback flaps: over 0% every single error fires it; say 1%"


def dates(endpoint: Endpoint, _: Estate) -> Told:
    raw, terms = _raw(endpoint), endpoint.operation.migration
    if terms is None:
        return
    if terms.sunset and terms.deprecated and terms.sunset < terms.deprecated:
        yield ("migration", "sunset"), f"the sunset {raw['sunset']} is before the deprecation {raw['deprecated']}"
    for key, what in (("sunset", "a sunset"), ("brown_outs", "a brown-out")):
        if key in raw and "deprecated" not in raw:
            yield ("migration", key), f"{what} without a deprecation takes callers by surprise: say when it is `deprecated`"


def successor(endpoint: Endpoint, _: Estate) -> Told:
    """Its link can be made of the request's own path."""
    placed = re.findall(r"\{(\w+)\}", endpoint.operation.path)
    for name in re.findall(r"\{(\w+)\}", _raw(endpoint).get("successor", "")):
        if name not in placed:
            yield ("migration", "successor"), f"successor names '{name}', which the route does not have{instead(name, placed)}"


def _raw(endpoint: Endpoint) -> Mapping[str, Any]:
    return endpoint.raw.get("migration", {})  # type: ignore[no-any-return]


CHECKS = (stages, compare, gate, rollback, dates, successor)
