"""A pinned WSDL: its operations, and its XML Schema as a judge of what goes out and comes in.

zeep reads the WSDL. Messages are judged by libxml2 with the same schema, because zeep lets an undeclared date, a bad boolean and many a
missing element pass. Document/literal, rpc/literal and rpc/encoded, over SOAP 1.1 and 1.2.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from lxml import etree
from zeep.settings import Settings
from zeep.wsdl import Document

from adapters.base import BadTarget, Fault, Files
from adapters.soap.decoder import XSI, Decoder, Decoders
from adapters.soap.schema import ENCODING, WSDL, XS, NestedArray, NotPinned, Pinned, schema

Element = etree._Element
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
ENCODING_12 = "http://www.w3.org/2003/05/soap-encoding"
# nothing external is forbidden to zeep, since all it can reach is Pinned
_SETTINGS = {"strict": True, "forbid_dtd": True, "forbid_entities": True, "forbid_external": False, "force_https": False}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one port. `request`, `reply` and `faults` are zeep's elements (xsd.Element) of the three kinds of body; of an rpc
    operation, its wrappers. `answer` is the qualified name of the reply's element, and `decode` makes a record of it.
    `encoding` is the namespace of the encoding rules, empty for literal messages."""

    name: str
    soap: str  # namespace of its envelopes: the SOAP version
    action: str
    encoding: str
    request: Any
    reply: Any
    answer: str
    faults: Mapping[str, Any]
    decode: Decoder
    binding: Any

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers that say what is sent."""
        if self.soap == SOAP_12:
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{self.action}"'}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{self.action}"'}


class Wsdl:
    """What a WSDL offers. `operations` by `assess` and, qualified by service, port or port type, `CreditCheck.assess`; `named` are the
    types that it declares by their qualified names, and `spelt` with the prefixes of `nsmap` how an xsi:type names any. Thread-safe."""

    def __init__(self, location: str, document: Any, pinned: Pinned) -> None:
        self.operations: Mapping[str, Operation] = dict(_operations(document, _encoded(pinned)))
        names = {t.qname.text: t for t in document.types.types if t.qname is not None}
        spaces = sorted({etree.QName(name).namespace or "" for name in names} - {""})
        self.nsmap = {"xsi": XSI, **{f"t{n}": namespace for n, namespace in enumerate(spaces)}}
        prefixes = {namespace: f"{prefix}:" for prefix, namespace in self.nsmap.items()}
        self.spelt = {name: prefixes.get(etree.QName(name).namespace or "", "") + etree.QName(name).localname for name in names}
        self.named = {name: t for name, t in names.items() if t.qname.namespace not in (XS, ENCODING)}
        self._schema = schema(location, pinned, dict(_wrappers(self.operations.values())))
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
    try:
        pinned = Pinned(dict(contents))
        return Wsdl(location, Document(location, pinned, settings=Settings(**_SETTINGS)), pinned)  # type: ignore[arg-type]
    except NotPinned as error:
        raise BadTarget([Fault((), f"it imports '{error}', which is no .wsdl or .xsd file beside it: put a copy there", name)]) from None
    except NestedArray:
        raise BadTarget([Fault((), "it has an encoded array of arrays, which can't be read: only a list of items can", name)]) from None
    except Exception as error:  # zeep raises nearly anything on a WSDL that it can't read
        raise BadTarget([Fault((), f"it can't be read as WSDL 1.1 with SOAP bindings: {type(error).__name__}", name)]) from error


def _encoded(pinned: Pinned) -> frozenset[tuple[str, str]]:
    """Binding and operation wherever a body has use="encoded", which zeep does not tell."""
    return frozenset(
        (binding.get("name", ""), operation.get("name", ""))
        for _, root in pinned.definitions()
        for binding in root.iterfind(f"{{{WSDL}}}binding")
        for operation in binding.iterfind(f"{{{WSDL}}}operation")
        if any(body.get("use") == "encoded" for part in operation for body in part)
    )


def _operations(document: Any, encoded: frozenset[tuple[str, str]]) -> Iterable[tuple[str, Operation]]:
    """Those with a request and a reply. Of equal names the first wins: the first port of a service is the one it prefers."""
    found: dict[str, Operation] = {}
    decoders = Decoders(document.types)
    for service in document.services.values():
        for port in service.ports.values():
            for name, operation in port.binding.all().items():
                if not (_whole(operation.input) and _whole(operation.output)):
                    continue
                made = _operation(name, operation, (port.binding.name.localname, name) in encoded, decoders)
                owners = (service.name, port.name, port.binding.port_type.name.localname)
                for spelt in (name, *(f"{owner}.{name}" for owner in owners)):
                    found.setdefault(spelt, made)
    return found.items()


def _whole(message: Any) -> bool:
    """Whether its body is one element: a body of several parts has no schema of its own."""
    return message is not None and message.body is not None and not message._is_body_wrapped


def _operation(name: str, operation: Any, encoded: bool, decoders: Decoders) -> Operation:
    faults = [part.element for message in operation.abstract.fault_messages.values() for part in message.parts.values()]
    soap, reply = operation.nsmap["soap-env"], operation.output.body
    answer = reply.qname if operation.style == "document" else etree.QName(reply.qname.namespace, f"{name}Response")
    return Operation(
        name,
        soap,
        operation.soapaction or "",
        "" if not encoded else ENCODING_12 if soap == SOAP_12 else ENCODING,
        operation.input.body,
        reply,
        answer.text,
        {fault.name: fault for fault in faults if fault is not None},
        decoders.of(reply.type),
        operation,
    )


def _wrappers(operations: Iterable[Operation]) -> Iterator[tuple[str, Any]]:
    for operation in operations:
        if operation.binding.style == "rpc":
            yield operation.request.qname.text, operation.request.type
            yield operation.answer, operation.reply.type


def _spoken(error: Any) -> str:
    """libxml2's message where it is made of names only; for the rest, which quote values, the element alone."""
    if error.type_name == "SCHEMAV_ELEMENT_CONTENT":
        return re.sub(r"\{[^}]*\}", "", str(error.message))
    element = re.match(r"Element '(?:\{[^}]*\})?([^']*)'", str(error.message))
    return f"element '{element[1] if element else '?'}' holds what its type does not allow"
