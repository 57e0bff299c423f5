"""The `figway` command as a person types it: what it prints, what it refuses and in which words."""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey

from tests.live import CATALOGUE, ROOT
from tests.unit.trails import records
from wrapper.cli import figway
from wrapper.policy.keys import authenticate
from wrapper.state.kept import CLASSES
from wrapper.state.records import WriteId
from wrapper.state.store import Store

AT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of its own for every command of the test."""
    for name in ("FIGWAY_CATALOGUE", "FIGWAY_MODELS", "FIGWAY_BIND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIGWAY_STATE", f"sqlite:///{tmp_path}/state/state.sqlite")
    return f"{tmp_path}/state/state.sqlite"


def run(*words: str) -> Result:
    ran = CliRunner().invoke(figway, words)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    assert "Traceback" not in ran.output
    return ran


def test_a_key_is_printed_once_and_is_the_caller_that_was_asked_for(state: str) -> None:
    ran = run("key", "new", "ui.1", "--scope", "a:read", "--scope", "b:read", "--purpose", "servicing", "--claim", "c=1", "--claim", "c=2")
    made = ran.output.strip()
    with closing(Store(f"sqlite:///{state}")) as store:
        caller = authenticate(made, store, 0.0).caller
    assert caller.name == "ui.1"
    assert (set(caller.scopes), set(caller.purposes)) == ({"a:read", "b:read"}, {"servicing"})
    assert caller.claims == {"c": {"1", "2"}}
    listed = run("key", "list").output
    assert re.fullmatch(rf"[0-9a-f]{{12}} ui\.1 +active +{AT} {AT} a:read b:read for:servicing c=1,2\n", listed)
    assert made not in listed


def test_a_new_key_holds_for_a_year_and_one_for_good_says_so(state: str) -> None:
    run("key", "new", "ui", "--role", "viewer", "--tenant", "retail-uk")
    run("key", "new", "batch", "--days", "0")
    with closing(Store(f"sqlite:///{state}")) as store:
        ui, batch = store.all_keys()
    assert ui.expires is not None
    assert abs(ui.expires - ui.created - 365 * 86400) < 60
    assert (ui.caller.scopes, ui.caller.principal) == ({"role:viewer"}, "retail-uk/ui")
    assert batch.expires is None
    assert run("key", "list").output.endswith(" for good\n")


def test_a_rotated_key_has_the_same_rights_and_the_old_one_ends_after_the_overlap(state: str) -> None:
    run("key", "new", "ui", "--scope", "a:read", "--claim", "c=1", "--days", "30")
    made = run("key", "rotate", "ui", "--overlap", "2h").output.strip()
    with closing(Store(f"sqlite:///{state}")) as store:
        old, new = store.all_keys()
        assert authenticate(made, store, 0.0).caller == old.caller
    assert old.expires is not None
    assert new.expires is not None
    assert abs(old.expires - new.created - 7200) < 60
    assert abs(new.expires - new.created - 30 * 86400) < 60
    assert made not in run("key", "list").output


def test_a_key_that_can_not_be_rotated_says_why(state: str) -> None:
    run("key", "new", "ui", "--scope", "a:read")
    run("key", "new", "ui", "--scope", "b:read")
    assert "different rights" in run("key", "rotate", "ui").output
    assert "no key that holds" in run("key", "rotate", "nobody").output
    run("key", "revoke", "ui")
    assert "no key that holds" in run("key", "rotate", "ui").output
    assert run("key", "rotate", "ui", "--overlap", "0h").exit_code == 2


@pytest.mark.parametrize(
    "words", [("key", "new", "figway"), ("client", "add", "leg", "--public", "--redirect", "https://a.example/"), ("person", "add", "leg")]
)
def test_nobody_is_called_what_figway_calls_itself(state: str, words: tuple[str, ...]) -> None:
    made = CliRunner().invoke(figway, words, input="correct horse battery staple\n")
    assert (made.exit_code, "Figway's own" in made.output) == (2, True)


def test_a_key_is_revoked_by_name(state: str) -> None:
    run("key", "new", "ui")
    assert run("key", "revoke", "ui").output == "1 revoked\n"
    assert "revoked" in run("key", "list").output
    again = run("key", "revoke", "nobody")
    assert (again.exit_code, again.output) == (1, "0 revoked\n")


def test_what_a_command_changes_is_on_the_audit_trail_with_who_typed_it(state: str, tmp_path: Path) -> None:
    (jwk := tmp_path / "jwk").write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=False)))
    given = [
        ("key", "new", "ui", "--claim", "customer=0000012345"), ("key", "rotate", "ui"), ("key", "revoke", "ui"),
        ("client", "add", "batch", "--jwk", str(jwk), "--scope", "a:read"), ("client", "remove", "batch"), ("client", "remove", "batch"),
        ("person", "add", "ann"), ("person", "remove", "ann"), ("issuer", "rotate"), ("state", "rotate-key"),
    ]  # fmt: skip
    for words in given:
        CliRunner().invoke(figway, words, input="correct horse battery staple\n")
    found = [record for record in records(Path(state).with_name("audit")) if record["kind"] in ("act", "done")]
    assert {record["who"] for record in found} == {pwd.getpwuid(os.getuid()).pw_name}
    for kind in ("act", "done"):
        assert sorted(record["what"] for record in found if record["kind"] == kind) == sorted(" ".join(words[:2]) for words in given)
    assert sorted(record["outcome"] for record in found if record["kind"] == "done") == ["ClickException", *["ok"] * 9]
    assert {record["what"]: record["may"] for record in found if "may" in record} == {"key new": "customer", "client add": "a:read"}
    assert not re.search("correct horse|12345", str(found))


@pytest.mark.parametrize(
    "words",
    [
        [""], [" "], ["a b"], ["a\nb"], ["a\n"], ["x" * 65], ["-\x1b[31m"], ["ü"],
        ["ui", "--scope", "x y"], ["ui", "--scope", ""], ["ui", "--scope", "read"], ["ui", "--scope", "a:read\n"],
        ["ui", "--tenant", "a/b"], ["ui", "--role", "god"], ["a:b"], ["a/b"],
        ["ui", "--purpose", "a b"], ["ui", "--purpose", ""],
        ["ui", "--claim", "=5"], ["ui", "--claim", "customer="], ["ui", "--claim", "customer"], ["ui", "--claim", "customer= 5"],
        ["ui", "--claim", "customer=5\n"],
    ],
)  # fmt: skip
def test_what_no_catalogue_can_ask_for_is_no_key(state: str, words: list[str]) -> None:
    ran = run("key", "new", "--", *words) if words[0].startswith("-") else run("key", "new", *words)
    assert ran.exit_code == 2
    assert re.search(r"must be like|Invalid value", ran.output)
    assert run("key", "list").exit_code == 1  # nor is a store made


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite:///", "/tmp/x", "postgres://user:secret@host/db"])
def test_a_store_that_is_no_file_is_refused_in_a_line(state: str, url: str) -> None:
    ran = run("key", "list", "--state", url)
    assert ran.exit_code == 1
    assert re.fullmatch(r"figway: state must be sqlite:///PATH, .*\n", ran.output)
    assert "secret" not in ran.output


@pytest.mark.parametrize(
    "words",
    [["key", "list"], ["key", "revoke", "ui"], ["jobs", "list"], ["lease", "list"], ["writes", "list"], ["state", "backup", "/nowhere/f"]],
)
def test_who_asks_a_store_that_is_not_there_is_told_and_makes_none(state: str, words: list[str]) -> None:
    ran = run(*words)
    assert (ran.exit_code, ran.output) == (1, f"figway: {state}: there is no state store; restore a backup or name another store\n")
    assert not Path(state).parent.exists()


def test_an_empty_list_is_said_and_is_no_line_of_it(state: str) -> None:
    run("key", "new", "ui")
    for group, none in (("jobs", "no jobs"), ("lease", "no leases"), ("quota", "no limits in use"), ("writes", "no unknown writes")):
        ran = run(group, "list")
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", f"{none}\n")


def test_the_key_lies_where_the_setting_says_and_both_files_are_their_owners_alone(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "keys" / "state.key"
    monkeypatch.setenv("FIGWAY_STATE_KEY", str(key))
    run("key", "new", "ui")
    assert {path.stat().st_mode & 0o777 for path in (key, Path(state))} == {0o600}
    assert not Path(f"{state}.key").exists()
    backup, after = f"{tmp_path}/backup", f"sqlite:///{tmp_path}/after/state.sqlite"
    assert run("state", "backup", backup).exit_code == 0
    assert run("state", "restore", backup, "--state", after).exit_code == 0
    assert " ui " in run("key", "list", "--state", after).output
    monkeypatch.delenv("FIGWAY_STATE_KEY")
    assert "state.sqlite.key is missing" in run("key", "list").output


def test_a_locked_store_is_told_in_a_line(state: str) -> None:
    run("key", "new", "ui")
    with closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ran = run("key", "new", "more")
    assert ran.exit_code == 1
    assert re.fullmatch(r"figway: .*store.*\n", ran.output)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"A" * 43 + b"="])
def test_the_wrong_seal_key_is_told_in_a_line(state: str, content: bytes) -> None:
    with closing(Store(f"sqlite:///{state}")) as store:
        write = WriteId("ui", "x", "1")
        store.reserve(write, {"n": 1}, 60)
        store.add_job(write, "ABC", {"n": 1}, "trace", 60)
    Path(f"{state}.key").write_bytes(content)
    ran = run("jobs", "list")
    assert ran.exit_code == 1
    assert re.fullmatch(r"figway: .*key.*\n", ran.output)


def test_what_is_past_its_time_is_counted_or_dropped_without_a_reason(state: str) -> None:
    assert run("key", "new", "ui").exit_code == 0
    counted = run("state", "purge", "--dry-run", "--catalogue", str(CATALOGUE))
    assert [line.split(" from ")[0] for line in counted.output.splitlines()] == [f"{kind}: 0 rows" for kind in CLASSES]
    assert run("state", "purge", "--catalogue", str(CATALOGUE)).exit_code == 0


def test_a_catalogue_is_checked_and_listed(state: str, tmp_path: Path) -> None:
    assert run("check", str(CATALOGUE)).output.endswith("endpoints, no faults\n")
    (risk,) = [
        line for line in run("routes", "--catalogue", str(CATALOGUE)).output.splitlines() if "/v1/customers/{customer_id}/risk" in line
    ]
    assert risk.endswith(" risk:read for:credit-risk customer_id=claim:customer")
    (tmp_path / "endpoints").mkdir()
    (tmp_path / "systems.yaml").write_text("systems: []\n")
    ran = run("check", str(tmp_path))
    assert ran.exit_code == 1
    assert re.search(rf"^{tmp_path}/systems\.yaml:1: ", ran.output, re.M)
    assert re.search(r"^\d+ faults?$", ran.output, re.M)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody.knows"], "there is no endpoint nobody.knows"),
        (["customers.get", "customer_id=1", "customer_id=2"], "'customer_id' is given twice"),
        (["customers.get", "customer_id=1", "customer_id:=2"], "'customer_id' is given twice"),
        (["customers.get", "customer_id"], "is not name=value"),
        (["payments.create", "payments:=[{"], "is not JSON"),
        (["customers.get", "customer_id=12AB"], "expected text that matches"),
    ],
)
def test_a_call_that_can_not_be_meant_asks_nothing(state: str, words: list[str], said: str) -> None:
    ran = run("call", *words, "--catalogue", str(CATALOGUE))
    assert ran.exit_code in (1, 2)
    assert said in ran.output


def test_no_catalogue_is_one_line(state: str) -> None:
    ran = run("serve")
    assert (ran.exit_code, ran.output) == (1, "figway: no catalogue: give --catalogue DIR or set FIGWAY_CATALOGUE\n")


def test_who_starts_it_without_standard_streams_finds_them_nowhere_else(tmp_path: Path) -> None:
    """A log line that goes to descriptor 2 must not go to a connection, or to a file, that was opened later."""
    seen = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)))"
    script = "import subprocess, sys; from wrapper.cli import occupy_standard_streams as s; s(); subprocess.run(sys.argv[1:])"
    words = [sys.executable, "-c", script, sys.executable, "-c", seen, str(tmp_path / "told")]
    subprocess.run(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], cwd=ROOT, timeout=20)
    assert (tmp_path / "told").read_text() == "/dev/null /dev/null /dev/null"
