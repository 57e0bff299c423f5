"""From files to Operations: what is built, from which files, within which folder, and what editors are told."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.base import BadTarget
from adapters.errors import ErrorRule
from wrapper import catalogue
from wrapper.catalogue import strict_yaml
from wrapper.operation import Ask, Auth, Catalogue, Field, ObjectRule, Part, Quality, ReadRule

BASE = Path(__file__).parents[1] / "bad_catalogue" / "base"
DEMO = Path(__file__).parents[2] / "fixtures" / "catalogue"


@pytest.fixture(scope="module")
def loaded() -> Catalogue:
    return catalogue.load(BASE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASE, tmp_path / "catalogue"))


def faults(folder: Path) -> list[str]:
    return [str(fault) for fault in catalogue.check(folder)[0]]


def test_an_endpoint_file_becomes_an_operation(loaded: Catalogue) -> None:
    made = loaded.operations["accounts.list"]
    assert (made.method, made.path, made.shape, made.deadline) == ("GET", "/v1/customers/{customer_id}/accounts", "items", 8.0)
    assert made.auth == Auth("accounts:read", object={"customer_id": ObjectRule(claim="customer")})
    assert made.quality == Quality(0.0, ("account", "balance"))
    assert made.fields[1] == Field("kind", "string", one_of=("current", "savings", "loan"))
    assert made.fields[3] == Field("balance", "decimal", currency="GBP", scale=2)
    assert [(p.where, p.field.name, p.field.pattern) for p in made.params] == [("path", "customer_id", "[0-9]{10}")]
    assert (made.file, made.examples[1].line) == ("endpoints/accounts.list.yaml", 44)


def test_a_block_becomes_a_source(loaded: Catalogue) -> None:
    made = loaded.operations["accounts.list"]
    assert made.legacy is not None
    assert made.modern is not None
    assert (made.legacy.system, made.legacy.kind, made.modern.kind) == ("bank", "tn3270", "http")
    assert made.legacy.read["opened"] == ReadRule("opened", "yymmdd", none_when=("000000",), window=1950)
    assert made.legacy.read["kind"].values == {"CHK": "current", "SAV": "savings", "LN": "loan"}
    assert made.legacy.errors == (ErrorRule("not_found", {"message": "CUSTOMER NOT FOUND"}, 404),)
    credit = loaded.operations["credit.check"].legacy
    assert credit is not None
    assert credit.read["grade"] == ReadRule("Grade")
    assert credit.repeat == "never"


def test_a_drop_is_deferred_and_nested_fields_keep_their_order(loaded: Catalogue) -> None:
    made = loaded.operations["payments.create"]
    assert made.legacy is not None
    assert (made.legacy.deferred, made.legacy.expect_within) == (True, 21600.0)
    assert made.params[0].field.of == (Field("debtor", "string", pii="account_number"), Field("amount", "decimal", currency="GBP", scale=2))


def test_parts_come_after_those_that_they_need(folder: Path) -> None:
    file = folder / "endpoints" / "customers.risk.yaml"
    lines = file.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("  customer: "))
    file.write_text("".join([*lines[:at], *lines[at + 1 : at + 3], lines[at], *lines[at + 3 :]]))
    made = catalogue.load(folder).operations["customers.risk"].parts
    assert [part.name for part in made] == ["accounts", "customer", "bureau"]
    assert made[2] == Part("bureau", "credit.check", {"national_id": "{customer.national_id}"}, required=False)


def test_limits_of_numbers_are_exact(folder: Path) -> None:
    file = folder / "endpoints" / "payments.create.yaml"
    file.write_text(file.read_text().replace("currency: GBP}", "currency: JPY, minimum: 0.1}"))
    amount = catalogue.load(folder).operations["payments.create"].params[0].field.of[1]
    assert (amount.scale, amount.minimum) == (0, Decimal("0.1"))


def test_an_operation_changes_its_hash_with_the_files_that_it_uses_and_no_other(folder: Path) -> None:
    before = catalogue.load(folder)
    screen = folder / "screens" / "acctlist.yaml"
    screen.write_text(screen.read_text() + "# a word\n")
    after = catalogue.load(folder)
    changed = {name for name in before.operations if before.operations[name].hash != after.operations[name].hash}
    assert changed == {"accounts.list", "customers.move", "customers.risk"}  # two sign on through the same screens, one joins
    assert before.hash != after.hash
    assert after.hash == catalogue.load(folder).hash


def test_what_is_not_enforced_yet_is_noted(folder: Path) -> None:
    file = folder / "systems.yaml"
    hours = '    hours: {open: "07:00-21:30", timezone: Europe/London, cutover: "18:00"}\n'
    file.write_text(file.read_text().replace("    dsn: env:LEDGER_DSN\n", "    dsn: env:LEDGER_DSN\n" + hours))
    noted = [str(note) for note in catalogue.check(folder)[1]]
    assert [note for note in noted if "note: hours.cutover is checked, and not used by this version" in note]


def test_an_endpoint_that_nothing_takes_back_is_noted(folder: Path) -> None:
    file = folder / "endpoints" / "notes.change.yaml"
    file.write_text(file.read_text().replace("  roll_back_when: {errors_over: 1%, within: 5m, min_count: 20}\n", ""))
    noted = [str(note) for note in catalogue.check(folder)[1]]
    assert "endpoints/notes.change.yaml:17: note: nothing takes it back by itself when modern fails: say roll_back_when" in noted


def test_a_write_beside_cached_reads_that_invalidates_nothing_is_noted(folder: Path) -> None:
    def noted() -> list[str]:
        return [str(note) for note in catalogue.check(folder)[1] if "invalidates" in str(note)]

    told = "accounts.list of the same group may show what was before this write for a ttl: say `invalidates`"
    assert noted() == [f"endpoints/customers.move.yaml:1: note: {told}"]
    file = folder / "endpoints" / "customers.move.yaml"
    file.write_text(file.read_text().replace("effect: write", "effect: write\ninvalidates: [accounts.list]"))
    assert noted() == []
    assert catalogue.load(folder).operations["customers.move"].invalidates == ("accounts.list",)


def test_what_ask_leaves_out_is_told_by_the_names_of_what_is_asked(folder: Path) -> None:
    def ask() -> Ask | None:
        legacy = catalogue.load(folder).operations["customers.move"].legacy
        return legacy.ask if legacy else None

    assert ask() == Ask("customers.get", {"customer_id": "{customer_id}"}, {"line1": "{line1}"})
    file = folder / "endpoints" / "customers.move.yaml"
    file.write_text(file.read_text().replace("ask: customers.get", 'ask: {use: customers.get, shows: {line1: "X{line1}"}}'))
    assert ask() == Ask("customers.get", {"customer_id": "{customer_id}"}, {"line1": "X{line1}"})


def test_a_secret_is_in_no_message(folder: Path) -> None:
    file = folder / "systems.yaml"
    for broken in ("key: hunter2", "key: [hunter2]", "key: {hunter: hunter2}", "key: hunter2\n    user: env:hunter2"):
        file.write_text((BASE / "systems.yaml").read_text().replace("key: file:/run/secrets/drop_key", broken))
        assert faults(folder)
        assert "hunter2" not in "\n".join(faults(folder))


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "screens/../../secret", "screens\\menu.yaml", "link.yaml", "gone.yaml", "screens", ""]
)
def test_nothing_outside_the_folder_is_read(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("s")
    (folder / "link.yaml").symlink_to(folder.parent / "secret")
    files = catalogue.Folder(folder)
    for read in (files.path, files.text, files.yaml):
        with pytest.raises(BadTarget):
            read(name)
    assert files.names("..", "") == ()


def test_a_fifo_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "endpoints" / "x.yaml")
    assert faults(folder) == []


def test_a_folder_without_a_catalogue_is_told(tmp_path: Path) -> None:
    assert faults(tmp_path) == [
        "endpoints:1: there is no endpoint file: endpoints/*.yaml",
        "systems.yaml:1: there is no file 'systems.yaml'",
    ]


def test_a_copy_that_kept_its_name_is_told_beside_the_faults_of_both_files(folder: Path) -> None:
    text = (folder / "endpoints" / "customers.get.yaml").read_text()
    (folder / "endpoints" / "branches.get.yaml").write_text(text.replace("route: GET /v1/customers/", "route: GET /docs/customers/"))
    (folder / "endpoints" / "customers.get.yaml").write_text(text.replace("route: GET /v1/customers/", "route: GET /subjects/customers/"))
    assert [line for line in faults(folder) if "Figway's own" not in line] == [
        "endpoints/branches.get.yaml:1: the endpoint is called 'customers.get' and its file 'branches.get.yaml'; give both one name"
    ]
    assert [line.partition(":")[0] for line in faults(folder) if "Figway's own" in line] == [
        "endpoints/branches.get.yaml",
        "endpoints/customers.get.yaml",
    ]


def test_a_file_that_would_not_be_read_is_told(folder: Path) -> None:
    (folder / "endpoints" / "x.yml").write_text("")
    assert faults(folder) == ["endpoints/x.yml:1: endpoint files end in .yaml; this one would not be read"]


@pytest.mark.parametrize(
    "text", ["", "5", "[]", "{}", "a: 1", "endpoint: x\nrequest: 5\nresponse: []\nlegacy: x\nparts: {a: 1}\nlimits: null"]
)
def test_any_shape_is_told_and_never_a_stack_trace(folder: Path, text: str) -> None:
    for file in ("endpoints/credit.check.yaml", "systems.yaml", "screens/logon.yaml", "screens/menu.yaml"):
        shutil.copytree(BASE, folder, dirs_exist_ok=True)
        (folder / file).write_text(text)
        assert any(line.startswith(f"{file}:") for line in faults(folder)), file


def test_the_printed_schema_agrees_with_the_loader() -> None:
    schema = catalogue.json_schema()
    Draft202012Validator.check_schema(schema)
    for root in (BASE, DEMO):
        for file in [root / "systems.yaml", *(root / "endpoints").glob("*.yaml")]:
            value = strict_yaml.parse(file.read_bytes(), file.name).value
            assert [error.message for error in Draft202012Validator(schema).iter_errors(value)] == [], file


def test_the_printed_schema_never_blames_another_kind() -> None:
    value: Any = strict_yaml.parse((BASE / "endpoints" / "customers.get.yaml").read_bytes(), "").value
    value["legacy"]["pgae_by"] = "x"
    messages = [error.message for error in Draft202012Validator(catalogue.json_schema()).iter_errors(value)]
    assert messages
    assert all("pgae_by" in message and "screen' is" not in message for message in messages)
    assert "oneOf" not in str({name: part for name, part in catalogue.json_schema()["$defs"].items() if "." not in name})
