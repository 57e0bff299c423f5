"""All of a catalogue at once, as the cross-file checks see it. A check is a function of one endpoint and this; it yields paths in
the endpoint's file, and messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scoring.card import Card
from wrapper.catalogue.build import Endpoint
from wrapper.catalogue.found import Path
from wrapper.operation import STAGES, Stage, System

Told = Iterator[tuple[Path, str]]


@dataclass(frozen=True, slots=True)
class Estate:
    """`names` are of all endpoint files, those too that are broken and not among `endpoints`; `shelf` is the folder of the models."""

    systems: Mapping[str, System]
    endpoints: Mapping[str, Endpoint]
    names: frozenset[str]
    models: Mapping[str, Card]
    shelf: str


Check = Callable[[Endpoint, Estate], Told]


def walk(fields: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Every field of a request or response as (path, name, raw), those inside lists and objects too."""
    for name, raw in fields.items():
        yield (*path, name), name, raw
        yield from walk(raw.get("of", {}), (*path, name, "of"))


def response(endpoint: Endpoint) -> tuple[Mapping[str, Any], Path]:
    """The raw fields of the answer, and where they stand."""
    shape = endpoint.operation.shape
    return endpoint.raw["response"][shape], ("response", shape)


def terms(endpoint: Endpoint) -> Mapping[str, Any]:
    """The raw migration block; empty when there is none."""
    return endpoint.raw.get("migration", {})  # type: ignore[no-any-return]


def beyond(endpoint: Endpoint, stage: Stage) -> bool:
    """Whether it may go further than `stage`."""
    return STAGES.index(terms(endpoint).get("highest_stage", "legacy")) > STAGES.index(stage)
