"""A request as a tree of slots: which element takes which parameter, in the WSDL's order, compiled once and filled per call.

Fills in text as XML Schema writes it and judges nothing: libxml2 does, before anything is sent. Equal to zeep's own envelope, except that
text for an xs:boolean that is none is refused by the schema instead of sent as "true".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from adapters.soap.decoder import NIL, XSI, XSI_TYPE
from adapters.soap.shape import Child, children
from adapters.template import Template, as_text

Element = etree._Element
Sent = Mapping[tuple[str, ...], Template]


@dataclass(frozen=True, slots=True)
class Slot:
    """An element of the request: one that takes a value (`template`), or a branch with the slots `inner`. `type` is the qualified
    name of its type, which encoded messages show."""

    tag: str
    child: Child
    template: Template | None
    inner: tuple[Slot, ...]
    type: str


def compiled(send: Sent, type_: Any, above: tuple[str, ...] = ()) -> tuple[Slot, ...]:
    """The slots of a request of this type; `send` are templates by path."""
    slots = []
    for tag, child in children(type_).items():
        path = (*above, child.name)
        name = child.type.qname.text if child.type.qname is not None else ""
        if path in send:
            slots.append(Slot(tag, child, send[path], (), name))
        elif child.required or any(sent[: len(path)] == path for sent in send):
            slots.append(Slot(tag, child, None, compiled(send, child.type, path), name))
    return tuple(slots)


def fill(parent: Element, slots: Iterable[Slot], params: Mapping[str, Any], types: Mapping[str, str]) -> bool:
    """Append the elements under `parent`, each with the xsi:type that `types` has for its type's qualified name; whether any has a value.

    Raises ValueError or TypeError for a value that XML can't hold.
    """
    sent = False
    for slot in slots:
        values: Any = (None,)
        if slot.template is None:
            node = _element(parent, slot, types)
            if fill(node, slot.inner, params, types):
                sent = True
                continue
            if slot.child.required and not slot.child.nillable:
                continue
            parent.remove(node)
        else:
            value = slot.template.value(params)
            values = value if isinstance(value, list) and slot.child.many else (value,)
        for each in values:
            if each is not None:
                if isinstance(each, list | dict):
                    raise TypeError("a value is a list or an object")
                _element(parent, slot, types).text = as_text(each)
                sent = True
            elif slot.child.required and slot.child.nillable:
                etree.SubElement(parent, slot.tag, {NIL: "true"}, nsmap={"xsi": XSI})
    return sent


def _element(parent: Element, slot: Slot, types: Mapping[str, str]) -> Element:
    return etree.SubElement(parent, slot.tag, {XSI_TYPE: types[slot.type]} if slot.type in types else None)
