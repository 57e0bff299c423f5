"""The SOAP adapter against the demo bureau: right values, true errors, one search per question, and nothing read but the pinned WSDL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Adapter, BadTarget
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
from fixtures.customers import everyone
from fixtures.soap import DISPUTED, Bureau, truth
from tests.adapters.bureau import BLOCK, CODE, FULL, compiled, opened, question, refused, replaced, right
from tests.adapters.conformance import Conformance, Rig


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


LIMIT = f">{truth(FULL.national_id).limit}</c:Limit>"


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
        pytest.param("</soap:Envelope>", "<soap:Body><x/></soap:Body></soap:Envelope>", id="two bodies"),
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


def test_a_valid_element_that_is_not_the_answer_is_a_misread(bureau: Bureau, soap: Adapter) -> None:
    """Without an echo nothing else would notice."""
    block = {key: value for key, value in BLOCK.items() if key != "echo"}
    bureau.twist = lambda xml: re.sub(
        b"<soap:Body>.*</soap:Body>",
        b'<soap:Body><c:SubjectNotFoundFault xmlns:c="urn:example:bureau:credit:1"><c:code>1</c:code></c:SubjectNotFoundFault></soap:Body>',
        xml,
    )
    assert "is not assessResponse" in refused(soap, question(block=block)).detail


def test_somebody_elses_refusal_is_a_misread_too(bureau: Bureau, soap: Adapter) -> None:
    bureau.disputed.add(FULL.national_id)
    bureau.twist = replaced(FULL.national_id, "AB100001A")
    assert type(refused(soap, question())) is Misread


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
