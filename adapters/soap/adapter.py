"""A live SOAP service: envelope out through the bounded wire, answer in through the schema, fault or record back.

Nothing is believed before it is checked, in this order: status, media type, well-formed XML without a DTD, envelope, body element,
the WSDL's own schema. Nothing of the service's own texts (fault strings, detail texts, pages of HTML) leaves this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree
from zeep.exceptions import Error as ZeepError

from adapters.base import Adapter, Call, Events, Files, Leases, Record, Reply
from adapters.errors import AdapterError, BadLogon, Failed, Misread, Refused, matching
from adapters.events import SILENT
from adapters.httpwire import Answer, Wire, refusal, unsettled
from adapters.soap.document import XML, NotXml, parsed
from adapters.soap.encoded import Tangled, literal
from adapters.soap.request import fill
from adapters.soap.security import WSSE, Security, Unsigned
from adapters.soap.target import SoapTarget
from adapters.soap.wsdl import Operation
from adapters.template import as_text, pick

Element = etree._Element
CARRY_FAULTS = (200, 400, 500)  # statuses under which SOAP 1.1 and 1.2 send an envelope


def open(name: str, system: Mapping[str, Any], files: Files, leases: Leases, events: Events = SILENT) -> Adapter:
    """See base.AdapterModule."""
    return Soap(name, system, events)


class Soap:
    """One service. Thread-safe: what zeep shares between calls (the WSDL) is only read."""

    def __init__(self, name: str, system: Mapping[str, Any], events: Events) -> None:
        self.name = name
        self._wire = Wire(name, system["endpoint"], system, events)
        self._security = Security(name, system.get("security", {}))

    def call(self, call: Call) -> Reply:
        """See base.Adapter."""
        target: SoapTarget = call.target
        request = self._request(target, call.params)
        call.left()
        answer = self._wire.send(call, "POST", "", {**target.operation.headers, **call.context}, request)
        with unsettled(call, unless=400 <= answer.status < 500):
            content = self._content(target, answer)
        if content.tag == f"{{{target.operation.soap}}}Fault":
            raise self._fault(target, content)
        with unsettled(call):
            record = self._record(target, content)
        self._complain(call, record)
        return Reply(_rows(record, target.rows), self.name, by=self._security.user)

    def probe(self, timeout: float) -> None:
        """A connection can be had. Nothing is asked: an enquiry may cost money."""
        self._wire.probe(timeout)

    def close(self) -> None:
        self._wire.close()

    def _request(self, target: SoapTarget, params: Mapping[str, Any]) -> bytes:
        operation, wsdl = target.operation, target.wsdl
        envelope, body = self._security.envelope(operation.soap)
        content = etree.SubElement(body, operation.request.qname.text, nsmap=wsdl.nsmap if operation.encoding else None)
        try:
            fill(content, target.send, params, wsdl.spelt if operation.encoding else {})
        except (ValueError, TypeError):
            raise Refused(f"the values do not fit the request of {operation.name} at {self.name}", backend=self.name) from None
        misfit = wsdl.misfit(content)
        if misfit:
            raise Refused(f"the request does not fit the WSDL of {self.name}: {misfit}", backend=self.name)
        if operation.encoding:
            content.set(f"{{{operation.soap}}}encodingStyle", operation.encoding)
        self._security.seal(envelope)
        return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")

    def _content(self, target: SoapTarget, answer: Answer) -> Element:
        """The one element of the answer's body: the declared answer or a fault."""
        ok = answer.status == 200
        if answer.status not in CARRY_FAULTS or (not ok and answer.media not in XML):
            raise refusal(self.name, answer)
        content = self._body(answer, target.operation)
        fault = f"{{{target.operation.soap}}}Fault"
        if content.tag != fault and not ok:
            raise refusal(self.name, answer)
        if content.tag not in (fault, target.operation.answer):
            raise self._misread(f"the body is not {etree.QName(target.operation.answer).localname}")
        return content

    def _body(self, answer: Answer, operation: Operation) -> Element:
        try:
            root = parsed(answer)
        except NotXml as error:
            raise self._misread(f"the answer {error}") from None
        bodies = root.findall(f"{{{operation.soap}}}Body")
        if root.tag != f"{{{operation.soap}}}Envelope" or len(bodies) != 1 or not len(bodies[0]):
            raise self._misread("the answer is not an envelope with one body")
        try:
            believed = self._security.believed(root, bodies[0])
        except Unsigned as error:
            raise self._misread(f"the answer can't be believed: {error}") from None
        if len(believed) > 1 and not operation.encoding:
            raise self._misread("the answer's body has more than one element")
        return believed[0]  # what follows it in an encoded one is there to be referred to

    def _record(self, target: SoapTarget, content: Element) -> Any:
        operation = target.operation
        try:
            content = literal(content, operation.reply.type, target.wsdl) if operation.encoding else content
        except Tangled as error:
            raise self._misread(f"the answer has {error}") from None
        misfit = target.wsdl.misfit(content)
        if misfit:
            raise self._misread(f"the answer does not fit the WSDL: {misfit}")
        try:
            return operation.decode(content)
        except (ValueError, ArithmeticError, LookupError, ZeepError):
            raise self._misread("a value of the answer is outside of what its type can be read as") from None

    def _misread(self, what: str) -> Misread:
        return Misread(f"{self.name}: {what}", backend=self.name)

    def _fault(self, target: SoapTarget, fault: Element) -> AdapterError:
        """The rule that knows this fault, or the most that may be said of it."""
        codes = [code for code in _codes(fault, target.operation.soap) if code]
        if any(code.startswith((f"{{{WSSE}}}", "{}FailedAuthentication")) for code in codes):  # a signature may leave out the namespace
            return BadLogon(f"{self.name} refused the facade's security token", backend=self.name)
        facts = {"faultcode": etree.QName(codes[-1]).localname} if codes else {}
        for detail in (*fault.iterfind("detail/*"), *fault.iterfind(f"{{{target.operation.soap}}}Detail/*")):
            facts = {**dict(_leaves(detail)), "fault": etree.QName(detail).localname, **facts}
        rule = matching(target.errors, facts)
        if rule:
            return rule.error(self.name)
        name = facts.get("fault", "")
        return Failed(
            f"{self.name} answered with {name if name in target.operation.faults else 'a fault of no declared kind'}", backend=self.name
        )

    def _complain(self, call: Call, record: Any) -> None:
        """Raise when the answer is about something else than what was asked, or is an error by a rule."""
        target: SoapTarget = call.target
        facts = {path: as_text(value) for path in target.telling if (value := pick(record, path)) is not None}
        rule = matching(target.errors, facts)
        for path, template in target.echo.items():
            shown = pick(record, path)
            if (shown is None and rule is None) or (shown is not None and as_text(shown) != template.render(call.params)):
                with unsettled(call):
                    raise self._misread(f"the answer's {path} is not what was asked for")
        if rule:
            raise rule.error(self.name)


def _rows(record: Any, path: tuple[str, ...]) -> tuple[Record, ...]:
    """The records at `path`; none where a step is missing."""
    rows = pick(record, "/".join(path)) if path else record
    return tuple(rows) if isinstance(rows, list) else () if rows is None else (rows,)


def _codes(fault: Element, soap: str) -> Iterator[str]:
    """Fault code and subcodes as {namespace}name, from the general to the particular."""
    for node in (*fault.iterfind("faultcode"), *fault.iterfind(f"{{{soap}}}Code//{{{soap}}}Value")):
        prefix, _, name = (node.text or "").strip().rpartition(":")
        namespace = node.nsmap.get(prefix or None, "")
        yield f"{{{namespace}}}{name}" if name else ""


def _leaves(node: Element, above: str = "") -> Iterator[tuple[str, str]]:
    for child in node.iterchildren(tag=etree.Element):
        path = above + etree.QName(child).localname
        if len(child):
            yield from _leaves(child, f"{path}/")
        else:
            yield path, child.text or ""
