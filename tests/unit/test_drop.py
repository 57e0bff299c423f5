"""File drops without a server: what is written, what a half-done publication means, and what is refused when a block is compiled."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from adapters.base import BadTarget
from adapters.errors import Misconfigured, OutcomeUnknown, Refused
from adapters.registry import target
from adapters.sftp.drop import Names, must_rename, must_trigger, ready
from tests.adapters.drops import Folder, block, compiled

ID = "ABCDEFGH0001"
PAYMENT = {"debtor": "000100010001", "creditor": "000123450001", "amount": Decimal("12.50"), "due": date(2026, 12, 1)}


def test_a_drop_is_records_and_a_trailer_to_the_byte() -> None:
    drop = compiled("payments.create").drop
    data = drop.encode(ID, {"payments": [PAYMENT, {**PAYMENT, "amount": Decimal("-0.01")}]})
    first, second, trailer = (data[at : at + 80] for at in (0, 80, 160))
    assert first[:42].decode("cp037") == f"P{ID}00001000100010001000123450001"
    assert (first[42:49].hex(), second[42:49].hex()) == ("0000000001250c", "0000000000001d")
    assert second[49:].decode("cp037") == "20261201" + " " * 23
    assert struct.unpack(">13si8s55s", trailer) == (
        f"T{ID}".encode("cp037"), 2, bytes.fromhex("000000000001249c"), b"\x40" * 55,
    )  # fmt: skip
    assert len(data) == 240


def test_no_payments_are_a_trailer_alone() -> None:
    assert len(compiled("payments.create").drop.encode(ID, {"payments": []})) == 80


def test_files_are_named_by_the_batch_and_nothing_else() -> None:
    drop = compiled("payments.create").drop
    data = f"/pay/in/PAY.{ID}.DAT"
    assert drop.names(ID) == Names(data, f"{data}.tmp", f"{data}.OK", f"{data}.OK.tmp")
    for bad in ("../../../x/y", "ABCDEFGH000", "abcdefgh0001", f"{ID}\n", ""):
        with pytest.raises(Misconfigured):
            drop.names(bad)


@pytest.mark.parametrize(("item", "error"), [
    ({"amount": Decimal("1.001")}, Refused),
    ({"debtor": "€"}, Refused),
    ({"due": "2026-12-01"}, Misconfigured),  # the request's type is not the map's
    ({"amount": None}, Refused),
])  # fmt: skip
def test_values_that_do_not_fit_are_refused_before_anything_is_sent(item: Mapping[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        compiled("payments.create").drop.encode(ID, {"payments": [{**PAYMENT, **item}]})


def test_a_map_that_names_what_an_item_does_not_have_is_our_fault_not_a_blank() -> None:
    with pytest.raises(Misconfigured):
        compiled("payments.create").drop.encode(ID, {"payments": [{k: v for k, v in PAYMENT.items() if k != "creditor"}]})


@pytest.mark.parametrize(("staged", "size", "verdict"), [
    (True, None, True), (False, 80, False), (False, 79, None), (False, None, None), (True, 80, None),
])  # fmt: skip
def test_found_at_renaming(staged: bool, size: int | None, verdict: bool | None) -> None:
    if verdict is None:
        with pytest.raises(OutcomeUnknown):
            must_rename(staged=staged, size=size, expected=80)
    else:
        assert must_rename(staged=staged, size=size, expected=80) is verdict


@pytest.mark.parametrize(("staged", "done", "data", "verdict"), [
    (True, False, True, True), (False, False, True, False), (False, True, True, False), (False, False, False, False),
    (True, True, True, False), (True, False, False, None),
])  # fmt: skip
def test_found_at_triggering(staged: bool, done: bool, data: bool, verdict: bool | None) -> None:
    if verdict is None:
        with pytest.raises(OutcomeUnknown):
            must_trigger(staged=staged, done=done, data=data)
    else:
        assert must_trigger(staged=staged, done=done, data=data) is verdict


def test_a_reply_is_ready_with_its_done_file() -> None:
    assert ready(frozenset({"A.RSP", "A.RSP.OK"}), "A.RSP", ".OK")
    assert not ready(frozenset({"A.RSP"}), "A.RSP", ".OK")
    assert not ready(frozenset({"A.RSP.OK"}), "A.RSP", ".OK")


def test_targets_tell_the_loader_what_they_use_and_give() -> None:
    drop, lookup = compiled("payments.create"), compiled("applications.get")
    assert (drop.uses, drop.drop.item_uses, drop.deferred) == ({"payments"}, set(PAYMENT), True)
    assert drop.gives == {"RSP-BATCH-ID", "RSP-SEQUENCE", "RSP-STATUS", "RSP-REASON", "RSP-AMT"}
    assert (lookup.uses, lookup.deferred) == ({"customer_id"}, False)
    assert "CUST-AGE" in lookup.gives


def test_a_drop_without_a_list_is_one_record_of_the_request() -> None:
    made = block("payments.create")
    made["drop"] |= {
        "trailer": {"copybook": "copybooks/PAYTRL.cpy", "map": {"TRL-BATCH-ID": "{batch_id}", "TRL-COUNT": "1", "TRL-SUM": "{amount}"}}
    }
    del made["drop"]["each"]
    one = target("sftp").compile(made, {}, Folder())
    assert one.uses == set(PAYMENT)
    assert len(one.drop.encode(ID, PAYMENT)) == 160  # type: ignore[attr-defined]


def test_a_numeric_field_may_be_blank_where_its_read_rule_says_so() -> None:
    made = block("applications.get")
    made["read"]["price"] = {"raw": "CUST-PRICE", "none_when": ["SPACES"]}
    codec = target("sftp").compile(made, {}, Folder()).codec  # type: ignore[attr-defined]
    blank = codec.encode({"CUST-NO": 1, "CUST-SENIORITY": 1, "CUST-HOME": "", "CUST-TIME": 1, "CUST-AGE": 1, "CUST-MARITAL": "",
                          "CUST-JOB": "", "CUST-AMOUNT": 1, "CUST-PRICE": None})  # fmt: skip
    assert codec.decode(blank)["CUST-PRICE"] is None


FAULTS: list[tuple[str, tuple[str, ...], Any, str]] = [
    ("payments.create", ("drop", "map", "PAY-AMNT"), "{amount}", "no field 'PAY-AMNT'; did you mean 'PAY-AMT'?"),
    ("payments.create", ("drop", "map", "PAY-DUE"), "{due:yyyymmd}", "'yyyymmd' in {due:yyyymmd} is not a date layout"),
    ("payments.create", ("drop", "map", "PAY-DUE"), "tomorrow", "PAY-DUE: expected a number"),
    ("payments.create", ("drop", "map", "PAY-SEQUENCE"), "{batch_id}", "PAY-SEQUENCE: expected a number"),
    ("payments.create", ("drop", "trailer", "map", "TRL-COUNT"), "count(paymnts)", "'paymnts' is not the list of this drop's trailer"),
    ("payments.create", ("drop", "trailer", "map", "TRL-BATCH-ID"), "count(payments)", "TRL-BATCH-ID is a text and can't hold a total"),
    ("payments.create", ("drop", "trailer", "copybook"), "copybooks/PAYRSP.cpy", "all 80 bytes long, this one is 40"),
    ("payments.create", ("drop", "codepage"), "cp0037", "'cp0037' is not a code page; did you mean 'cp037'?"),
    ("payments.create", ("drop", "path"), "/pay/in/PAY.DAT", "expected {batch_id} in the file name"),
    ("payments.create", ("drop", "path"), "/pay/{batch_id}/PAY.{batch_id}.DAT", "expected {batch_id} in the file name"),
    ("payments.create", ("drop", "path"), "/pay/in/{debtor}.{batch_id}", "nothing else that varies"),
    ("payments.create", ("reply", "echo", "RSP-BATCH"), "{batch_id}", "did you mean 'RSP-BATCH-ID'?"),
    ("payments.create", ("reply", "echo", "RSP-BATCH-ID"), "{debtor}", "only {batch_id} is known"),
    ("payments.create", ("errors", "duplicate", "when", "RSP-STATE"), "D", "did you mean 'RSP-STATUS'?"),
    ("payments.create", ("extract",), {}, "either `drop` with `reply`, or `extract`"),
    ("applications.get", ("extract", "key"), {"CUST-NUMBER": "{customer_id}"}, "no field 'CUST-NUMBER'; did you mean 'CUST-"),
    ("applications.get", ("extract", "key"), {"CUST-AGE": "{customer_id}"}, "a key is a text or an unsigned zoned number"),
    ("applications.get", ("extract", "path"), "/extract/{customer_id}", "has no parameters"),
    ("applications.get", ("extract", "header", "as_of"), "HDR-DATE", "no field 'HDR-DATE'"),
    ("applications.get", ("extract", "trailer", "copybook"), "copybooks/PAYRSP.cpy", "all 80 bytes long, this one is 40"),
]


@pytest.mark.parametrize(("endpoint", "place", "value", "words"), FAULTS, ids=[f"{'.'.join(p)}={v}" for _, p, v, _ in FAULTS])
def test_a_block_with_a_fault_is_refused_with_its_place(endpoint: str, place: tuple[str, ...], value: Any, words: str) -> None:
    made = block(endpoint)
    inner = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    if words.startswith("all 80") and endpoint == "applications.get":
        inner["count"] = "RSP-SEQUENCE"
    with pytest.raises(BadTarget) as met:
        target("sftp").compile(made, {}, Folder())
    told = [fault for fault in met.value.faults if words in fault.message]
    assert told, [fault.message for fault in met.value.faults]
    assert place[: len(told[0].path)] == told[0].path[: len(place)]


def test_a_field_without_a_value_and_a_copybook_with_a_fault_are_told() -> None:
    made = block("payments.create")
    del made["drop"]["map"]["PAY-DUE"]
    with pytest.raises(BadTarget, match="PAY-DUE has no value: map it, or give it a VALUE in the copybook"):
        target("sftp").compile(made, {}, Folder())

    class Broken(Folder):
        def text(self, name: str) -> str:
            return super().text(name).replace("COMP-3", "COMP-1")

    with pytest.raises(BadTarget) as met:
        target("sftp").compile(block("payments.create"), {}, Broken())
    assert [(fault.file, fault.path, fault.message) for fault in met.value.faults] == [
        ("copybooks/PAYREC.cpy", (10,), "COMP-1 is not supported"),
        ("copybooks/PAYTRL.cpy", (8,), "COMP-1 is not supported"),
    ]
