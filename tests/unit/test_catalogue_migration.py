"""The migration block: what is made of it, and what the endpoint's hash is of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from wrapper import catalogue
from wrapper.operation import Gates, Migration, Operation, RollBack

BASE = Path(__file__).parents[1] / "bad_catalogue" / "base"
ACCOUNTS, CREDIT, CUSTOMER = "accounts.list", "credit.check", "customers.get"
Change = Callable[..., Operation]


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Puts texts in the place of others (once each) and loads the endpoint."""
    folder = Path(shutil.copytree(BASE, tmp_path / "catalogue"))

    def change(name: str, *changes: tuple[str, str], file: str = "") -> Operation:
        path = folder / (file or f"endpoints/{name}.yaml")
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        path.write_text(text)
        return catalogue.load(folder).operations[name]

    return change


def terms(operation: Operation) -> Migration:
    assert operation.migration is not None
    return operation.migration


def test_a_migration_block_becomes_numbers(change: Change) -> None:
    made = terms(change(ACCOUNTS))
    assert (made.highest, made.key, made.automatic) == ("modern", "customer_id", False)
    assert made.gates == Gates(
        limit=0.001,
        confidence=0.95,
        period=35 * 86400.0,
        must_have_seen={"kind": ("current", "loan"), "status": ("404",), "pages": ("2",)},
    )
    assert made.roll_back == RollBack(within=300.0, min_count=200, errors=0.01, parity=0.995)
    assert (made.deprecated, made.sunset, made.successor) == (date(2026, 12, 1), date(2027, 6, 30), None)
    assert made.compare["order_by"] == "account"


def test_every_key_of_a_migration_block_arrives(change: Change) -> None:
    more = """
  promotion: automatic
  steps: [5%, 12.5%]
  freeze: ["2026-12-20T00:00Z/2027-01-05T00:00+01:00"]
  brown_outs: ["2027-05-01T09:00Z/2027-05-01T10:00:30Z"]
  successor: /v2/customers/{customer_id}
  promote_when: {unseen_at_most: 2%, errors_at_most: 0.5%, p95_ratio_at_most: 1.2, score_drift_at_most: 0.01, score_flips_at_most: 1%, """
    made = terms(
        change(
            ACCOUNTS,
            ("\n  promote_when: {", more),
            ("sample: 100%", "sample: 50%, sample_modern: 10%, self_sample: 2%, decision: 0.35"),
        )
    )
    assert (made.automatic, made.steps, made.successor) == (True, (Decimal("0.05"), Decimal("0.125")), "/v2/customers/{customer_id}")
    assert made.freezes == ((datetime(2026, 12, 20, tzinfo=UTC), datetime(2027, 1, 4, 23, tzinfo=UTC)),)
    assert made.brown_outs == ((datetime(2027, 5, 1, 9, tzinfo=UTC), datetime(2027, 5, 1, 10, 0, 30, tzinfo=UTC)),)
    assert (made.sample, made.sample_modern, made.self_sample, made.decision) == (0.5, 0.1, 0.02, 0.35)
    assert made.gates is not None
    gates = made.gates
    assert (gates.unseen, gates.errors, gates.p95_ratio, gates.score_drift, gates.score_flips) == (0.02, 0.005, 1.2, 0.01, 0.01)


def test_what_a_block_leaves_out_is_the_default_and_no_block_is_none(change: Change) -> None:
    assert change(CUSTOMER).migration is None
    made = terms(change(CREDIT, ("limits:", "migration: {highest_stage: legacy}\nlimits:")))
    assert made == Migration(highest="legacy", key="national_id")


@pytest.mark.parametrize(
    ("endpoint", "said", "key"),
    [
        ("customers.move", "", "customer_id"),  # bound to a claim
        ("customers.move", ", key: line1", "line1"),
        ("credit.check", "", "national_id"),  # alone in the path
        ("payments.create", "", ""),
    ],
)
def test_the_key_is_said_or_bound_or_alone_in_the_path(change: Change, endpoint: str, said: str, key: str) -> None:
    block = f"\nmigration: {{highest_stage: legacy{said}}}\nlimits:"
    assert terms(change(endpoint, ("\nlimits:", block))).key == key


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("parity_at_least: 99.9%", "parity_at_least: 99.95%", True),
        ("min_count: 200", "min_count: 100", True),
        ("sunset: 2027-06-30", "sunset: 2027-06-29", True),
        ("ignore: [items.opened], ", "", True),  # its rules are bound to evidence by themselves
        ("count: 31", "count: 30", True),
        ("sample: 100%", "sample: 100%, decision: 0.4", False),
        ("window: 1950", "window: 1951", False),
        ('path: "/customers', 'path: "/new/customers', False),
    ],
)
def test_evidence_outlives_a_gate_and_not_a_change_of_what_is_compared(change: Change, old: str, new: str, same: bool) -> None:
    before = change(ACCOUNTS).hash
    assert (change(ACCOUNTS, (old, new)).hash == before) == same


def test_only_the_systems_used_are_in_an_endpoints_hash(change: Change) -> None:
    bank, credit = change(ACCOUNTS).hash, change(CREDIT).hash
    moved = ("port: 992", "port: 993")
    assert change(ACCOUNTS, moved, file="systems.yaml").hash != bank
    assert change(CREDIT).hash == credit
