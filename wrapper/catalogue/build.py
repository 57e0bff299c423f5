"""A schema-valid endpoint file -> Operation: defaults filled in, units turned into numbers, blocks compiled by their adapter kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from adapters import registry, template
from adapters.base import BadTarget, Fault
from adapters.blocks import seconds
from adapters.errors import rules as error_rules
from wrapper.catalogue.build_migration import migration, share
from wrapper.catalogue.folder import Folder, NoFile
from wrapper.catalogue.found import Path, texts
from wrapper.catalogue.strict_yaml import Document
from wrapper.operation import (
    Ask,
    Auth,
    Caching,
    Example,
    Field,
    Migration,
    ObjectRule,
    Operation,
    Param,
    Part,
    Quality,
    ReadRule,
    Scoring,
    Source,
    System,
)  # fmt: skip

CURRENCIES: Mapping[str, int] = {
    "AUD": 2, "BHD": 3, "CAD": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HUF": 2, "INR": 2, "JPY": 0, "KRW": 0, "KWD": 3,
    "NOK": 2, "NZD": 2, "PLN": 2, "SEK": 2, "SGD": 2, "TND": 3, "USD": 2,
}  # fmt: skip
"""ISO 4217: digits after the point."""

_PLAIN = ("optional", "key", "pattern", "min_length", "max_length", "most", "pii", "summary", "currency")

Report = Callable[[str, Path, str], None]
"""file, path, message"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint file of the right shape: as it stands, and as what it makes. A side that does not compile is None in `operation`."""

    document: Document
    operation: Operation

    @property
    def raw(self) -> Mapping[str, Any]:
        return self.document.value  # type: ignore[no-any-return]

    @property
    def file(self) -> str:
        return self.document.file

    @property
    def params(self) -> dict[str, Param]:
        return {param.field.name: param for param in self.operation.params}

    @property
    def fields(self) -> dict[str, Field]:
        return {field.name: field for field in self.operation.fields}

    def blocks(self) -> Iterator[tuple[str, Mapping[str, Any], Source | None]]:
        """Its sides as (legacy or modern, the block, what it compiled to)."""
        for side, source in (("legacy", self.operation.legacy), ("modern", self.operation.modern)):
            if side in self.raw:
                yield side, self.raw[side], source


def endpoint(document: Document, systems: Mapping[str, System], folder: Folder, report: Report) -> Endpoint:
    """Faults of its blocks go to `report`."""
    raw = document.value
    folder.used = set()
    sides = {side: _source(side, document, systems, folder, report) for side in ("legacy", "modern") if side in raw}
    method, _, path = raw["route"].partition(" ")
    shape, fields = next(iter(raw["response"].items()))
    terms = migration(raw, partial(report, document.file))
    operation = Operation(
        name=raw["endpoint"],
        summary=raw["summary"],
        owner=raw["owner"],
        group=raw["group"],
        method=method,
        path=path,
        auth=_auth(raw["auth"]),
        effect=raw["effect"],
        params=tuple(Param(given["in"], _field(name, given)) for name, given in raw.get("request", {}).items()),
        shape=shape,
        fields=_fields(fields),
        legacy=sides.get("legacy"),
        modern=sides.get("modern"),
        parts=in_order(tuple(_part(name, given) for name, given in raw.get("parts", {}).items())),
        deadline=seconds(raw["limits"]["deadline"]),
        quality=_quality(raw.get("quality", {})),
        scoring=_scoring(raw["scoring"]) if "scoring" in raw else None,
        limits=raw["limits"],
        examples=tuple(
            Example(given["request"], given["expect"], document.line(("examples", n))) for n, given in enumerate(raw["examples"])
        ),
        file=document.file,
        hash=_hash(raw, terms, systems, folder),
        cache=_caching(raw["limits"]["cache"]) if "cache" in raw["limits"] else None,
        invalidates=tuple(raw.get("invalidates", ())),
        migration=terms,
    )
    return Endpoint(document, operation)


def _hash(raw: Mapping[str, Any], terms: Migration | None, systems: Mapping[str, System], folder: Folder) -> str:
    """Of all that its answers are made of, and of what evidence counts: no example, no gate and no date, and no other endpoint's system."""
    told = {key: part for key, part in raw.items() if key not in ("examples", "migration")}
    used = [systems[block].block for block in (raw[side]["system"] for side in ("legacy", "modern") if side in raw) if block in systems]
    counted = (terms.key, terms.decision) if terms else ()
    return digest([json.dumps([told, used, counted], default=repr), folder.hash(sorted(folder.used))])


def whole(operation: Operation, endpoints: Mapping[str, Endpoint]) -> Operation:
    """With what other files say: a join's hash is of its parts too, and what `ask` leaves out is told by the names of what is asked."""
    legacy, modern = (_asking(source, operation, endpoints) for source in (operation.legacy, operation.modern))
    operation = replace(operation, legacy=legacy, modern=modern)
    hashes = [endpoints[part.operation].operation.hash for part in operation.parts]
    return replace(operation, hash=digest([operation.hash, *hashes])) if hashes else operation


def _asking(source: Source | None, write: Operation, endpoints: Mapping[str, Endpoint]) -> Source | None:
    return source if source is None or source.ask is None else replace(source, ask=asked(source.ask, write, endpoints))


def asked(ask: Ask, write: Operation, endpoints: Mapping[str, Endpoint]) -> Ask:
    """Left out, the read's parameters and what it shows are the write's parameters of the same names."""
    read, mine = endpoints[ask.operation].operation, [p.field.name for p in write.params]
    theirs = [p.field.name for p in read.params]
    params = ask.params or {name: f"{{{name}}}" for name in theirs if name in mine}
    shows = ask.shows or {f.name: f"{{{f.name}}}" for f in read.fields if f.name in mine and f.name not in theirs}
    return Ask(ask.operation, params, shows)


