"""Encoded answers (SOAP 1.1 section 5, SOAP 1.2 part 2) written out as the literal XML that the WSDL's types describe.

References to shared elements are replaced by what they refer to, and the encoding's own attributes are left out, so that the schema can
judge what remains like any other answer. Within bounds: a cycle, a reference that leads nowhere or to two elements, one that is too
deep, or more than MOST elements is refused, and so is an array of which only a part was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lxml import etree

from adapters.soap.decoder import NIL, XSI_TYPE
from adapters.soap.shape import Child, children

if TYPE_CHECKING:
    from adapters.soap.wsdl import Wsdl

Element = etree._Element
MOST = 100_000  # elements, each counted as often as it is referred to
LONGEST = 16 * 2**20  # characters in them
DEPTH = 100
_11 = "{http://schemas.xmlsoap.org/soap/encoding/}"
_12 = "{http://www.w3.org/2003/05/soap-encoding}"
_IDS = ("id", f"{_12}id")
_REFERENCES = ("href", f"{_12}ref")
_ARRAYS = (f"{_11}arrayType", f"{_12}arraySize", f"{_12}itemType")
_PARTS = (f"{_11}offset", f"{_11}position")


class Tangled(ValueError):
    """References that can't be followed, or an array that is not whole; says which of them."""


def literal(content: Element, type_: Any, wsdl: Wsdl) -> Element:
    """A copy of `content`, which has this type and is one of the elements of a body. Raises Tangled."""
    body = content.getparent()
    top = etree.Element(content.tag, nsmap=wsdl.nsmap)
    _Copy(content if body is None else body, wsdl).fill(top, content, type_, ())
    return top


class _Copy:
    """One copying: what may be referred to, and how much has been written."""

    def __init__(self, body: Element, wsdl: Wsdl) -> None:
        self._wsdl = wsdl
        self._written = self._length = 0
        self._shared: dict[str, Element | None] = {}  # None: more than one has this id
        for node in body.iter(etree.Element):
            for name in _IDS:
                if name in node.attrib:
                    self._shared[str(node.get(name))] = None if node.get(name) in self._shared else node

    def fill(self, new: Element, node: Element, type_: Any, above: tuple[Element, ...]) -> None:
        """Give `new` what `node` holds or refers to; `above` are the elements that are being copied."""
        if node.keys():  # most leaves have no attribute
            node = self._followed(node)
            if any(node is outer for outer in above):
                raise Tangled("a reference to what it is itself a part of")
            if node.get(NIL) in ("true", "1"):
                new.set(NIL, "true")
                return
            type_ = self._told(new, node, type_)
        self._written += 1
        self._length += len(node.text or "")
        if self._written > MOST or self._length > LONGEST or len(above) > DEPTH:
            raise Tangled("more than is read, or something deeper")
        known = children(type_)
        if not known:
            new.text = node.text
        for tag, part, child in _parts(node, known):
            copied = etree.SubElement(new, tag)
            if child is not None:  # the schema refuses any other
                self.fill(copied, part, child.type, (*above, node))

    def _followed(self, node: Element) -> Element:
        for _ in range(DEPTH):
            to = next((str(node.get(name)) for name in _REFERENCES if name in node.attrib), None)
            if to is None:
                return node
            shared = self._shared.get(to.removeprefix("#"))
            if shared is None:
                raise Tangled("a reference that does not lead to one element of the answer")
            node = shared
        raise Tangled("a reference that leads to references only")

    def _told(self, new: Element, node: Element, type_: Any) -> Any:
        """The type that an xsi:type states, when it is one of the WSDL's own; those of the standards only repeat what is declared."""
        if XSI_TYPE not in node.attrib:
            return type_
        prefix, _, local = str(node.get(XSI_TYPE)).strip().rpartition(":")
        name = f"{{{node.nsmap.get(prefix or None)}}}{local}"
        stated = self._wsdl.named.get(name)
        if stated is None or stated is type_:
            return type_
        new.set(XSI_TYPE, self._wsdl.spelt[name])
        return stated


def _parts(node: Element, known: Mapping[str, Child]) -> Iterator[tuple[str, Element, Child | None]]:
    """The children with the names that the schema has for them: items of an array may be called anything."""
    array = next((str(node.get(name)) for name in _ARRAYS if name in node.attrib), None)
    only = next(iter(known)) if array is not None and len(known) == 1 else None
    if array is not None:
        size = re.search(r"(?:\[|^)([0-9]+)\]?$", array)
        if any(name in part.attrib for part in (node, *node) for name in _PARTS) or (size is not None and int(size[1]) != len(node)):
            raise Tangled("an array that is not whole")
    for part in node:
        tag = only or str(part.tag)
        yield tag, part, known.get(tag)
