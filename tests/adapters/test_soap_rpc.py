"""rpc/encoded and rpc/literal: the values of a document answer, whatever way the service of 2002 wrote them down, or a clear refusal."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, BadTarget, Call
from adapters.errors import AdapterError, Misread, Refused
from fixtures.customers import Customer, everyone
from fixtures.soap import truth
from fixtures.soap_rpc import ENCODING, WSDL, XSI, LegacyBureau
from wrapper.catalogue.folder import Folder

FULL = next(c for c in everyone() if len(truth(c.national_id).searches) > 2 and truth(c.national_id).limit and truth(c.national_id).grade)
PORTS = {
    "encoded": "EncodedPort.assess",
    "literal": "LiteralPort.assess",
    "encoded over SOAP 1.2": "EncodedPort12.assess",
    "literal over SOAP 1.2": "LiteralPort12.assess",
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("legacy")
    (root / "wsdl").mkdir()
    shutil.copy(WSDL, root / "wsdl")
    return Folder(root)


@pytest.fixture
def bureau() -> Iterator[LegacyBureau]:
    bureau = LegacyBureau()
    bureau.address = bureau.start()  # type: ignore[attr-defined]
    yield bureau
    bureau.stop()


@pytest.fixture
def soap(bureau: LegacyBureau, catalogue: Folder) -> Iterator[Adapter]:
    host, port = bureau.address  # type: ignore[attr-defined]
    system = {"wsdl": "wsdl/legacy.wsdl", "endpoint": f"http://{host}:{port}/legacy"}
    adapter = registry.adapter("soap").open("bureau", system, catalogue, None)  # type: ignore[arg-type]
    yield adapter
    adapter.close()


def asking(catalogue: Folder, port: str, customer: Customer = FULL, amount: Any = Decimal("12.50"), **block: Any) -> Call:
    whole = {
        "operation": PORTS[port],
        "send": {"nationalId": "{id}", "amount": "{amount}"},
        "echo": {"result/NationalId": "{id}"},
        **block,
    }
    target = registry.target("soap").compile(whole, {"wsdl": "wsdl/legacy.wsdl"}, catalogue)
    return Call("legacy.check", target, {"id": customer.national_id, "amount": amount}, time.monotonic() + 5)


def right(record: Mapping[str, Any], customer: Customer, item: str) -> None:
    known = truth(customer.national_id)
    result = {
        "NationalId": customer.national_id,
        "ReturnCode": "00",
        "Reference": known.reference,
        "Limit": known.limit,
        "CheckedAt": known.checked_at,
        **({"RiskGrade": known.grade} if known.grade else {}),
    }
    assert record["result"] == result
    assert [(s["Date"], s["Lender"], s["Amount"]) for s in record["searches"][item]] == list(known.searches)


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("port", PORTS)
def test_values_are_right_in_every_style(bureau: LegacyBureau, soap: Adapter, catalogue: Folder, port: str, inline: bool) -> None:
    bureau.inline = inline
    known = [(c, truth(c.national_id)) for c in everyone()[:300]]
    for customer in (
        FULL,
        next(c for c, k in known if k.limit is None),
        next(c for c, k in known if k.grade is None),
        next(c for c, k in known if not k.searches),
    ):
        (record,) = soap.call(asking(catalogue, port, customer)).records
        right(record, customer, "item" if "encoded" in port else "Search")


def test_an_encoded_request_shows_the_type_of_every_part_and_a_literal_one_of_none(
    bureau: LegacyBureau, soap: Adapter, catalogue: Folder
) -> None:
    for port in PORTS:
        soap.call(asking(catalogue, port))
    for request, typed in zip(bureau.asked, (True, False, True, False), strict=True):
        assert [part.tag for part in request] == ["nationalId", "amount"]
        assert [part.text for part in request] == [FULL.national_id, "12.50"]
        assert all((f"{{{XSI}}}type" in part.attrib) is typed for part in request)


@pytest.mark.parametrize("port", PORTS)
def test_a_part_that_does_not_fit_its_type_is_refused_before_it_is_sent(
    bureau: LegacyBureau, soap: Adapter, catalogue: Folder, port: str
) -> None:
    with pytest.raises(Refused):
        soap.call(asking(catalogue, port, amount="much"))
    assert bureau.asked == []


def test_the_items_of_an_array_are_rows(soap: Adapter, catalogue: Folder) -> None:
    rows = soap.call(asking(catalogue, "encoded", rows="searches/item")).records
    assert [(r["Date"], r["Lender"], r["Amount"]) for r in rows] == list(truth(FULL.national_id).searches)


def change(old: str, new: str) -> Callable[[bytes], bytes]:
    def twist(xml: bytes) -> bytes:
        changed = re.sub(old.encode(), new.encode(), xml, count=1)
        assert changed != xml
        return changed

    return twist


COUNT = len(truth(FULL.national_id).searches)


@pytest.mark.parametrize(
    "old, new, why",
    [
        pytest.param('href="#id1"', 'href="#nowhere"', "does not lead to one element", id="a reference that leads nowhere"),
        pytest.param('href="#id1"', 'href="http://127.0.0.1:9/x"', "does not lead to one element", id="a reference out of the answer"),
        pytest.param('(<multiRef id="id2")', r'<multiRef id="id1"/>\1', "does not lead to one element", id="two elements of one id"),
        pytest.param('(id="id1"[^>]*>)', r'\1<Prior href="#id1"/>', "itself a part of", id="a cycle"),
        pytest.param('(<multiRef id="id1")[^>]*', r'\1 href="#id1"', "references only", id="a reference to itself"),
        pytest.param(rf"t:Search\[{COUNT}\]", f"t:Search[{COUNT + 1}]", "not whole", id="an array that lacks an item"),
        pytest.param("(soapenc:arrayType=)", r'soapenc:offset="[1]" \1', "not whole", id="the end of an array"),
        pytest.param('<anything href="#id2"/>', '<anything href="#id2" soapenc:position="[5]"/>', "not whole", id="an item with a place"),
        pytest.param(">00</ReturnCode>", ">000</ReturnCode>", "does not fit the WSDL", id="a code that is too long"),
        pytest.param("<Lender[^/]*</Lender>", "", "does not fit the WSDL", id="a missing element"),
        pytest.param('xsi:type="t:Search" ?', 'xsi:type="t:Result" ', "does not fit the WSDL", id="another type"),
        pytest.param("(<Amount[^>]*>)[0-9.]+<", r"\1NaN<", "does not fit the WSDL", id="not a number in an array"),
        pytest.param("<result ", "<other ", "does not fit the WSDL", id="another part"),
        pytest.param("e:assessResponse", "e:assessed", "well-formed", id="another wrapper's end"),
        pytest.param(f">{FULL.national_id}<", ">AB100001A<", "not what was asked for", id="somebody else's answer"),
    ],
)
def test_an_encoded_answer_that_can_not_be_read_is_a_misread(
    bureau: LegacyBureau, soap: Adapter, catalogue: Folder, old: str, new: str, why: str
) -> None:
    bureau.twist = change(old, new)
    with pytest.raises(AdapterError) as met:
        soap.call(asking(catalogue, "encoded"))
    assert type(met.value) is Misread
    assert why in met.value.detail
    assert FULL.national_id not in met.value.detail


@pytest.mark.parametrize("name", ["t:Unheard", "t:Se arch", "x:Search", ""])
def test_a_type_that_the_wsdl_does_not_declare_says_nothing(bureau: LegacyBureau, soap: Adapter, catalogue: Folder, name: str) -> None:
    bureau.twist = change('xsi:type="t:Search"', f'xsi:type="{name}"')
    right(soap.call(asking(catalogue, "encoded")).records[0], FULL, "item")


def often(xml: bytes, times: int) -> bytes:
    """The first search of the array, referred to so often."""
    items = '<anything href="#id1"/>' * times
    return change(r'\[[0-9]+\](".*?>).*?</searches>', rf"[]\1{items}</searches>")(xml)


def deep(xml: bytes) -> bytes:
    search = b'<m id="l%d"><Date>2026-01-01</Date><Lender/><Amount>1</Amount><Prior href="#l%d"/></m>'
    chain = b"".join(search % (n, n + 1) for n in range(2000))
    return change('href="#id1"', 'href="#l0"')(xml).replace(b"</soap:Body>", chain + b'<m id="l2000"/></soap:Body>')


@pytest.mark.parametrize(
    "twist",
    [
        pytest.param(lambda xml: often(xml, 30_000), id="wide"),
        pytest.param(lambda xml: often(change("(<Lender[^>]*>)", rf"\1{'ha' * 500_000}")(xml), 1000), id="long"),
        pytest.param(deep, id="deep"),
    ],
)
def test_references_that_multiply_are_given_up(
    bureau: LegacyBureau, soap: Adapter, catalogue: Folder, twist: Callable[[bytes], bytes]
) -> None:
    bureau.twist = twist
    start = time.thread_time()
    with pytest.raises(Misread, match="more than is read"):
        soap.call(asking(catalogue, "encoded"))
    assert time.thread_time() - start < 3


def test_an_array_of_soap_1_2_that_is_not_whole_is_a_misread(bureau: LegacyBureau, soap: Adapter, catalogue: Folder) -> None:
    bureau.twist = change(f'arraySize="{COUNT}"', f'arraySize="{COUNT + 1}"')
    with pytest.raises(Misread, match="not whole"):
        soap.call(asking(catalogue, "encoded over SOAP 1.2"))


def test_a_literal_body_has_one_element(bureau: LegacyBureau, soap: Adapter, catalogue: Folder) -> None:
    bureau.twist = lambda xml: xml.replace(b"</soap:Body>", b'<m id="x"/></soap:Body>')
    with pytest.raises(Misread, match="more than one element"):
        soap.call(asking(catalogue, "literal"))


def rewritten(tmp_path: Path, old: str, new: str) -> Folder:
    (tmp_path / "wsdl").mkdir()
    text = WSDL.read_text()
    assert old in text
    (tmp_path / "wsdl" / "legacy.wsdl").write_text(text.replace(old, new))
    return Folder(tmp_path)


IMPORT = f'<xsd:import namespace="{ENCODING}"/>'


@pytest.mark.parametrize(
    "imports",
    [
        f'<xsd:import namespace="{ENCODING}" schemaLocation="{ENCODING}"/>',
        f'{IMPORT}<xsd:import namespace="http://www.w3.org/XML/1998/namespace" schemaLocation="http://www.w3.org/2001/xml.xsd"/>',
        f'{IMPORT}<xsd:import namespace="http://www.w3.org/XML/1998/namespace"/>',
        f'{IMPORT}<xsd:import namespace="http://schemas.xmlsoap.org/wsdl/" schemaLocation="http://schemas.xmlsoap.org/wsdl/"/>',
    ],
)
def test_the_standard_schemas_are_there_without_a_network(tmp_path: Path, soap: Adapter, imports: str) -> None:
    (record,) = soap.call(asking(rewritten(tmp_path, IMPORT, imports), "encoded")).records
    right(record, FULL, "item")


def test_an_array_may_say_how_its_items_are_declared(tmp_path: Path, soap: Adapter) -> None:
    sequence = '<xsd:sequence><xsd:element name="found" type="t:Search" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence>'
    catalogue = rewritten(tmp_path, '<xsd:restriction base="soapenc:Array">', f'<xsd:restriction base="soapenc:Array">{sequence}')
    (record,) = soap.call(asking(catalogue, "encoded")).records
    right(record, FULL, "found")


def test_an_array_of_arrays_is_said_to_be_too_much(tmp_path: Path) -> None:
    with pytest.raises(BadTarget, match="array of arrays"):
        asking(rewritten(tmp_path, 'arrayType="t:Search[]"', 'arrayType="t:Search[][]"'), "encoded")
