"""The documents that a WSDL is made of, and what libxml2 makes of them: one schema that judges every message.

Nothing is read but the catalogue's own files and the standard schemas beside this module: no network, no file:// URL, no DTD. An array of
the SOAP encoding becomes an ordinary repeated `item` before anybody reads it, because XML Schema as it is written in
such WSDLs allows no items at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lxml import etree
from zeep.xsd import AnyType

from adapters.errors import Misconfigured
from adapters.soap.shape import children

Element = etree._Element
XS = "http://www.w3.org/2001/XMLSchema"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
_TYPES = f"{{{WSDL}}}types"
_STANDARD = {ENCODING: "soap-encoding.xsd", "http://www.w3.org/XML/1998/namespace": "xml.xsd", WSDL: "wsdl.xsd"}
_ELSEWHERE = {"http://www.w3.org/2001/xml.xsd": "xml.xsd", "https://www.w3.org/2001/xml.xsd": "xml.xsd"}
STANDARD: Mapping[str, bytes] = {
    url: (Path(__file__).parent / "standard" / name).read_bytes() for url, name in (_STANDARD | _ELSEWHERE).items()
}
"""The schemas that WSDLs import by address, by that address."""


class NotPinned(Exception):
    """A document that the catalogue does not hold."""


class NestedArray(Exception):
    """An encoded array of arrays."""


class Pinned:
    """A zeep transport that knows the files it was given and reaches nothing else. `read` is what was asked for, in order."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = {**STANDARD, **{url: _without_arrays(content) for url, content in contents.items()}}
        self.read: list[str] = []

    def load(self, url: str) -> bytes:
        """What zeep calls for the WSDL and each import."""
        if url not in self.contents:
            raise NotPinned(PurePosixPath(url).name if url.startswith("/") else url)
        self.read.append(url)
        return self.contents[url]

    def definitions(self) -> Iterable[tuple[str, Element]]:
        """The WSDL documents that were read."""
        for url in dict.fromkeys(self.read):
            root = etree.fromstring(self.contents[url])
            if root.tag == f"{{{WSDL}}}definitions":
                yield url, root

    def post_xml(self, address: str, envelope: Any, headers: Any) -> Any:
        """Never: the adapter sends through its own wire."""
        raise Misconfigured("zeep must not send")


def _without_arrays(content: bytes) -> bytes:
    """The document with `restriction base="soapenc:Array"` turned into a sequence of its items."""
    if ENCODING.encode() not in content:
        return content
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return content  # zeep will say so
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        return content  # likewise
    for restriction in tuple(root.iter(f"{{{XS}}}restriction")):
        prefix, _, name = restriction.get("base", "").rpartition(":")
        if name == "Array" and restriction.nsmap.get(prefix or None) == ENCODING:
            _make_list(restriction)
    return etree.tostring(root)


def _make_list(restriction: Element) -> None:
    content = restriction.getparent()
    owner = content.getparent() if content is not None else None
    if content is None or owner is None:
        return
    items = restriction.find(f"{{{XS}}}sequence")
    attribute = restriction.find(f"{{{XS}}}attribute[@{{{WSDL}}}arrayType]")
    if items is None and attribute is not None:
        of = re.fullmatch(r"\s*([^\[\]\s]+)\[\d*\]\s*", attribute.get(f"{{{WSDL}}}arrayType", ""))
        if of is None:
            raise NestedArray
        items = etree.Element(f"{{{XS}}}sequence")
        etree.SubElement(
            items,
            f"{{{XS}}}element",
            {"name": "item", "type": of[1], "form": "unqualified", "nillable": "true", "minOccurs": "0", "maxOccurs": "unbounded"},
        )
    if items is not None:
        owner.replace(content, items)


class _Resolver(etree.Resolver):
    """libxml2's imports, from memory."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        if system_url not in self._contents:
            raise NotPinned(PurePosixPath(system_url).name)
        return self.resolve_string(self._contents[system_url], context, base_url=system_url)


def schema(location: str, pinned: Pinned, wrappers: Mapping[str, Any]) -> etree.XMLSchema:
    """One schema of everything under wsdl:types: an importing document per namespace, since libxml2 takes each namespace once.

    `wrappers` are the elements of rpc messages, which no schema declares: their types as zeep has them, by qualified name.
    """
    contents = dict(pinned.contents)
    by_namespace: dict[str, list[str]] = {namespace: [namespace] for namespace in _STANDARD}
    for url, root in pinned.definitions():
        for number, node in enumerate(root.iterfind(f"{_TYPES}/{{{XS}}}schema")):
            contents[f"{url}.{number}.xsd"] = etree.tostring(node)
            by_namespace.setdefault(node.get("targetNamespace", ""), []).append(f"{url}.{number}.xsd")
    for number, (tag, type_) in enumerate(wrappers.items()):
        contents[f"{location}.rpc{number}.xsd"] = _wrapper(etree.QName(tag), type_)
        by_namespace.setdefault(etree.QName(tag).namespace or "", []).append(f"{location}.rpc{number}.xsd")
    tops = []
    for number, (namespace, urls) in enumerate(by_namespace.items()):
        top = f"{location}.all{number}.xsd"
        contents[top] = _xsd(namespace, [("include", "", url) for url in urls])
        tops.append(("import", namespace, top))
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    parser.resolvers.add(_Resolver(contents))
    return etree.XMLSchema(etree.fromstring(_xsd("urn:figway:all", tops), parser, base_url=f"{location}.all.xsd"))


def _xsd(namespace: str, parts: Iterable[tuple[str, str, str]]) -> bytes:
    """A schema document that only includes or imports others."""
    made = etree.Element(f"{{{XS}}}schema", nsmap={"xs": XS})
    if namespace:
        made.set("targetNamespace", namespace)
    for kind, of, url in parts:
        part = etree.SubElement(made, f"{{{XS}}}{kind}", schemaLocation=url)
        if of:
            part.set("namespace", of)
    return etree.tostring(made)


def _wrapper(name: etree.QName, type_: Any) -> bytes:
    """A schema document that declares one rpc wrapper: a sequence of its parts."""
    parts = children(type_)
    names = {tag: etree.QName(tag) if tag.startswith("{") else _name(child.type) for tag, child in parts.items()}
    prefixes = {namespace: f"t{n}" for n, namespace in enumerate(sorted({XS, *(q.namespace for q in names.values() if q.namespace)}))}
    made = etree.Element(f"{{{XS}}}schema", nsmap={prefix: namespace for namespace, prefix in prefixes.items()})
    if name.namespace:
        made.set("targetNamespace", name.namespace)
    for namespace in prefixes:
        if namespace not in (XS, name.namespace):
            etree.SubElement(made, f"{{{XS}}}import", namespace=namespace)
    element = etree.SubElement(made, f"{{{XS}}}element", name=name.localname)
    sequence = etree.SubElement(etree.SubElement(element, f"{{{XS}}}complexType"), f"{{{XS}}}sequence")
    for tag, of in names.items():
        spelt = f"{prefixes[of.namespace]}:{of.localname}" if of.namespace else of.localname
        part = {"ref": spelt} if tag.startswith("{") else {"name": tag, "type": spelt, "nillable": "true"}
        etree.SubElement(sequence, f"{{{XS}}}element", part)
    return etree.tostring(made)


def _name(type_: Any) -> etree.QName:
    if type(type_) is AnyType:
        return etree.QName(XS, "anyType")
    return etree.QName(type_.qname)