def digest(hashes: Iterable[str]) -> str:
    """One hash of many."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def in_order(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Each part after those that its parameters name. What depends on itself, directly or in a circle, is left out."""
    names = {part.name for part in parts}
    placed: list[Part] = []
    while ready := next((p for p in parts if p not in placed and needs(p) & names <= {q.name for q in placed}), None):
        placed.append(ready)
    return tuple(placed)


def needs(part: Part) -> frozenset[str]:
    """The names that its templates use; a template that can't be read uses none."""
    used: set[str] = set()
    for text in part.params.values():
        try:
            used |= template.parse(text).uses
        except ValueError:
            continue
    return frozenset(used)


def _source(side: str, document: Document, systems: Mapping[str, System], folder: Folder, report: Report) -> Source | None:
    block = document.value[side]
    system = systems.get(block["system"])
    if system is None:
        return None
    try:
        target = registry.target(system.kind).compile(block, system.block, folder)
    except BadTarget as error:
        for fault in error.faults:
            report(*_place(error, fault, side, document, system))
        return None
    reply = block.get("reply", {})
    return Source(
        system=system.name,
        kind=system.kind,
        target=target,
        read=_rules(block.get("read", {})),
        errors=error_rules(block),
        repeat=block.get("repeat", "allowed"),
        deferred="reply" in block,
        expect_within=seconds(reply["expect_within"]) if "expect_within" in reply else 0.0,
        ask=_ask(block["commit"]["ask"]) if "ask" in block.get("commit", {}) else None,
        transform_records=block.get("transform", {}).get("records"),
        transform_params=block.get("transform", {}).get("params"),
    )


def _ask(raw: str | Mapping[str, Any]) -> Ask:
    if isinstance(raw, str):
        return Ask(raw, {}, {})
    return Ask(raw["use"], raw.get("with", {}), raw.get("shows", {}))


def _place(error: BadTarget, fault: Fault, side: str, document: Document, system: System) -> tuple[str, Path, str]:
    """The file and path of a kind's fault. A missing file is reported where its name is written."""
    if fault.file is not None:
        return fault.file, fault.path, fault.message
    if isinstance(error, NoFile):
        blocks = ((document.file, (side,), document.value[side]), ("systems.yaml", ("systems", system.name), system.block))
        for file, at, block in blocks:
            for path, text in texts(block, at):
                if text == error.name:
                    return file, path, fault.message
    return document.file, (side, *fault.path), fault.message


def _auth(raw: Mapping[str, Any]) -> Auth:
    rules = {name: _object(rule) for name, rule in raw.get("object", {}).items()}
    return Auth(raw.get("scope"), raw.get("any", ""), tuple(raw.get("purpose", ())), rules)


def _object(raw: str | Mapping[str, str]) -> ObjectRule:
    if not isinstance(raw, str):
        return ObjectRule(reason=raw["any"])
    return ObjectRule(may=raw) if raw.startswith("py:") else ObjectRule(claim=raw.removeprefix("claim:"))


def _fields(raw: Mapping[str, Any]) -> tuple[Field, ...]:
    return tuple(_field(name, given) for name, given in raw.items())


def _field(name: str, raw: Mapping[str, Any]) -> Field:
    given: dict[str, Any] = {key: raw[key] for key in _PLAIN if key in raw}
    given |= {key: Decimal(raw[key]) for key in ("minimum", "maximum") if key in raw}
    given |= {key: tuple(raw[key]) for key in ("one_of", "shown_to") if key in raw}
    return Field(
        name,
        raw["type"],
        scale=raw.get("scale", CURRENCIES.get(raw.get("currency", ""))),
        mask=raw.get("mask", "drop" if "shown_to" in raw else None),
        source=raw.get("from"),
        of=_fields(raw.get("of", {})),
        **given,
    )


def _rules(raw: Mapping[str, Any]) -> dict[str, ReadRule]:
    return {name: _rule(name, given) for name, given in raw.items()}


def _rule(name: str, raw: str | Mapping[str, Any]) -> ReadRule:
    if isinstance(raw, str):
        return ReadRule(raw)
    values = {code: str(v).lower() if isinstance(v, bool) else str(v) for code, v in raw["values"].items()} if "values" in raw else None
    nothing = tuple(raw.get("none_when", ()))
    return ReadRule(raw.get("raw", name), raw.get("from"), values, nothing, raw.get("window"), _rules(raw.get("of", {})))


def _part(name: str, raw: Mapping[str, Any]) -> Part:
    return Part(name, raw["use"], raw["with"], raw.get("required", True))


def _quality(raw: Mapping[str, Any]) -> Quality:
    return Quality(float(share(raw.get("rejected_at_most", "0%"))), tuple(raw.get("required", ())))


def _caching(raw: Mapping[str, Any]) -> Caching:
    return Caching(seconds(raw["ttl"]), seconds(raw.get("stale_if_down", "0s")), raw.get("score_stale", False))


def _scoring(raw: Mapping[str, Any]) -> Scoring:
    model, _, version = raw["model"].partition("@")
    decides = tuple(sorted(((name, float(least)) for name, least in raw.get("decides", {}).items()), key=lambda one: one[1]))
    return Scoring(model, version, raw["features"], raw.get("on_missing", "as_trained"), raw.get("per_row", False), decides)
