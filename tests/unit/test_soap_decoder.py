"""The compiled trees against zeep itself: an answer is read, and a request written, as zeep does it, but for what is stated here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from time import thread_time
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.helpers import serialize_object
from zeep.xsd import ComplexType, ListType, UnionType
from zeep.xsd.types import builtins

from adapters import template
from adapters.soap import request, shape, wsdl
from adapters.soap.decoder import NIL, XSI_TYPE
from wrapper.catalogue.folder import Folder

NS = "urn:example:kinds"
SCHEMA = """
<xs:schema targetNamespace="urn:example:kinds" xmlns:k="urn:example:kinds" elementFormDefault="{form}">
  <xs:simpleType name="Code"><xs:restriction base="xs:string"><xs:enumeration value="A"/><xs:enumeration value="B"/>
  </xs:restriction></xs:simpleType>
  <xs:simpleType name="Amount"><xs:restriction base="xs:decimal"><xs:fractionDigits value="4"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Numbers"><xs:list itemType="xs:int"/></xs:simpleType>
  <xs:simpleType name="Either"><xs:union memberTypes="xs:int xs:date"/></xs:simpleType>
  <xs:complexType name="Priced"><xs:simpleContent><xs:extension base="k:Amount">
    <xs:attribute name="currency" type="k:Code" use="required"/><xs:attribute name="asOf" type="xs:date"/>
  </xs:extension></xs:simpleContent></xs:complexType>
  <xs:complexType name="Base"><xs:sequence><xs:element name="id" type="xs:long"/></xs:sequence>
    <xs:attribute name="old" type="xs:boolean"/></xs:complexType>
  <xs:complexType name="Derived"><xs:complexContent><xs:extension base="k:Base"><xs:sequence>
    <xs:element name="note" type="xs:string" minOccurs="0"/><xs:element name="child" type="k:Derived" minOccurs="0" maxOccurs="unbounded"/>
  </xs:sequence></xs:extension></xs:complexContent></xs:complexType>
  <xs:complexType name="Texts"><xs:sequence>
    <xs:element name="plain" type="xs:string"/><xs:element name="normal" type="xs:normalizedString" minOccurs="0"/>
    <xs:element name="token" type="xs:token" nillable="true"/><xs:element name="code" type="k:Code"/>
    <xs:element name="uri" type="xs:anyURI" minOccurs="0"/><xs:element name="name" type="xs:NCName" minOccurs="0" maxOccurs="3"/>
    <xs:element name="hex" type="xs:hexBinary" minOccurs="0"/><xs:element name="blob" type="xs:base64Binary" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:complexType name="Numbered"><xs:all>
    <xs:element name="amount" type="k:Amount" nillable="true"/><xs:element name="exact" type="xs:decimal" minOccurs="0"/>
    <xs:element name="count" type="xs:integer"/><xs:element name="small" type="xs:unsignedByte" minOccurs="0"/>
    <xs:element name="ratio" type="xs:double" minOccurs="0"/><xs:element name="yes" type="xs:boolean"/>
    <xs:element name="some" type="k:Numbers" minOccurs="0"/><xs:element name="either" type="k:Either" minOccurs="0"/>
    <xs:element name="price" type="k:Priced" minOccurs="0"/>
  </xs:all></xs:complexType>
  <xs:complexType name="Times"><xs:sequence>
    <xs:element name="day" type="xs:date"/><xs:element name="at" type="xs:dateTime" minOccurs="0" maxOccurs="unbounded"/>
    <xs:element name="hour" type="xs:time" minOccurs="0"/><xs:element name="month" type="xs:gYearMonth" minOccurs="0"/>
    <xs:element name="lasting" type="xs:duration" minOccurs="0"/>
  </xs:sequence></xs:complexType>
  <xs:element name="ask"><xs:complexType><xs:sequence>
    <xs:element name="texts" minOccurs="0"><xs:complexType><xs:sequence>
      <xs:element name="plain" type="xs:string" minOccurs="0"/><xs:element name="token" type="xs:token" nillable="true"/>
      <xs:element name="name" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="count" type="xs:integer" nillable="true"/><xs:element name="amount" type="k:Amount" minOccurs="0"/>
    <xs:element name="yes" type="xs:boolean" minOccurs="0"/><xs:element name="day" type="xs:date" minOccurs="0"/>
    <xs:element name="at" type="xs:dateTime" minOccurs="0"/><xs:element name="price" type="k:Priced" minOccurs="0"/>
  </xs:sequence></xs:complexType></xs:element>
  <xs:element name="told"><xs:complexType><xs:sequence>
    <xs:element name="texts" type="k:Texts"/><xs:element name="numbers" type="k:Numbered" minOccurs="0" maxOccurs="unbounded"/>
    <xs:element name="times" type="k:Times" minOccurs="0"/>
    <xs:choice><xs:element name="left" type="xs:int"/><xs:element name="right" type="k:Base"/></xs:choice>
    <xs:element name="base" type="k:Base" nillable="true"/><xs:element name="empty"><xs:complexType/></xs:element>
  </xs:sequence><xs:attribute name="version" type="xs:int"/></xs:complexType></xs:element>
