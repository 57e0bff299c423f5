"""What is compared on the way to modern: is it there, is something left to compare, and is legacy spared?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from adapters.blocks import instead
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.build_migration import share
from wrapper.catalogue.estate import Estate, Told, beyond, terms
from wrapper.operation import Field

_AT = ("migration", "compare")
_LIMITS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("integer", "decimal"), ("number", "a number, like 0.01")),
    **dict.fromkeys(("date", "datetime"), ("duration", "a duration, like 5s")),
}
_MOST = Decimal("0.02")
"""Of legacy's answers asked for twice: what legacy was sized for has little to spare."""


def paths(endpoint: Endpoint, _: Estate) -> Told:
    """What the rules name exists, and something is left to compare."""
    raw, shape = terms(endpoint).get("compare", {}), endpoint.operation.shape
    known = dict(_paths(endpoint.operation.fields, shape))
    for key in ("ignore", "tolerance"):
        for n, path in enumerate(raw.get(key, ())):
            if path not in known:
                at = path if key == "tolerance" else n
                yield (*_AT, key, at), f"compare.{key} names '{path}', which the response does not have{instead(path, known)}"
    if {f"{shape}.{name}" for name in endpoint.fields} <= set(raw.get("ignore", ())):
        yield (*_AT, "ignore"), "every field is ignored: nothing is compared"
    order = raw.get("order_by")
    if order is not None and (shape != "items" or order not in endpoint.fields):
        yield (*_AT, "order_by"), f"compare.order_by names '{order}', which is not a field of items{instead(order, endpoint.fields)}"
    lists = [*(["items"] if shape == "items" else []), *(path for path, field in known.items() if field.type == "list")]
    for n, path in enumerate(raw.get("unordered", ())):
        if path not in lists:
            yield (*_AT, "unordered", n), f"compare.unordered names '{path}', which is not a list of the response{instead(path, lists)}"


def tolerances(endpoint: Endpoint, _: Estate) -> Told:
    """Numbers have one in numbers, times in durations, and nothing else has one."""
    known = dict(_paths(endpoint.operation.fields, endpoint.operation.shape))
    for path, limit in terms(endpoint).get("compare", {}).get("tolerance", {}).items():
        if path not in known:
            continue
        sort = known[path].type
        kind, example = _LIMITS.get(sort, ("", ""))
        if not kind:
            yield (*_AT, "tolerance", path), f"'{path}' is {sort}, which has no tolerance: it is the same or not"
        elif (kind == "duration") != isinstance(limit, str):
            yield (*_AT, "tolerance", path), f"the tolerance of '{path}', which is {sort}, must be {example}; met {limit}"


def samples(endpoint: Endpoint, _: Estate) -> Told:
    """A write is never asked for twice, nor a read that costs; and no other read of legacy more than a little."""
    raw = terms(endpoint).get("compare", {})
    if endpoint.operation.effect == "write" and "compare" in terms(endpoint):
        yield _AT, "a write can't be compared: both sides would do it"
    for side, block, _source in endpoint.blocks():
        if block.get("repeat") != "never" or endpoint.operation.effect != "read":
            continue
        if beyond(endpoint, "legacy"):
            at = ("migration", "highest_stage")
            yield at, f"{side}'s `repeat: never` forbids shadowing, and so all that comes after: requests would be asked twice"
        for key in ("sample", "sample_modern", "self_sample"):
            if share(raw.get(key, "0%")):
                yield (*_AT, key), f"`repeat: never` forbids {key}: it asks again"
    if share(raw.get("self_sample", "0%")) > _MOST:
        yield (*_AT, "self_sample"), f"{raw['self_sample']} of legacy's answers asked for twice are a load of their own: say 2% at most"


def _paths(fields: Iterable[Field], at: str) -> Iterator[tuple[str, Field]]:
    """Every field by its path; the items of a list are at the path of the list."""
    for field in fields:
        path = f"{at}.{field.name}"
        yield path, field
        yield from _paths(field.of, path)


CHECKS = (paths, tolerances, samples)
