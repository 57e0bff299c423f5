"""What each endpoint of the demo estate must answer, told from the fixtures' own data: no line of the facade's code in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fixtures import odbc, soap
from fixtures.customers import Customer
from fixtures.host3270.records import Records

KINDS = {"CHK": "current", "SAV": "savings", "LN": "loan"}
ENTRY_KINDS = {"SAL": "salary", "RENT": "rent", "CARD": "card", "CASH": "cash", "FEE": "fee", "DD": "direct_debit"}


@dataclass(frozen=True, slots=True)
class Question:
    """One read: its path for a customer and the data that the answer must have; `records` is the host's present state."""

    name: str
    system: str
    path: Callable[[Customer], str]
    data: Callable[[Customer, Records], Any]


def _money(value: Any) -> str | None:
    return None if value is None else f"{value:.2f}"


def _customer(who: Customer, records: Records) -> Any:
    record = records.find(who.id)
    assert record is not None
    return {
        "customer_id": who.id, "name": who.name, "national_id": who.national_id, "line1": record.address.line1,
        "town": record.address.town, "postcode": record.address.postcode, "since": who.since.isoformat(),
        "assets": _money(who.assets), "debt": _money(who.debt),
    }  # fmt: skip


def _accounts(who: Customer, _: Records) -> Any:
    return [
        {"account": a.number, "kind": KINDS[a.kind], "opened": a.opened and a.opened.isoformat(), "balance": _money(a.balance)}
        for a in who.accounts
    ]


def _credit(who: Customer, _: Records) -> Any:
    known = soap.truth(who.national_id)
    searches = [{"date": day.isoformat(), "lender": lender, "amount": _money(amount)} for day, lender, amount in known.searches]
    return {
        "reference": known.reference, "grade": known.grade, "records": who.records, "limit": _money(known.limit),
        "checked_at": known.checked_at.isoformat(), "searches": searches,
    }  # fmt: skip


def _income(who: Customer, _: Records) -> Any:
    known = odbc.income(who)
    updated = None if known.updated == odbc.UNKNOWN else known.updated.isoformat()
    return {"income": _money(known.income), "expenses": _money(known.expenses), "updated": updated}


def _entries(who: Customer, _: Records) -> Any:
    return [
        {"entry": e.number, "booked": e.booked.isoformat(), "amount": _money(e.amount), "kind": ENTRY_KINDS[e.kind], "text": e.text}
        for e in odbc.entries(who)
    ]


def _application(who: Customer, _: Records) -> Any:
    return {
        "seniority": who.seniority, "home": who.home, "time": who.time, "age": who.age, "marital": who.marital, "job": who.job,
        "amount": _money(who.amount), "price": _money(who.price),
    }  # fmt: skip


QUESTIONS: Mapping[str, Question] = {
    q.name: q
    for q in (
        Question("customers.get", "corebank", lambda c: f"/v1/customers/{c.id}", _customer),
        Question("accounts.list", "corebank", lambda c: f"/v1/customers/{c.id}/accounts", _accounts),
        Question("credit.check", "bureau", lambda c: f"/v1/credit/{c.national_id}", _credit),
        Question("income.summary", "ledger", lambda c: f"/v1/customers/{c.id}/income", _income),
        Question("ledger.entries", "ledger", lambda c: f"/v1/customers/{c.id}/entries", _entries),
        Question("applications.get", "drop", lambda c: f"/v1/customers/{c.id}/application", _application),
        Question("lost.http", "lost-http", lambda c: f"/v1/lost.http/direct/{c.id}/accounts", _accounts),
        Question("lost.host", "lost-host", lambda c: f"/v1/lost.host/customers/{c.id}", _customer),
        Question("lost.drop", "lost-drop", lambda c: f"/v1/lost.drop/customers/{c.id}/application", _application),
        Question("accounts.direct", "accounts-api", lambda c: f"/v1/direct/{c.id}/accounts", _accounts),
    )
}
"""`accounts.direct` and the lost ones are what `tests/chaos/extra.py` adds to the demo's endpoints."""
