"""How an answer's XML becomes a record: a tree of small functions, built once from zeep's types when the WSDL is loaded.

For messages that the schema has already judged. A simple value is what zeep makes of it; a record is a dict in which a missing child is
None and a repeated one a list. Unlike zeep's own parser it tells an empty list from a missing one and an empty text or record from
none, and a value that does not convert is an error (ValueError, or its kin ArithmeticError and LookupError) instead of None.
Simple content with attributes is a dict as in zeep: {"_value_1": content, attribute: ...}.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from lxml import etree
from zeep.xsd import AnySimpleType, ComplexType, ListType, UnionType
from zeep.xsd.types import builtins

from adapters.soap.shape import Child, children, simple_content

Element = etree._Element
Decoder = Callable[[Element], Any]
Converter = Callable[[str], Any]
Attributes = Mapping[str, tuple[str, Converter]]
Slot = tuple[str, bool, Converter | None, Decoder]
"""A child: its name, whether it repeats, what converts its text when it is simple, and what decodes it in any case."""
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL, XSI_TYPE = f"{{{XSI}}}nil", f"{{{XSI}}}type"
_SPACES = str.maketrans("\t\n\r", "   ")


class Decoders:
    """Decoders of one WSDL's types, each made once. Thread-safe: two threads that meet a type first make equal ones."""

    def __init__(self, types: Any) -> None:
        self._types = types
        self._content: dict[int, Decoder] = {}  # by id(): zeep's simple types can't be hashed, and live as long as their WSDL
        self._named: dict[tuple[str | None, str], Decoder] = {}

    def of(self, type_: Any) -> Decoder:
        """For any element of this type: nil is None, and an xsi:type is obeyed."""
        content = self._of_content(type_)

        def decode(node: Element) -> Any:
            if node.keys():  # most have no attribute
                if node.get(NIL) in ("true", "1"):
                    return None
                name = node.get(XSI_TYPE)
                if name is not None:
                    return self._by_name(node, name)(node)
            return content(node)

        return decode

    def _by_name(self, node: Element, name: str) -> Decoder:
        prefix, _, local = name.strip().rpartition(":")
        key = (node.nsmap.get(prefix or None), local)
        if key not in self._named:
            self._named[key] = self._of_content(self._types.get_type(etree.QName(*key)))
        return self._named[key]

    def _of_content(self, type_: Any) -> Decoder:
        made = self._content.get(id(type_))
        if made is not None:
            return made
        if not isinstance(type_, ComplexType):
            convert = converter(type_)
            self._content[id(type_)] = made = lambda node: convert(node.text or "")
            return made
        attributes = {declared.qname.text: (name, converter(declared.type)) for name, declared in type_.attributes if declared.name}
        simple = simple_content(type_)
        if simple is not None:
            self._content[id(type_)] = made = _simple(converter(simple), attributes)
            return made
        slots: dict[Any, Slot] = {}
        self._content[id(type_)] = made = _record(slots, attributes, children(type_))
        slots |= {tag: self._slot(child) for tag, child in children(type_).items()}  # afterwards: a type may hold itself
        return made

    def _slot(self, child: Child) -> Slot:
        if isinstance(child.type, ComplexType):
            return child.name, child.many, None, self.of(child.type)
        return child.name, child.many, converter(child.type), self.of(child.type)


def _record(slots: Mapping[Any, Slot], attributes: Attributes, known: Mapping[str, Child]) -> Decoder:
    singles = [child.name for child in known.values() if not child.many]
    lists = [child.name for child in known.values() if child.many]

    def decode(node: Element) -> Any:
        record: dict[str, Any] = _read(node, attributes) if attributes else {}
        for name in singles:
            record[name] = None
        for name in lists:
            record[name] = []
        for part in node:
            slot = slots.get(part.tag)
            if slot is None:
                continue  # admitted by a wildcard, or the schema would have refused it
            name, many, convert, other = slot
            value = other(part) if convert is None or part.keys() else convert(part.text or "")
            if many:
                record[name].append(value)
            else:
                record[name] = value
        return record

    return decode


def _simple(convert: Converter, attributes: Attributes) -> Decoder:
    if not attributes:
        return lambda node: convert(node.text or "")
    return lambda node: {"_value_1": convert(node.text or ""), **_read(node, attributes)}


def _read(node: Element, attributes: Attributes) -> dict[str, Any]:
    return {name: None if (text := node.get(tag)) is None else convert(text) for tag, (name, convert) in attributes.items()}


def converter(type_: Any) -> Converter:
    """Text -> value for a simple type, by the built-in type that it restricts; zeep's own conversion for the rarer ones."""
    if isinstance(type_, ListType):
        return _listed(converter(type_.item_type)) if isinstance(type_.item_type, AnySimpleType) else str.split
    if isinstance(type_, UnionType):
        return converter(type_.item_class()) if type_.item_class else str
    for kind in type(type_).__mro__:
        if kind in _CONVERTERS:
            return _CONVERTERS[kind]
        if "pythonvalue" in vars(kind):
            return type_.pythonvalue  # type: ignore[no-any-return]
    return str


def _listed(item: Converter) -> Converter:
    return lambda text: [item(word) for word in text.split()]


_CONVERTERS: Mapping[type, Converter] = {
    builtins.String: str,
    builtins.NormalizedString: lambda text: text.translate(_SPACES),
    builtins.Token: lambda text: text.translate(_SPACES).strip(),
    builtins.Boolean: lambda text: text.strip() in ("true", "1"),
    builtins.Decimal: Decimal,
    builtins.Integer: int,
    builtins.Long: int,
    builtins.Double: float,
    builtins.Float: float,
    builtins.Date: lambda text: date.fromisoformat(text.strip()[:10]),  # a date's offset is dropped, as zeep does
    builtins.DateTime: lambda text: datetime.fromisoformat(text.strip()),
    builtins.Time: lambda text: time.fromisoformat(text.strip()),
    builtins.Base64Binary: b64decode,
}
