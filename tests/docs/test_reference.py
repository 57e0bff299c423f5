"""The catalogue reference, held against the schemas and the loader: every key is in it, its examples are a catalogue without faults."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters import template
from adapters.errors import Misconfigured
from adapters.tn3270.definition import KEYS, LOGON, SCREEN
from fixtures import customers, odbc
from scoring.features import FUNCTIONS
from tests import needs
from tests.adapters.odbc_asking import ask, door, statement
from tests.live import CATALOGUE, ROOT
from tests.postgres import cluster
from wrapper import catalogue, operation
from wrapper.catalogue import schema, strict_yaml

PAGE = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(?:# (\S+)\n)?(.*?)^```", PAGE, re.M | re.S)
CODE = set(re.findall(r"[A-Za-z0-9_/]+", " ".join(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", PAGE, flags=re.M | re.S)))))
GUARDED = "SELECT ENTNO AS entry FROM ENTRY WHERE CUSTNO = :customer_id AND (CAST(:since AS DATE) IS NULL OR BOOKDT >= :since)"


def keys(part: Any) -> Iterator[str]:
    """Every property name in a JSON Schema."""
    if isinstance(part, dict):
        yield from part.get("properties", ())
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for each in inner:
        yield from keys(each)


@pytest.mark.parametrize("told", [catalogue.json_schema(), SCREEN, LOGON], ids=["catalogue", "screen", "logon"])
def test_every_key_is_on_the_page(told: Any) -> None:
    assert set(keys(told)) - CODE == set()


def test_every_word_of_a_closed_list_is_on_the_page() -> None:
    words = {
        *schema.TYPES,
        *schema.MASKS,
        *operation.STAGES,
        *operation.POLICIES,
        *schema.CONVERTERS,
        *template.DATES,
        *FUNCTIONS,
        *(k for k in KEYS if len(k) > 4),
    }
    assert words - CODE == set()


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_is_strict_yaml_and_has_a_file(name: str, text: str) -> None:
    assert strict_yaml.parse(text.encode(), name).value
    assert name


def test_the_examples_are_a_catalogue_without_faults(tmp_path: Path) -> None:
    """In the demo's catalogue, of which they replace the files of the same names."""
    folder = Path(shutil.copytree(CATALOGUE, tmp_path / "catalogue"))
    for name, text in EXAMPLES:
        (folder / name).write_text(text, encoding="utf-8")
    faults, _ = catalogue.check(folder, ROOT / "fixtures" / "models")
    assert [str(fault) for fault in faults] == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", PAGE, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
    assert all((ROOT / "docs" / file).exists() for file in re.findall(r"\]\(([^#)]+)\)", PAGE))


def test_a_guarded_parameter_may_be_left_out_in_both_databases(tmp_path: Path) -> None:
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/*/libsqlite3odbc.so")
    customer, ledger = customers.by_id()["0000012345"], odbc.Ledger(tmp_path)
    entries = odbc.entries(customer)
    late = [entry.number for entry in entries if entry.booked >= date(2024, 3, 1)]
    with cluster() as running:
        odbc.load(running.psycopg, [customer])
        for dsn in (running.odbc(), ledger.start()):
            adapter = door(dsn)
            for day, wanted in ((None, len(entries)), (date(2024, 3, 1), len(late)), (None, len(entries))):
                target = statement(GUARDED, entry="integer")
                assert len(adapter.call(ask(target, customer_id=customer.id, since=day)).records) == wanted
            adapter.close()
        adapter = door(running.odbc())
        bare = statement(GUARDED.replace("CAST(:since AS DATE)", ":since"), entry="integer")
        with pytest.raises(Misconfigured):  # PostgreSQL does not know the type of a bare parameter
            adapter.call(ask(bare, customer_id=customer.id, since=None))
        adapter.close()
    ledger.stop()
