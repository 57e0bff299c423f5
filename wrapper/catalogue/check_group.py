"""A group moves together: its endpoints know a customer by the same key, its writes have one system of record, and its reads follow."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.blocks import instead
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.estate import Estate, Told, beyond, terms

_STAGE, _KEY, _WRITES = ("migration", "highest_stage"), ("migration", "key"), ("migration", "writes")


def key(endpoint: Endpoint, estate: Estate) -> Told:
    """One plain value that every request has."""
    told = endpoint.operation.migration
    if told is None:
        return
    if not told.key and beyond(endpoint, "legacy"):
        yield ("migration",), "say `key`, the parameter by which traffic sticks to a side: neither auth.object nor the path has just one"
    elif told.key not in endpoint.params:
        if "key" in terms(endpoint):
            yield _KEY, f"migration.key names '{told.key}', which is not a parameter{instead(told.key, endpoint.params)}"
    else:
        field = endpoint.params[told.key].field
        if field.optional or field.of or field.type in ("list", "object"):
            what = "optional" if field.optional else f"a {field.type}"
            yield _KEY, f"the key must be one plain value that every request has; '{told.key}' is {what}"
        yield from _alike(endpoint, estate)


def _alike(endpoint: Endpoint, estate: Estate) -> Told:
    """The same customer has the same text for a key. The later file, by name, is told."""
    mine = _key_type(endpoint)
    for other in _group(endpoint, estate):
        theirs = _key_type(other)
        if other.file < endpoint.file and mine and theirs and mine != theirs:
            yield _KEY, f"the key of group '{endpoint.operation.group}' is {theirs} for {other.operation.name}, and {mine} here"
            return


def _key_type(endpoint: Endpoint) -> str:
    """Of an endpoint that has two sides; "" where there is no choice between them."""
    told = endpoint.operation.migration
    known = told is not None and "modern" in endpoint.raw and told.key in endpoint.params
    return endpoint.params[told.key].field.type if told is not None and known else ""


def changes(endpoint: Endpoint, _: Estate) -> Told:
    """What changes something moves as a write does, one way or the other, and is done once."""
    effect, raw, policy = endpoint.operation.effect, terms(endpoint), terms(endpoint).get("writes", "legacy_only")
    legacy = endpoint.operation.legacy
    if effect != "write" and "writes" in raw:
        yield _WRITES, f"writes is for `effect: write`; this is `effect: {effect}`"
    if effect == "idempotent" and beyond(endpoint, "legacy"):
        yield _STAGE, "only reads and writes leave legacy: which side has a change is noted of an `effect: write`"
    if effect != "write":
        return
    if legacy is not None and legacy.deferred and beyond(endpoint, "legacy"):
        yield _STAGE, "a write that legacy answers later, by a file, can't leave legacy: nobody could tell which side has it"
    if policy == "legacy_only" and beyond(endpoint, "shadow"):
        yield _STAGE, "`writes: legacy_only` writes to legacy for ever: say `writes`, dual or modern_only"
    if policy != "legacy_only" and not beyond(endpoint, "shadow"):
        yield _WRITES, f"`writes: {policy}` needs a highest_stage of canary or beyond"
    if policy != "legacy_only" and "idempotency" not in endpoint.raw.get("modern", {"idempotency": ""}):
        yield _WRITES, f"`writes: {policy}` needs modern to do a write once: say under modern which header takes its key, `idempotency`"


def followers(endpoint: Endpoint, estate: Estate) -> Told:
    """Where a key's writes go, its reads go too, and its other writes."""
    if endpoint.operation.effect != "write" or terms(endpoint).get("writes", "legacy_only") == "legacy_only":
        return
    others, stage = list(_group(endpoint, estate)), terms(endpoint)["highest_stage"]
    reads = [each for each in others if each.operation.effect == "read" and not _key_type(each)]
    if reads:
        yield _WRITES, f"reads follow the writes of their group, and need a modern block and a migration block with a key: {_names(reads)}"
    behind = [each for each in others if each.operation.effect != "read" and terms(each).get("highest_stage", "legacy") != stage]
    if behind:
        yield _STAGE, f"the writes of a group move together, and need the same highest_stage, '{stage}': {_names(behind)}"


def _group(endpoint: Endpoint, estate: Estate) -> Iterator[Endpoint]:
    """The others of its group. A join is not one: its parts are."""
    for other in estate.endpoints.values():
        if other is not endpoint and other.operation.group == endpoint.operation.group and "parts" not in other.raw:
            yield other


def _names(endpoints: list[Endpoint]) -> str:
    return ", ".join(sorted(each.operation.name for each in endpoints))


CHECKS = (key, changes, followers)
