"""The demo's own payment batch: it must be strict, or the facade's drops prove nothing. Its EBCDIC is checked against the codec's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.codec import copybook, layout
from adapters.codec.record import RecordCodec, compile_record
from fixtures import extract
from fixtures.batch import Batch
from fixtures.customers import everyone
from tests.adapters.drops import CATALOGUE, CREDITOR, DEBTOR, DUE, compiled

ID = "ABCDEFGH0001"


def codec(name: str) -> RecordCodec:
    return compile_record(layout.lay_out(copybook.parse((CATALOGUE / "copybooks" / f"{name}.cpy").read_text())), "cp037")


def payments(*amounts: str, debtor: str = DEBTOR, id: str = ID) -> bytes:
    items = [{"debtor": debtor, "creditor": CREDITOR, "amount": Decimal(amount), "due": DUE} for amount in amounts]
    data: bytes = compiled("payments.create").drop.encode(id, {"payments": items})
    return data


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def drop(root: Path, data: bytes, name: str = f"PAY.{ID}.DAT") -> None:
    (root / "pay" / "in" / name).write_bytes(data)
    (root / "pay" / "in" / f"{name}.OK").touch()


def reply(root: Path, id: str = ID) -> list[tuple[int, str, str, Decimal]]:
    data = (root / "pay" / "out" / f"PAY.{id}.RSP").read_bytes()
    assert (root / "pay" / "out" / f"PAY.{id}.RSP.OK").exists()
    lines = [codec("PAYRSP").decode(data, 1, at) for at in range(0, len(data), 40)]
    return [(line["RSP-SEQUENCE"], line["RSP-STATUS"], line["RSP-REASON"], line["RSP-AMT"]) for line in lines]


def test_each_payment_is_made_or_rejected_by_itself(batch: Batch, tmp_path: Path) -> None:
    drop(tmp_path, payments("1.50", "0.00", "-2.00"))
    batch.run()
    assert reply(tmp_path) == [
        (1, "A", "", Decimal("1.50")), (2, "R", "AMNT", Decimal("0.00")), (3, "R", "AMNT", Decimal("-2.00")),
    ]  # fmt: skip
    assert [(p.sequence, p.debtor, p.amount, p.due) for p in batch.journal.payments] == [(1, DEBTOR, Decimal("1.50"), "20261201")]


def test_an_account_that_is_none_or_a_loan_can_not_pay(batch: Batch, tmp_path: Path) -> None:
    loan = next(account.number for customer in everyone() for account in customer.accounts if account.kind == "LN")
    for n, debtor in enumerate(("999999999999", loan)):
        id = f"ABCDEFGH000{n}"
        drop(tmp_path, payments("1.50", debtor=debtor, id=id), f"PAY.{id}.DAT")
        batch.run()
        assert reply(tmp_path, id) == [(1, "R", "ACCT", Decimal("1.50"))]


def test_a_file_is_taken_only_with_its_trigger_and_a_batch_once(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "pay" / "in" / f"PAY.{ID}.DAT").write_bytes(payments("1.50"))
    batch.run()
    assert batch.journal.batches == []
    drop(tmp_path, payments("1.50"))
    batch.run()
    drop(tmp_path, payments("1.50"), "PAY.OTHERNAME.DAT")
    batch.run()
    assert batch.journal.batches == [(ID, "processed"), (ID, "duplicate")]
    assert len(batch.journal.payments) == 1


@pytest.mark.parametrize("data", [
    payments("1.50", "2.50")[80:],  # the first payment is missing
    payments("1.50", "2.50")[:160],  # the trailer is
    payments("1.50")[:-1],
    payments("1.50")[:80] + payments("2.50")[80:],  # the sum is another
    payments("1.50").replace(b"\x15\x0c", b"\x1a\x0c"),  # a nibble that is no digit
    payments("1.50", id="OTHERBATCH01")[:80] + payments("1.50")[80:],
], ids=["short", "no trailer", "cut", "sum", "nibble", "mixed"])  # fmt: skip
def test_a_file_out_of_balance_is_refused_as_a_whole(batch: Batch, tmp_path: Path, data: bytes) -> None:
    drop(tmp_path, data)
    batch.run()
    ((id, outcome),) = batch.journal.batches
    assert (outcome, batch.journal.payments) == ("refused", [])
    assert [line[:2] for line in reply(tmp_path, id)] == [(0, "B")]


def test_it_watches_until_it_is_stopped_and_not_while_it_is_held(batch: Batch, tmp_path: Path) -> None:
    batch.held.set()
    batch.start()
    drop(tmp_path, payments("1.50"))
    batch.stop()
    assert batch.journal.batches == []


def test_the_extract_is_the_copybooks(tmp_path: Path) -> None:
    data = extract.write(tmp_path, date(2026, 11, 23)).read_bytes()
    assert len(data) == 80 * 4456
    assert codec("CUSTHDR").decode(data) == {"HDR-TYPE": "H", "HDR-FILE": "CUSTMAST", "HDR-BUSINESS-DATE": 20261123}
    assert codec("CUSTTRL").decode(data, 1, len(data) - 80) == {"TRL-TYPE": "T", "TRL-COUNT": 4454}
    master = codec("CUSTMAST")
    for n, customer in enumerate(everyone(), 1):
        line = data[80 * n : 80 * (n + 1)]
        values = master.decode(line)
        assert (values["CUST-NO"], values["CUST-JOB"], values["CUST-AMOUNT"]) == (int(customer.id), customer.job or "", customer.amount)
        assert master.encode(values) == line
