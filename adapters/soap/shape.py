"""Elements of a schema as plain trees: what may be sent and read, and how an answer's XML becomes a record.

Works on zeep's types, for messages that the schema has already judged. Unlike zeep's own parser it tells an empty list from a
missing one, and a value that does not convert is an error instead of None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lxml import etree
from zeep.xsd import AnySimpleType, ComplexType
from zeep.xsd import Element as Declared
from zeep.xsd.elements.indicators import Choice, Group, Indicator

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


@dataclass(frozen=True, slots=True)
class Child:
    """A child element as its parent knows it: `many` when it may repeat, `required` when it must be there."""

    name: str
    many: bool
    required: bool
    type: Any


def children(type_: Any) -> Mapping[str, Child]:
    """The children of a type by their qualified names; none for a simple one. Wildcards are left out: what they admit has no name."""
    return _children(type_) if isinstance(type_, ComplexType) and _simple_content(type_) is None else {}


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


def decode(node: etree._Element, type_: Any, types: Any) -> Any:
    """An element's content: a simple value, or a dict in which a missing child is None and a repeated one a list.

    Simple content with attributes is a dict too, as in zeep: {"_value_1": content, attribute: ...}. Raises ValueError (or its kin
    ArithmeticError and LookupError) for what has no Python value; the message may quote it.
    """
    if node.get(NIL) in ("true", "1"):
        return None
    if XSI_TYPE in node.attrib:
        prefix, _, name = str(node.get(XSI_TYPE)).rpartition(":")
        namespace = node.nsmap.get(prefix or None)
        type_ = types.get_type(etree.QName(namespace, name))
    if not isinstance(type_, ComplexType):
        return type_.pythonvalue(node.text or "") if isinstance(type_, AnySimpleType) else node.text or ""
    record = {name: _attribute(node, declared) for name, declared in type_.attributes if declared.name}
    simple = _simple_content(type_)
    if simple is not None:
        value = simple.pythonvalue(node.text or "")
        return {"_value_1": value, **record} if record else value
    known = children(type_)
    record |= {child.name: [] if child.many else None for child in known.values()}
    for part in node.iterchildren(tag=etree.Element):
        child = known.get(str(part.tag))
        if child is None:
            continue  # admitted by a wildcard, or the schema would have refused it
        value = decode(part, child.type, types)
        if child.many:
            record[child.name].append(value)
        else:
            record[child.name] = value
    return record


def _attribute(node: etree._Element, declared: Any) -> Any:
    text = node.get(declared.qname.text)
    return None if text is None else declared.type.pythonvalue(text)


def _simple_content(type_: Any) -> Any:
    """The type of the text of a complex type that has text instead of children."""
    element = type_._element
    return element.type if isinstance(element, Declared) and isinstance(element.type, AnySimpleType) else None


def _particle(part: Any, *, many: bool, required: bool) -> dict[str, Child]:
    many, required = many or part.accepts_multiple, required and not part.is_optional
    if isinstance(part, Declared):
        return {part.qname.text: Child(str(part.name), many, required, part.type)}
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
        found[tag] = child if old is None else Child(child.name, together or old.many or child.many, old.required, child.type)
