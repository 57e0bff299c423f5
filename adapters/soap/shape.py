"""The types of a schema as plain trees of named children: what may be sent and what can be read. The one reader of zeep's type objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from zeep.xsd import AnySimpleType, ComplexType
from zeep.xsd import Element as Declared
from zeep.xsd.elements.indicators import Choice, Group, Indicator


@dataclass(frozen=True, slots=True)
class Child:
    """A child element as its parent knows it: `many` when it may repeat, `required` when it must be there, if only as a nil one."""

    name: str
    many: bool
    required: bool
    nillable: bool
    type: Any


def children(type_: Any) -> Mapping[str, Child]:
    """The children of a type by their qualified names; none for a simple one. Wildcards are left out: what they admit has no name."""
    return _children(type_) if isinstance(type_, ComplexType) and simple_content(type_) is None else {}


@cache
def _children(type_: ComplexType) -> Mapping[str, Child]:
    found: dict[str, Child] = {}
    for _, part in type_.elements_nested:
        _merge(found, _particle(part, many=False, required=True), together=True)
    return found


def paths(type_: Any, above: tuple[Any, ...] = ()) -> Iterator[str]:
    """`Result`, `Result/Limit`, ...: what can be read of a record. What is under a repeated element is not on a path of its own."""
    for child in children(type_).values():
        yield child.name
        if not child.many and not any(child.type is outer for outer in (*above, type_)):
            yield from (f"{child.name}/{inner}" for inner in paths(child.type, (*above, type_)))


def simple_content(type_: Any) -> Any:
    """The type of the text of a complex type that has text instead of children."""
    element = type_._element
    return element.type if isinstance(element, Declared) and isinstance(element.type, AnySimpleType) else None


def _particle(part: Any, *, many: bool, required: bool) -> dict[str, Child]:
    many, required = many or part.accepts_multiple, required and not part.is_optional
    if isinstance(part, Declared):
        return {part.qname.text: Child(str(part.name), many, required, part.nillable, part.type)}
    found: dict[str, Child] = {}
    if isinstance(part, Group):
        return _particle(part.child, many=many, required=required)
    if isinstance(part, Indicator):
        choice = isinstance(part, Choice)
        for _, inner in part.elements_nested:  # type: ignore[attr-defined]
            _merge(found, _particle(inner, many=many, required=required and not choice), together=not choice)
    return found


def _merge(found: dict[str, Child], more: Mapping[str, Child], *, together: bool) -> None:
    """A name that is met twice repeats, unless it is in two branches of a choice."""
    for tag, child in more.items():
        old = found.get(tag)
        found[tag] = (
            child if old is None else Child(child.name, together or old.many or child.many, old.required, child.nillable, child.type)
        )