</xs:schema>"""
WSDL = """<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:k="urn:example:kinds" targetNamespace="urn:example:kinds">
  <wsdl:types>{schema}</wsdl:types>
  <wsdl:message name="ask"><wsdl:part name="p" element="k:ask"/></wsdl:message>
  <wsdl:message name="told"><wsdl:part name="p" element="k:told"/></wsdl:message>
  <wsdl:portType name="Kinds"><wsdl:operation name="ask"><wsdl:input message="k:ask"/><wsdl:output message="k:told"/>
  </wsdl:operation></wsdl:portType>
  <wsdl:binding name="KindsSoap" type="k:Kinds"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="ask"><soap:operation soapAction=""/>
      <wsdl:input><soap:body use="literal"/></wsdl:input><wsdl:output><soap:body use="literal"/></wsdl:output></wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="KindsService"><wsdl:port name="KindsPort" binding="k:KindsSoap"><soap:address location="http://localhost/"/>
  </wsdl:port></wsdl:service>
</wsdl:definitions>"""


@pytest.fixture(scope="module", params=["qualified", "unqualified"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> wsdl.Wsdl:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "wsdl").mkdir()
    (folder / "wsdl" / "kinds.wsdl").write_text(WSDL.format(schema=SCHEMA.replace("{form}", request.param)))
    return wsdl.load(Folder(folder), "wsdl/kinds.wsdl")


_digits = st.from_regex(r"[+-]?[0-9]{1,12}(\.[0-9]{0,4})?", fullmatch=True)
_zone = st.sampled_from(["", "Z", "+01:00", "-11:30", "+14:00"])
_spaces = st.sampled_from(["", " ", "\n\t"])
_texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=12)
_zones = {
    builtins.Date: st.dates().map(date.isoformat),
    builtins.DateTime: st.datetimes().map(datetime.isoformat),
    builtins.Time: st.times().map(time.isoformat),
}
LEXICAL: Mapping[type, st.SearchStrategy[str]] = {
    builtins.NCName: st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True),
    builtins.Token: st.builds("{0}{1}{0}".format, _spaces, _texts),
    builtins.NormalizedString: st.builds("{0}{1}{0}".format, _spaces, _texts),
    builtins.AnyURI: st.sampled_from(["", " urn:x ", "http://h/p?q#f"]),
    builtins.HexBinary: st.sampled_from(["", "00ff", "CAFE"]),
    builtins.Base64Binary: st.sampled_from(["", "AAEC", "aGVsbG8=", "aGVs bG8="]),
    builtins.UnsignedByte: st.integers(0, 255).map(str),
    builtins.Integer: st.builds("{1}{0}{1}".format, st.integers(-(2**31), 2**31 - 1), _spaces),
    builtins.Double: st.floats(allow_infinity=False, allow_nan=False).map(repr) | st.sampled_from(["INF", "-INF"]),
    builtins.Decimal: st.builds("{1}{0}{1}".format, _digits, _spaces),
    builtins.Boolean: st.sampled_from(["true", "false", "0", "1", " true "]),
    builtins.gYearMonth: st.just("2026-11"),
    builtins.Duration: st.sampled_from(["P1Y2M", "PT36H", "P3DT4H5M6.5S"]),
    **{kind: st.builds("{0}{1}".format, text, _zone) for kind, text in _zones.items()},
    builtins.String: _texts,
}


def lexical(type_: Any) -> st.SearchStrategy[str]:
    """Texts that the schema allows for a simple type."""
    if isinstance(type_, ListType):
        return st.lists(st.integers(-9, 9), max_size=4).map(lambda numbers: " ".join(map(str, numbers)))
    if isinstance(type_, UnionType):
        return st.sampled_from(["7", "2026-11-02"])
    if type_.qname.localname == "Code":
        return st.sampled_from("AB")
    return next(LEXICAL[kind] for kind in type(type_).__mro__ if kind in LEXICAL)


def grow(draw: Any, node: etree._Element, type_: Any, depth: int = 0) -> None:
    """Fill `node` with what the type allows."""
    if not isinstance(type_, ComplexType):
        node.text = draw(lexical(type_))
        return
    for _, declared in type_.attributes:
        if declared.required or draw(st.booleans()):
            node.set(declared.qname.text, draw(lexical(declared.type)))
    simple = shape.simple_content(type_)
    if simple is not None:
        node.text = draw(lexical(simple))
    for tag, child in shape.children(type_).items():
        least = 1 if child.required else 0
        for _ in range(draw(st.integers(least, max(least, 0 if depth > 3 else 2 if child.many else 1)))):
            part = etree.SubElement(node, tag)
            if child.nillable and draw(st.booleans()):
                part.set(NIL, "true")
                continue
            grow(draw, part, child.type, depth + 1)


def same(ours: Any, theirs: Any, type_: Any) -> None:
    """Equal values of equal types, but where we tell apart what zeep does not."""
    if isinstance(type_, ComplexType) and shape.simple_content(type_) is None:
        if ours is not None and theirs is not None:
            same_record(ours, theirs, type_)
        else:  # to zeep a record without anything in it is none, and a nil one is a record of nothing
            assert not any((ours or theirs or {}).values())
    elif isinstance(ours, dict):
        assert ours == (theirs if theirs["_value_1"] is not None else {**theirs, "_value_1": ""})
    elif theirs is None:  # to zeep an empty text is none
        assert ours in (None, "", [], b"")
    else:
        assert (ours, type(ours)) == (theirs, type(theirs))
        assert getattr(ours, "utcoffset", lambda: None)() == getattr(theirs, "utcoffset", lambda: None)()


def same_record(ours: Any, theirs: Any, type_: Any) -> None:
    assert set(ours) == set(theirs)
    assert all(ours[name] == theirs[name] for name, _ in type_.attributes)
    for child in shape.children(type_).values():
        if child.many:
            for one, other in zip(ours[child.name], theirs[child.name] or [], strict=True):
                same(one, other, child.type)
        elif child.name != "left" or theirs["left"] is not None or ours["left"] != 0:  # zeep loses a choice's zero
            same(ours[child.name], theirs[child.name], child.type)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_answer_is_read_as_zeep_reads_it(loaded: wsdl.Wsdl, data: st.DataObject) -> None:
    operation = loaded.operations["ask"]
    told = etree.Element(operation.answer, nsmap={"k": NS})
    grow(data.draw, told, operation.reply.type)
    branches = told.xpath("*[local-name()='left' or local-name()='right']")
    for extra in branches[1:] if branches else ():
        told.remove(extra)
    assume(branches)
    assert loaded.misfit(told) == "", etree.tostring(told)
    read = etree.fromstring(etree.tostring(told))
    theirs = serialize_object(operation.reply.parse(read, operation.binding.binding.wsdl.types), dict)
    same(operation.decode(read), theirs, operation.reply.type)


SEND = {
    "texts/plain": "{plain}", "texts/token": "{token}", "texts/name": "{names}", "count": "{count}", "amount": "{amount}",
    "yes": "{yes}", "day": "{day}", "at": "{at}",
}  # fmt: skip
VALUES = st.fixed_dictionaries(
    {
        "plain": st.none() | _texts,
        "token": st.none() | _texts,
        "names": st.none() | st.lists(_texts, max_size=3),
        "count": st.none() | st.integers(-(10**20), 10**20),
        "amount": st.none() | st.decimals(-(10**9), 10**9, places=4),
        "yes": st.none() | st.booleans(),
        "day": st.none() | st.dates(min_value=date(1000, 1, 1)),  # before that zeep leaves out the zeros
        "at": st.none() | st.datetimes(),
    }
)


def tree(node: etree._Element) -> Any:
    return node.tag, dict(node.attrib), node.text or "", [tree(child) for child in node]


def built(loaded: wsdl.Wsdl, send: Mapping[str, str], params: Mapping[str, Any]) -> etree._Element:
    operation = loaded.operations["ask"]
    slots = request.compiled({tuple(path.split("/")): template.parse(text) for path, text in send.items()}, operation.request.type)
    made = etree.Element(operation.request.qname.text)
    request.fill(made, slots, params, {})
    return made


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(params=VALUES)
def test_a_request_is_written_as_zeep_writes_it(loaded: wsdl.Wsdl, params: dict[str, Any]) -> None:
    values: dict[str, Any] = {name: value for name, value in params.items() if value is not None}
    inner = {name: values.pop(sent) for name, sent in (("plain", "plain"), ("token", "token"), ("name", "names")) if sent in values}
    if inner.get("name") == []:
        del inner["name"]  # to zeep an empty list is something sent
    theirs = loaded.operations["ask"].binding.create(**values, **({"texts": inner} if inner else {})).content
    assert tree(built(loaded, SEND, params)) == tree(theirs[-1][0])


def test_a_list_or_an_object_is_no_value_of_an_element(loaded: wsdl.Wsdl) -> None:
    for value in ([1, 2], {"a": 1}):
        with pytest.raises(TypeError):
            built(loaded, {"amount": "{x}"}, {"x": value})
    with pytest.raises(TypeError):
        built(loaded, {"texts/name": "{x}"}, {"x": [["a"]]})
    with pytest.raises(ValueError):
        built(loaded, {"texts/plain": "{x}"}, {"x": "\x00"})


TOLD = (
    '<k:told xmlns:k="urn:example:kinds" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><texts><plain/><token/><code>A</code></texts>'
    "{choice}{base}<empty/></k:told>"
)


def read(loaded: wsdl.Wsdl, choice: str, base: str) -> Any:
    text = TOLD.replace("{choice}", choice).replace("{base}", base)
    if not loaded.operations["ask"].request.type.elements[0][1].qname.namespace:
        return loaded.operations["ask"].decode(etree.fromstring(text))
    return loaded.operations["ask"].decode(etree.fromstring(re.sub(r"<(/?)(?!/?k:)([a-z])", r"<\1k:\2", text)))


def test_a_derived_type_is_obeyed_and_nil_may_be_one(loaded: wsdl.Wsdl) -> None:
    told = read(loaded, "<left>0</left>", '<base xsi:type=" k:Derived" old="1"><id>1</id><child><id>2</id></child></base>')
    leaf = {"old": None, "id": 2, "note": None, "child": []}
    assert told["base"] == {"old": True, "id": 1, "note": None, "child": [leaf]}
    assert (told["left"], told["right"], told["empty"]) == (0, None, {})
    assert read(loaded, "<left>0</left>", '<base xsi:nil="1"/>')["base"] is None


@pytest.mark.parametrize("base", ['<base xsi:type="k:Unheard"><id>1</id></base>', "<base><id>one</id></base>", '<base xsi:type="x:Base"/>'])
def test_what_can_not_be_read_is_an_error_and_not_none(loaded: wsdl.Wsdl, base: str) -> None:
    with pytest.raises((ValueError, LookupError, ZeepError)):
        read(loaded, "<left>0</left>", base)
    assert XSI_TYPE in base or loaded.misfit(etree.fromstring(TOLD.format(choice="<left>0</left>", base=base)))


def test_a_hundred_rows_cost_less_than_a_fifth_of_zeeps_cpu(loaded: wsdl.Wsdl, record_property: Any) -> None:
    row = "<numbers><amount>12.50</amount><count>{n}</count><yes>true</yes></numbers>"
    rows = "".join(row.format(n=n) for n in range(100))
    text = TOLD.replace("</texts>", f"</texts>{rows}").format(choice="<left>1</left>", base='<base xsi:nil="true"/>')
    operation = loaded.operations["ask"]
    if operation.request.type.elements[0][1].qname.namespace:
        text = re.sub(r"<(/?)(?!/?k:)([a-z])", r"<\1k:\2", text)
    types = operation.binding.binding.wsdl.types

    def ours() -> None:
        root = etree.fromstring(text)
        assert loaded.misfit(root) == ""
        assert len(operation.decode(root)["numbers"]) == 100

    def theirs() -> None:
        operation.reply.parse(etree.fromstring(text), types)

    def cost(act: Callable[[], None]) -> float:
        start = thread_time()
        act()
        return thread_time() - start

    ratios = [(cost(ours), cost(theirs)) for _ in range(9)]
    mine, zeeps = (min(side) * 1e6 for side in zip(*ratios, strict=True))
    record_property("measured", f"a 100-row SOAP reply, schema included: {mine:.0f} us of CPU, zeep without a schema {zeeps:.0f} us")
    assert mine < zeeps / 5
