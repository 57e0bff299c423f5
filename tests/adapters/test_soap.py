"""The SOAP adapter against the demo bureau: right values, true errors, one search per question, and nothing read but the pinned WSDL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import Adapter, BadTarget, Call, Reply
from adapters.errors import (
    AdapterError,
    BadLogon,
    Conflict,
    DeadlineExceeded,
    Failed,
    Misconfigured,
    Misread,
    Missing,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from adapters.soap.target import SoapTarget
from fixtures.customers import Customer, everyone
from fixtures.soap import DISPUTED, SCHEMA, Bureau, truth
from fixtures.web import Asked, Page
from tests.adapters.conformance import Conformance, Rig
from wrapper.catalogue.folder import Folder

CATALOGUE = SCHEMA.parent.parent
WSDL = SCHEMA.with_name("credit.wsdl")
BLOCK: Mapping[str, Any] = {
    "operation": "CreditCheck.assess",
    "send": {"Subject/NationalId": "{national_id}", "Subject/BornOn": "{born}", "Purpose": "CREDIT", "Amount": "{amount}"},
    "echo": {"Result/NationalId": "{national_id}"},
    "errors": {
        "not_found": {"when": {"fault": "SubjectNotFoundFault", "code": "S404"}, "status": 404},
        "try_later": {"when": {"Result/ReturnCode": "08"}, "status": 503, "retry": True},
    },
}
FULL = next(c for c in everyone() if truth(c.national_id).searches and truth(c.national_id).limit and truth(c.national_id).grade)


def compiled(block: Mapping[str, Any] = BLOCK, folder: Path = CATALOGUE) -> SoapTarget:
    target = registry.target("soap").compile(block, {"wsdl": "wsdl/credit.wsdl"}, Folder(folder))
    assert isinstance(target, SoapTarget)
    return target


def question(
    national_id: str = FULL.national_id, seconds: float = 5.0, block: Mapping[str, Any] = BLOCK, effect: Any = "read", **more: Any
) -> Call:
    return Call("credit.check", compiled(block), {"national_id": national_id, **more}, time.monotonic() + seconds, effect=effect)


def opened(address: tuple[str, int], login: str, **security: Any) -> Adapter:
    host, port = address
    system = {"wsdl": "wsdl/credit.wsdl", "endpoint": f"http://{host}:{port}/credit", "security": {"username_token": login, **security}}
    return registry.adapter("soap").open("bureau", system, Folder(CATALOGUE), None)  # type: ignore[arg-type]


def right(reply: Reply, customer: Customer = FULL) -> None:
    known = truth(customer.national_id)
    (record,) = reply.records
    assert record["Result"] == {
        "NationalId": customer.national_id,
        "ReturnCode": "00",
        "Reference": known.reference,
        "RiskGrade": known.grade,
        "Limit": known.limit,
        "CheckedAt": known.checked_at,
    }
    assert record["Report"]["Records"] is customer.records
    found = [(s["Date"], s["Lender"], s["Amount"]) for s in record["Report"]["Searches"]["Search"]]
    assert found == list(known.searches)


@pytest.fixture
def bureau() -> Iterator[Bureau]:
    bureau = Bureau()
    bureau.address = bureau.start()  # type: ignore[attr-defined]
    yield bureau
    bureau.stop()


@pytest.fixture
def soap(bureau: Bureau) -> Iterator[Adapter]:
    adapter = opened(bureau.address, bureau.login)  # type: ignore[attr-defined]
    yield adapter
    adapter.close()


def refused(adapter: Adapter, call: Call) -> AdapterError:
    with pytest.raises(AdapterError) as met:
        adapter.call(call)
    assert met.value.backend == "bureau"
    shown = met.value.detail
    assert not any(secret in shown for secret in ("app-17", "ORA-", FULL.national_id, "bureau-secret", "/etc"))
    return met.value


class TestSoap(Conformance):
    @pytest.fixture
    def rig(self, bureau: Bureau) -> Rig:  # type: ignore[override]
        return Rig(bureau.address, lambda address: opened(address, bureau.login), lambda s: question(seconds=s), right)  # type: ignore[attr-defined]


def test_values_arrive_as_what_the_schema_says_they_are(soap: Adapter) -> None:
    reply = soap.call(question())
    right(reply)
    result = reply.records[0]["Result"]
    assert isinstance(result["Limit"], Decimal)
    assert isinstance(result["CheckedAt"], datetime)
    assert result["CheckedAt"].tzinfo is None


def test_what_is_missing_stays_missing_and_an_empty_list_is_not_missing(soap: Adapter) -> None:
    known = [(c, truth(c.national_id)) for c in everyone()[:400]]
    for customer in (
        next(c for c, k in known if k.limit is None),
        next(c for c, k in known if k.grade is None),
        next(c for c, k in known if not k.searches),
        next(c for c, k in known if any(amount is None for _, _, amount in k.searches)),
    ):
        right(soap.call(question(customer.national_id)), customer)


def test_many_threads_over_one_adapter_get_their_own_answers_and_one_search_each(bureau: Bureau, soap: Adapter) -> None:
    asked = [everyone()[n % 150] for n in range(600)]
    with ThreadPoolExecutor(16) as threads:
        for customer, reply in zip(asked, threads.map(lambda c: soap.call(question(c.national_id)), asked), strict=True):
            right(reply, customer)
    assert bureau.searches.total() == 600
    assert set(bureau.searches.values()) == {4}
    assert bureau.connections <= 16


def test_typed_values_are_sent_as_the_schema_wants_them(bureau: Bureau, soap: Adapter) -> None:
    right(soap.call(question(amount=Decimal("1200.50"), born=datetime(1980, 2, 29).date())))


@pytest.mark.parametrize("amount", [Decimal("1.005"), "1,000", Decimal("NaN"), "1</Amount><Amount>2", "\x00", [1, 2]])
def test_a_value_that_does_not_fit_the_schema_is_refused_before_it_is_sent(bureau: Bureau, soap: Adapter, amount: Any) -> None:
    assert type(refused(soap, question(amount=amount))) is Refused
    assert bureau.searches.total() == 0


@pytest.mark.parametrize("national_id", ["", "U1</x>", "ab123456a", None])
def test_a_key_that_does_not_fit_the_schema_is_refused_before_it_is_sent(bureau: Bureau, soap: Adapter, national_id: Any) -> None:
    assert type(refused(soap, question(national_id))) is Refused
    assert bureau.connections == 0


def test_a_typed_fault_is_what_its_rule_says(bureau: Bureau, soap: Adapter) -> None:
    error = refused(soap, question("AA999999A"))
    assert (type(error), error.code) == (Missing, "not_found")
    assert "AA999999A" not in error.detail
    assert bureau.searches == {"AA999999A": 1}


def test_a_return_code_in_a_good_answer_is_what_its_rule_says(soap: Adapter) -> None:
    error = refused(soap, question(DISPUTED))
    assert (type(error), error.code, error.retry) == (Unavailable, "try_later", True)


@pytest.mark.parametrize("status, kind", [(409, Conflict), (404, Missing), (502, Failed)])
def test_a_rule_may_give_a_return_code_any_status(soap: Adapter, status: int, kind: type[AdapterError]) -> None:
    block = {**BLOCK, "errors": {"disputed": {"when": {"Result/ReturnCode": "08"}, "status": status}}}
    assert type(refused(soap, question(DISPUTED, block=block))) is kind


def test_a_fault_without_a_rule_failed_and_its_texts_stay_inside(bureau: Bureau, soap: Adapter) -> None:
    bureau.fault = "unknown_fault"
    assert type(refused(soap, question())) is Failed
    assert type(refused(soap, question(effect="write"))) is Failed
    bureau.fault = ""
    error = refused(soap, question("AA999999A", block={k: v for k, v in BLOCK.items() if k != "errors"}))
    assert type(error) is Failed
    assert "SubjectNotFoundFault" in error.detail


def test_a_refused_token_is_a_bad_logon_and_costs_no_search(bureau: Bureau) -> None:
    adapter = opened(bureau.address, "figway:wrong-bureau-secret")  # type: ignore[attr-defined]
    assert type(refused(adapter, question())) is BadLogon
    assert bureau.searches.total() == 0
    adapter.close()
    with pytest.raises(Misconfigured, match="user:password"):
        opened(bureau.address, "figway")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "fault, kind",
    [
        ("html_502", Unavailable),
        ("html_200", Misread),
        ("redirect", Misread),
        ("wrong_type", Misread),
        ("dtd", Misread),
        ("huge", Misread),
        ("short", Unavailable),
        ("hang_up", Unavailable),
        ("trickle", DeadlineExceeded),
        ("mute", DeadlineExceeded),
    ],
)
def test_a_sick_service_is_its_error_after_one_search_and_a_write_is_unknown(
    bureau: Bureau, soap: Adapter, fault: str, kind: type[AdapterError]
) -> None:
    bureau.fault = fault
    assert type(refused(soap, question(seconds=0.4))) is kind
    assert bureau.searches.total() == 1
    assert type(refused(soap, question(seconds=0.4, effect="write"))) is OutcomeUnknown
    assert bureau.searches.total() == 2
    bureau.fault = ""
    right(soap.call(question()))


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def twist(xml: bytes) -> bytes:
        assert old.encode() in xml
        return xml.replace(old.encode(), new.encode())

    return twist


LIMIT = f">{truth(FULL.national_id).limit}</c:Limit>"
CODE = "<c:ReturnCode>00</c:ReturnCode>"


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param(CODE, "", id="a missing required element"),
        pytest.param(CODE, CODE + "<c:Extra>1</c:Extra>", id="an undeclared element"),
        pytest.param(CODE, CODE + CODE, id="an element twice"),
        pytest.param(LIMIT, ">12,5</c:Limit>", id="a decimal with a comma"),
        pytest.param(LIMIT, ">NaN</c:Limit>", id="not a number"),
        pytest.param(LIMIT, "></c:Limit>", id="an empty decimal that is not nil"),
        pytest.param("false</c:Records>", "no</c:Records>", id="a boolean that is none"),
        pytest.param("<c:CheckedAt>2026-11-02T", "<c:CheckedAt>2026-11-32T", id="a day that is not in the calendar"),
        pytest.param("<c:CheckedAt>2026-11-02T", "<c:CheckedAt>99999-11-02T", id="a year that Python does not have"),
        pytest.param("<c:Result", '<c:Result xsi:type="c:Search"', id="another type"),
        pytest.param("c:assessResponse", "c:assess", id="another body element"),
        pytest.param("<soap:Body>", "<soap:Body><c:x/>", id="two body elements"),
        pytest.param("soap/envelope/", "soap/other/", id="another envelope"),
        pytest.param("</soap:Envelope>", "", id="not well-formed"),
        pytest.param(f"<c:NationalId>{FULL.national_id}", "<c:NationalId>AB100001A", id="somebody else's answer"),
    ],
)
def test_an_answer_that_is_not_as_the_wsdl_says_is_a_misread(bureau: Bureau, soap: Adapter, old: str, new: str) -> None:
    clean = next(c for c in everyone() if not c.records) if "Records" in old else FULL
    bureau.twist = replaced(old, new)
    assert type(refused(soap, question(clean.national_id))) is Misread
    assert type(refused(soap, question(clean.national_id, effect="write"))) is OutcomeUnknown


def test_somebody_elses_refusal_is_a_misread_too(bureau: Bureau, soap: Adapter) -> None:
    bureau.disputed.add(FULL.national_id)
    bureau.twist = replaced(FULL.national_id, "AB100001A")
    assert type(refused(soap, question())) is Misread


def test_an_entity_bomb_and_an_external_entity_are_a_misread(bureau: Bureau, soap: Adapter) -> None:
    bomb = b"<!DOCTYPE x [" + b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"ha") for n in range(9)) + b"]>"
    for doctype in (bomb, b'<!DOCTYPE x [<!ENTITY e8 SYSTEM "file:///etc/hostname">]>'):
        bureau.twist = lambda xml, doctype=doctype: doctype + replaced(CODE, "<c:ReturnCode>&e8;</c:ReturnCode>")(xml.partition(b"?>")[2])  # type: ignore[misc]
        start = time.monotonic()
        assert type(refused(soap, question())) is Misread
        assert time.monotonic() - start < 1


def answering(bureau: Bureau, xml: Callable[[bytes], bytes], media: str = "text/xml") -> None:
    """The bureau answers with what `xml` makes of its envelope, under another media type."""
    honest = bureau.answer

    def answer(asked: Asked) -> Page:
        page = honest(asked)
        return Page(page.status, media, xml(page.body))

    bureau.answer = answer


def written(encoding: str, declared: str) -> Callable[[bytes], bytes]:
    return lambda xml: f'<?xml version="1.0" encoding="{declared}"?>{xml.partition(b"?>")[2].decode()}'.encode(encoding)


@pytest.mark.parametrize(
    "encoding, declared, media",
    [
        ("utf-16", "utf-16", "text/xml; charset=utf-16"),
        ("latin-1", "ISO-8859-1", "text/xml"),
        ("latin-1", "ISO-8859-1", 'application/soap+xml; action="x"; charset="iso-8859-1"'),
        ("utf-8", "utf-8", "TEXT/XML; Charset=UTF-8"),
    ],
)
def test_an_answer_may_be_in_any_encoding_that_it_names(bureau: Bureau, soap: Adapter, encoding: str, declared: str, media: str) -> None:
    umlaut = next(c for c in everyone() if any("\u00dc" in who for _, who, _ in truth(c.national_id).searches))
    answering(bureau, written(encoding, declared), media)
    right(soap.call(question(umlaut.national_id)), umlaut)


DOCTYPE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "change, media, why",
    [
        pytest.param(lambda xml: b"\x1f\x8b" + xml, "text/xml", "well-formed", id="compressed without a word"),
        pytest.param(written("utf-7", "utf-7"), "text/xml", "an encoding that is not read", id="UTF-7"),
        pytest.param(written("utf-32", "utf-32"), "text/xml", "an encoding that is not read", id="UTF-32"),
        pytest.param(
            lambda xml: (DOCTYPE + xml.partition(b"?>")[2].decode()).encode("utf-16"), "text/xml", "type definition", id="a DTD in UTF-16"
        ),
        pytest.param(
            lambda xml: written("utf-7", "utf-7")(b"?>" + DOCTYPE.encode() + xml.partition(b"?>")[2]),
            "text/xml",
            "type definition",
            id="a DTD in UTF-7",
        ),
        pytest.param(written("utf-8", "utf-8"), "text/xml; charset=iso-8859-1", "one encoding by its header", id="two encodings"),
        pytest.param(lambda xml: xml, "multipart/related; type=text/xml; boundary=b", "multipart", id="MTOM"),
        pytest.param(lambda xml: xml, "application/xml", "media type", id="XML that is no envelope's"),
        pytest.param(lambda xml: xml, "", "media type", id="no media type"),
        pytest.param(
            lambda xml: xml.replace(b"<c:Lender>", b"<c:Lender>" + b"<a>" * 255 + b"</a>" * 255, 1), "text/xml", "well-formed", id="depth"
        ),
        pytest.param(
            lambda xml: xml.replace(
                b"<c:Lender>", b'<c:Lender><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:1"/>', 1
            ),
            "text/xml",
            "does not fit the WSDL",
            id="an attachment that is included",
        ),
    ],
)
def test_a_document_that_is_not_plain_xml_is_a_misread(
    bureau: Bureau, soap: Adapter, change: Callable[[bytes], bytes], media: str, why: str
) -> None:
    umlaut = next(c for c in everyone() if any("\u00dc" in who for _, who, _ in truth(c.national_id).searches))
    answering(bureau, change, media)
    with pytest.raises(Misread, match=why):
        soap.call(question(umlaut.national_id))


def test_comments_and_instructions_inside_a_value_do_not_cut_it_short(bureau: Bureau, soap: Adapter) -> None:
    bureau.twist = replaced("<c:ReturnCode>00", "<c:ReturnCode><!-- 9 -->0<?x 9?>0")
    right(soap.call(question()))


def test_rows_are_the_repeated_element_and_none_is_no_row(soap: Adapter) -> None:
    block = {**BLOCK, "rows": "Report/Searches/Search"}
    target = compiled(block)
    assert target.gives == {"Date", "Lender", "Amount"}
    rows = soap.call(question(block=block)).records
    assert [(r["Date"], r["Lender"], r["Amount"]) for r in rows] == list(truth(FULL.national_id).searches)
    alone = next(c for c in everyone() if not truth(c.national_id).searches)
    assert soap.call(question(alone.national_id, block=block)).records == ()


def test_the_compiler_knows_what_is_used_and_given() -> None:
    target = compiled()
    assert target.uses == {"national_id", "born", "amount"}
    assert {"Result", "Result/Limit", "Report/Searches/Search"} <= target.gives


@pytest.mark.parametrize(
    "change, where, message",
    [
        ({"operation": "CreditCheck.asess"}, ("operation",), "no operation 'CreditCheck.asess'; did you mean 'CreditCheck.assess'?"),
        ({"send": {"Purpose": "CREDIT"}}, ("send",), "the request needs 'Subject/NationalId'"),
        ({"send": {"Subject/NationalID": "x", "Purpose": "y"}}, ("send", "Subject/NationalID"), "did you mean 'NationalId'?"),
        ({"send": {"Subject": "x", "Purpose": "y"}}, ("send", "Subject"), "holds elements, not a value: send Subject/NationalId"),
        ({"send": {"Subject/NationalId": "{a b}", "Purpose": "y"}}, ("send", "Subject/NationalId"), "a brace"),
        ({"echo": {"Result/NationalID": "x"}}, ("echo", "Result/NationalID"), "did you mean 'Result/NationalId'?"),
        ({"rows": "Report/Search"}, ("rows",), "did you mean"),
        (
            {"errors": {"e": {"when": {"Result/Code": "08"}, "status": 503}}},
            ("errors", "e", "when", "Result/Code"),
            "neither the answer nor",
        ),
    ],
)
def test_a_block_is_checked_against_the_wsdl(change: Mapping[str, Any], where: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadTarget) as met:
        compiled({**BLOCK, **change})
    assert any(fault.path == where and message in fault.message for fault in met.value.faults), met.value.faults


def folder(at: Path, wsdl: str, xsd: str = SCHEMA.read_text()) -> Path:
    (at / "wsdl").mkdir()
    (at / "wsdl" / "credit.wsdl").write_text(wsdl)
    (at / "wsdl" / "credit.xsd").write_text(xsd)
    return at


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:9/x.xsd", "https://x.invalid/x.xsd", "file:///etc/passwd", "/etc/passwd", "../x.xsd", "other.xsd"]
)
def test_a_wsdl_may_import_only_what_lies_beside_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "x.xsd").write_text(SCHEMA.read_text())
    with pytest.raises(BadTarget, match="put a copy there"):
        compiled(folder=folder(tmp_path, WSDL.read_text().replace("credit.xsd", place)))


def test_a_schema_may_include_only_what_lies_beside_it(tmp_path: Path) -> None:
    xsd = SCHEMA.read_text().replace(
        '<xs:simpleType name="NationalId">', '<xs:include schemaLocation="file:///etc/passwd"/><xs:simpleType name="NationalId">'
    )
    with pytest.raises(BadTarget):
        compiled(folder=folder(tmp_path, WSDL.read_text(), xsd))


@pytest.mark.parametrize("text", ["", "<html/>", '<!DOCTYPE x [<!ENTITY e "v">]>' + WSDL.read_text().partition("?>")[2]])
def test_what_is_not_a_plain_wsdl_is_said_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadTarget):
        compiled(folder=folder(tmp_path, text))


def test_schemas_inside_the_wsdl_judge_as_well(tmp_path: Path, bureau: Bureau, soap: Adapter) -> None:
    """Two inline schemas that import each other by namespace alone, one namespace in two pieces: as .NET writes them."""
    inner = (
        SCHEMA.read_text()
        .partition("-->")[2]
        .replace('elementFormDefault="qualified">', 'elementFormDefault="qualified" xmlns:b="urn:b"><xs:import namespace="urn:b"/>')
    )
    simple = '<xs:schema targetNamespace="urn:b"><xs:simpleType name="{}">{}</xs:simpleType></xs:schema>'
    letter = '<xs:restriction base="xs:string"><xs:maxLength value="1"/></xs:restriction>'
    grade, other = simple.format("Grade", letter), simple.format("Other", letter)
    head, _, rest = WSDL.read_text().partition("<wsdl:types>")
    wsdl = (
        head
        + "<wsdl:types>"
        + grade
        + inner.replace('name="RiskGrade" type="xs:string"', 'name="RiskGrade" type="b:Grade"')
        + other
        + "</wsdl:types>"
        + rest.partition("</wsdl:types>")[2]
    )
    target = compiled(folder=folder(tmp_path, wsdl))
    call = Call("credit.check", target, {"national_id": FULL.national_id}, time.monotonic() + 5)
    right(soap.call(call))
    bureau.twist = replaced(f"{truth(FULL.national_id).grade}</c:RiskGrade>", "XX</c:RiskGrade>")
    assert type(refused(soap, call)) is Misread


def test_soap_1_2_has_its_own_envelope_and_headers(tmp_path: Path) -> None:
    wsdl = WSDL.read_text().replace("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")
    operation = compiled(folder=folder(tmp_path, wsdl)).operation
    assert operation.soap == "http://www.w3.org/2003/05/soap-envelope"
    assert "action=" in operation.headers["Content-Type"]
