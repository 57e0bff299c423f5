"""A pinned WSDL: its operations, and its XML Schema as a judge of what goes out and comes in.

zeep reads the WSDL and writes envelopes. It may read nothing but the .wsdl and .xsd files of the WSDL's own folder in the catalogue,
whose bytes are handed to it: no network, no file:// URL, no DTD. Messages are judged by libxml2 with the same schema, because zeep lets
an undeclared date, a bad boolean and many a missing element pass. Document/literal only.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from lxml import etree
from zeep.exceptions import ExternalReferenceForbidden
from zeep.settings import Settings
from zeep.wsdl import Document

from adapters.base import BadTarget, Fault, Files
from adapters.errors import Misconfigured

Element = etree._Element
Contents = Mapping[str, bytes]
XS = "http://www.w3.org/2001/XMLSchema"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
_DEFINITIONS = "{http://schemas.xmlsoap.org/wsdl/}definitions"
_TYPES = "{http://schemas.xmlsoap.org/wsdl/}types"
_SETTINGS = {"strict": True, "forbid_dtd": True, "forbid_entities": True, "forbid_external": True, "force_https": False}


class NotPinned(Exception):
    """A document that the catalogue does not hold."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one port. `request`, `answer` and `faults` are zeep's elements (xsd.Element) of the three kinds of body."""

    name: str
    soap: str  # namespace of its envelopes: the SOAP version
    action: str
    request: Any
    answer: Any
    faults: Mapping[str, Any]
    binding: Any

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers that say what is sent."""
        if self.soap == SOAP_12:
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{self.action}"'}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{self.action}"'}

    def envelope(self, values: Mapping[str, Any]) -> Element:
        """The request's envelope. Raises what zeep raises when `values` (nested, by element names) do not fit."""
        return self.binding.create(**values).content  # type: ignore[no-any-return]


class Wsdl:
    """What a WSDL offers. `operations` by `assess` and, qualified by service, port or port type, `CreditCheck.assess`. Thread-safe."""

    def __init__(self, document: Any, schema: etree.XMLSchema) -> None:
        self.types = document.types
        self.operations: Mapping[str, Operation] = dict(_operations(document))
        self._schema = schema
        self._judging = threading.Lock()

    def misfit(self, node: Element) -> str:
        """'' when `node` is as its schema says, else what is wrong with it: names of elements, never their values."""
        with self._judging:  # lxml keeps the error log of a validation on the schema
            if self._schema.validate(node):
                return ""
            return _spoken(self._schema.error_log[0])  # type: ignore[index]


def load(files: Files, name: str) -> Wsdl:
    """The WSDL `name` of the catalogue; read once per process and content. Raises BadTarget."""
    folder = str(PurePosixPath(name).parent)
    names = [*files.names(folder, ".wsdl"), *files.names(folder, ".xsd")]
    contents = {str(files.path(n).resolve()): files.path(n).read_bytes() for n in names}
    return _load(name, str(files.path(name).resolve()), tuple(contents.items()))


@lru_cache(maxsize=16)
def _load(name: str, location: str, contents: tuple[tuple[str, bytes], ...]) -> Wsdl:
    pinned = Pinned(dict(contents))
    try:
        document = Document(location, pinned, settings=Settings(**_SETTINGS))  # type: ignore[arg-type]
        return Wsdl(document, _schema(location, pinned))
    except (NotPinned, ExternalReferenceForbidden) as error:
        where = getattr(error, "url", error)
        raise BadTarget([Fault((), f"it imports '{where}', which is no .wsdl or .xsd file beside it: put a copy there", name)]) from None
    except Exception as error:  # zeep raises nearly anything on a WSDL that it can't read
        raise BadTarget([Fault((), f"it can't be read as WSDL 1.1 with document/literal bodies: {type(error).__name__}", name)]) from error


class Pinned:
    """A zeep transport that knows the files it was given and reaches nothing else. `read` is what was asked for, in order."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.read: list[str] = []

    def load(self, url: str) -> bytes:
        """What zeep calls for the WSDL and each import."""
        if url not in self.contents:
            raise NotPinned(PurePosixPath(url).name if url.startswith("/") else url)
        self.read.append(url)
        return self.contents[url]

    def post_xml(self, address: str, envelope: Any, headers: Any) -> Any:
        """Never: the adapter sends through its own wire."""
        raise Misconfigured("zeep must not send")


class _Resolver(etree.Resolver):
    """libxml2's imports, from memory."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        if system_url not in self._contents:
            raise NotPinned(PurePosixPath(system_url).name)
        return self.resolve_string(self._contents[system_url], context, base_url=system_url)


def _schema(location: str, pinned: Pinned) -> etree.XMLSchema:
    """One schema of everything under wsdl:types: an importing document per namespace, since libxml2 takes each namespace once."""
    contents = dict(pinned.contents)
    by_namespace: dict[str, list[str]] = {}
    for url in dict.fromkeys(pinned.read):
        root = etree.fromstring(contents[url])
        if root.tag == _DEFINITIONS:
            for number, node in enumerate(root.iterfind(f"{_TYPES}/{{{XS}}}schema")):
                contents[f"{url}.{number}.xsd"] = etree.tostring(node)
                by_namespace.setdefault(node.get("targetNamespace", ""), []).append(f"{url}.{number}.xsd")
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
    schema = etree.Element(f"{{{XS}}}schema", nsmap={"xs": XS})
    if namespace:
        schema.set("targetNamespace", namespace)
    for kind, of, url in parts:
        part = etree.SubElement(schema, f"{{{XS}}}{kind}", schemaLocation=url)
        if of:
            part.set("namespace", of)
    return etree.tostring(schema)


def _operations(document: Any) -> Iterable[tuple[str, Operation]]:
    """The document/literal ones. Of equal names the first wins: the first port of a service is the one it prefers."""
    found: dict[str, Operation] = {}
    for service in document.services.values():
        for port in service.ports.values():
            for name, operation in port.binding.all().items():
                if operation.style != "document" or operation.input is None:
                    continue
                made = _operation(name, operation)
                owners = (service.name, port.name, port.binding.port_type.name.localname)
                for spelt in (name, *(f"{owner}.{name}" for owner in owners)):
                    found.setdefault(spelt, made)
    return found.items()


def _operation(name: str, operation: Any) -> Operation:
    faults = [part.element for message in operation.abstract.fault_messages.values() for part in message.parts.values()]
    return Operation(
        name,
        operation.nsmap["soap-env"],
        operation.soapaction or "",
        operation.input.body,
        operation.output.body if operation.output else None,
        {fault.name: fault for fault in faults if fault is not None},
        operation,
    )


def _spoken(error: Any) -> str:
    """libxml2's message where it is made of names only; for the rest, which quote values, the element alone."""
    if error.type_name == "SCHEMAV_ELEMENT_CONTENT":
        return re.sub(r"\{[^}]*\}", "", str(error.message))
    element = re.match(r"Element '(?:\{[^}]*\})?([^']*)'", str(error.message))
    return f"element '{element[1] if element else '?'}' holds what its type does not allow"
