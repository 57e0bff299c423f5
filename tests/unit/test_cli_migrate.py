"""`figway migrate` as a person types it: what it prints, and what it refuses in which words."""

from __future__ import annotations

import getpass
import json
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit import moving
from wrapper.cli import figway
from wrapper.migrating import Office
from wrapper.migration.decide import Standing
from wrapper.migration.facts import Batch, Calls
from wrapper.migration.report import verify as verified
from wrapper.policy.keys import Caller
from wrapper.state.records import WriteId
from wrapper.state.store import Store


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The store and the catalogue of every command of the test."""
    url = f"sqlite:///{tmp_path}/state/state.sqlite"
    with closing(Store(url)) as store:
        made = moving.office(tmp_path, store)
        for name, value in (("STATE", url), ("CATALOGUE", str(tmp_path / "catalogue")), ("MODELS", str(tmp_path))):
            monkeypatch.setenv(f"FIGWAY_{name}", value)
        yield made


def run(*words: str) -> Result:
    ran = CliRunner().invoke(figway, ["migrate", *words])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    assert "Traceback" not in ran.output
    return ran


def seen(office: Office, **more: int) -> None:
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office, **more)


def test_an_endpoint_goes_from_legacy_to_a_canary_and_back(office: Office) -> None:
    assert run("promote", "things.get").output == "things.get: shadow (was legacy)\n"
    refused = run("promote", "things.get", "--share", "10%", "--ticket", "CHG-1")
    assert refused.exit_code == 1
    assert refused.output.startswith("figway: things.get can't go to canary 10% now\n  parity: 0 distinct keys")
    seen(office)
    ran = run("promote", "things.get", "--share", "10%", "--consumer", "ui=100%", "--ticket", "CHG-1", "--by", "alice")
    assert "things.get: canary 10%, ui=100% is proposed; until " in ran.output
    told = run("status", "things.get").output
    assert "\n  next: canary 10%, ui 100%; nothing is missing\n    met: parity: 100 distinct keys agree, 0 differ; at least 90%" in told
    assert "proposed by alice on CHG-1: no reason told; to be approved until " in told
    assert run("approve", "things.get", "--by", "alice").exit_code == 1
    assert run("approve", "things.get", "--by", "bob").output == "things.get: canary 10%, ui=100% (was shadow)\n"
    assert run("rollback", "things.get", "--why", "slow").output == "things.get: shadow (was canary 10%, ui=100%)\n"
    history = run("history", "things.get").output.splitlines()
    assert [line.split(" ", 3)[3] for line in history] == [
        f"shadow; {getpass.getuser()}; -; slow", "canary 10%, ui=100%; alice and bob; CHG-1; -", f"shadow; {getpass.getuser()}; -; -",
    ]  # fmt: skip


def test_a_report_is_written_verified_and_refused_when_it_was_changed(office: Office, tmp_path: Path) -> None:
    run("promote", "things.get")
    seen(office)
    run("promote", "things.get", "--share", "10%", "--ticket", "CHG-1", "--by", "alice")
    assert run("report", "things.get", "--number", "9").output == (
        "figway: things.get has no move 9 with an evidence report; moves past shadow have one\n"
    )
    run("approve", "things.get", "--by", "bob")
    page, file = tmp_path / "report.html", tmp_path / "report.json"
    assert run("report", "things.get", "--html", str(page), "--json", str(file)).exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert run("verify", str(file)).output.startswith(f"{file}: as it was signed, by the key ")
    key = run("public-key").output.strip()
    assert run("verify", str(file), "--key", key).output.startswith(f"{file}: as it was signed, by that key\n  endpoint: things.get\n")
    assert run("verify", str(file), "--key", "00" * 32).exit_code == 1
    assert "64 hexadecimal digits, as `figway migrate public-key`" in run("verify", str(file), "--key", "abcd").output
    assert run("report", "things.get").output.startswith("endpoint: things.get\nfrom: shadow\nto: canary 10%\nwho: alice\n")
    evidence = verified(file.read_text())["evidence"]
    assert str(evidence["comparisons"]["equal"]).isdigit()
    nowhere = run("report", "things.get", "--html", str(tmp_path / "no" / "report.html"))
    assert (nowhere.exit_code, nowhere.output) == (1, f"Error: {tmp_path}/no/report.html can't be written: No such file or directory\n")
    file.write_text(file.read_text().replace("alice", "carol"))
    assert run("verify", str(file)).exit_code == 1


def test_who_ends_an_endpoint_hears_until_when_it_was_promised_and_who_calls(office: Office) -> None:
    office.store.move(["things.get"], Standing("modern"), "alice", "")
    batch, day = Batch(), f"{datetime.now(UTC):%Y-%m-%d}"
    batch.consumers["things.get", "ui", "modern", day] = Calls(829, 1.0, 1.0, 2.0)
    batch.consumers["things.get", "batch", "legacy", day] = Calls(1281, 1.0, 1.0, 2.0)
    office.store.record(batch)
    seen(office)
    ask = ("promote", "things.get", "--to", "retired", "--ticket", "CHG-1", "--by", "alice")
    assert "say why" in run(*ask).output
    told = run(*ask, "--why", "it has a successor").output
    assert "  things.get: its file names no sunset\n  things.get: called in the last 30 days by batch (1,281), ui (829)\n" in told
    assert run("withdraw", "things.get", "--by", "bob").output == "things.get: nothing is proposed any more; withdrawn by bob\n"
    run(*ask, "--why", "it has a successor")
    run("approve", "things.get", "--by", "bob")
    assert run("rollback", "things.get", "--why", "too early").output.startswith("things.get: modern (was retired)\n")


def test_status_says_what_stands_beyond_its_file(office: Office) -> None:
    office.store.move(["things.put", "things.drop"], Standing("retired"), "alice", "")
    assert "  it stands beyond its file's highest_stage, modern\n" in run("status", "things.put").output


def test_status_says_in_words_what_is_missing_and_as_json(office: Office) -> None:
    run("promote", "things.get", "--by", "alice", "--why", "let us see")
    seen(office, clean=3)
    told = run("status").output
    assert "things.get: shadow (its file allows up to retired) since " in told
    assert " by alice: let us see\n  next: canary 1%; 1 missing\n    parity: 3 distinct keys agree, 0 differ; " in told
    assert "things.put: legacy (its file allows up to modern)" in told
    assert "things.old" not in told
    [mine] = json.loads(run("status", "things.get", "--json").stdout)["endpoints"]
    assert [gate["name"] for gate in mine["gates"] if not gate["met"]] == ["parity"]


def test_a_kill_needs_no_catalogue_and_where_the_store_is_away_no_store(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("promote", "things.get")
    assert run("kill", "--why", "fire").exit_code == 2  # what?
    assert run("kill", "--all").exit_code == 2  # why?
    monkeypatch.setenv("FIGWAY_CATALOGUE", str(tmp_path / "nowhere"))
    assert run("kill", "--all", "--why", "fire").output == "things.get: legacy (was shadow)\n"
    file = tmp_path / "state" / "legacy-only"
    assert not file.exists()
    (tmp_path / "state" / "state.sqlite").rename(tmp_path / "gone")
    ran = run("kill", "--all", "--why", "fire", "--by", "bob")
    assert ran.exit_code == 0
    assert f"* held at legacy by {file}" in ran.stdout
    assert "this host only" in ran.stderr
    assert not (tmp_path / "state" / "state.sqlite").exists()
    taken = run("unkill", "--all")
    assert taken.stdout == "*: not held here any more\n"
    assert taken.stderr.startswith("  they are where they stood: ")
    assert not file.exists()
    lost = run("kill", "--all", "--why", "fire", "--state", f"sqlite:///{tmp_path}/nowhere/state.sqlite")
    assert lost.exit_code == 1  # a file in a folder where nobody looks would be no kill
    assert "write * there by hand, on every host" in lost.output


def test_a_kill_by_file_on_purpose_is_shown_and_taken_back(office: Office) -> None:
    run("kill", "things.put", "--local", "--why", "to see it", "--by", "bob")
    told = run("status").output
    assert "things.put is held at legacy on this host by " in told
    assert "bob: to see it" in told
    assert "    this host's kill file holds it at legacy: `figway migrate unkill` first" in told
    assert run("unkill", "things.get").exit_code == 1
    office.store.move(["things.put", "things.drop"], Standing("canary", Decimal("0.1")), "bob", "")
    assert run("unkill", "things.put").output == "things.put: not held here any more; still held: things.drop\n  things.put: canary 10%\n"


def test_with_a_catalogue_that_has_faults_a_kill_takes_the_name_as_it_is(office: Office, tmp_path: Path) -> None:
    run("promote", "things.get")
    file = tmp_path / "catalogue" / "endpoints" / "things.old.yaml"
    file.write_text(file.read_text().replace("owner: us", "owner: [us]"))
    refused = run("rollback", "things.get", "--why", "fire")
    assert refused.exit_code == 1
    assert "`figway migrate kill` needs no catalogue" in refused.output
    assert "things.old.yaml" in refused.output
    assert "never moved" in run("kill", "things.gte", "--why", "fire").output
    killed = run("kill", "things.get", "--why", "fire")
    assert killed.stdout == "things.get: legacy (was shadow)\n"
    assert "the catalogue has faults: endpoints/things.old.yaml" in killed.stderr
    assert (
        "this endpoint alone, as it was typed, and no other write of its group; `figway migrate kill --all` needs no catalogue"
        in killed.stderr
    )
    assert run("kill", "things.get", "--local", "--why", "fire").exit_code == 0


def test_a_line_of_the_kill_file_that_names_no_endpoint_is_told(office: Office) -> None:
    (office.store.folder / "legacy-only").write_text("things.gte  # oh\nthings.put and more\n")
    told = run("status").output
    assert "line 'things.gte' holds nothing: there is no such endpoint; did you mean 'things.get'?" in told
    assert "things.gte is held" not in told
    assert "things.put is held at legacy on this host by " in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["promote", "nobody.knows"], "there is no endpoint nobody.knows"),
        (["promote", "things.get", "--consumer", "ui"], "--consumer must be like claims-ui=100%"),
        (["promote", "things.get", "--consumer", "ui=1%", "--consumer", "ui=2%"], "each name once"),
        (["promote", "things.get", "--share", "10"], "must be like 10%"),
        (["promote", "things.get", "--to", "legacy"], "is not one of"),
        (["approve", "things.get"], "no proposal that waits"),
        (["withdraw", "things.get"], "no proposal that waits"),
        (["rollback", "things.get", "--why", "x"], "it stands at legacy"),
        (["kill", "nobody.knows", "--why", "x"], "there is no endpoint nobody.knows"),
        (["samples", "things.old"], "does not migrate"),
        (["report", "things.get"], "no move with an evidence report"),
        (["sweep", "things.get", "--keys", "/nowhere"], "No such file"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused_in_a_line(office: Office, words: list[str], said: str) -> None:
    ran = run(*words)
    assert ran.exit_code in (1, 2)
    assert said in ran.output
    assert office.store.moves() == []


def test_who_still_calls_and_the_burndown_are_shown(office: Office, tmp_path: Path) -> None:
    assert "nobody has called yet" in run("callers").output
    assert run("callers", "things.get", "--json").output == "[]\n"
    assert run("burndown").output.startswith("Burndown as of ")
    assert {each["endpoint"] for each in json.loads(run("burndown", "--json").output)["blocked"]} == {
        "things.drop",
        "things.get",
        "things.old",
        "things.put",
    }
    page = tmp_path / "burndown.html"
    run("burndown", "--html", str(page))
    assert page.read_text().startswith("<!doctype html>")


def test_reconcile_says_who_sent_a_write_under_which_key(office: Office) -> None:
    write = WriteId("ui", "things.put", "k1", "owner")
    office.store.reserve(write, {"id": "1"}, 60)
    office.store.add_leg(write, "things", "1", "legacy", "owed", {"id": "1"})
    assert "legacy lacks it; sent by ui under the key k1; " in run("reconcile").output
    [item] = json.loads(run("reconcile", "--json").output)["items"]
    assert (item["caller"], item["key"]) == ("ui", "k1")


def test_samples_and_the_rules_that_would_accept_them_are_shown(office: Office) -> None:
    assert run("samples", "things.get").stderr == "no difference was met since the evidence began\n"
    assert run("rules", "things.get").output == "# nothing that looks like noise was met\n"
    shown = {"where": "object.at", "control": "A", "candidate": "B", "rule": "compare: {tolerance: {object.at: 5s}}"}
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office, samples={"value object.at clock": shown})
    lines = run("samples", "things.get").output.splitlines()
    assert lines[0] == "value object.at clock: 1 time"
    assert lines[1].endswith('object.at: "A" against "B"; accepted by compare: {tolerance: {object.at: 5s}}')
    assert "\ncompare: {tolerance: {object.at: 5s}}\n" in run("rules", "things.get").output


def test_a_sweep_that_can_not_reach_the_facade_leaves_no_key(office: Office, tmp_path: Path) -> None:
    office.store.issue(Caller("ui"))
    (tmp_path / "keys").write_text("1\n2\n")
    assert run("sweep", "things.get", "--keys", str(tmp_path / "keys"), "--url", "ftp://x").exit_code == 1
    assert run("sweep", "things.get", "--keys", str(tmp_path / "keys"), "--window", "22-05-07").exit_code == 1
    assert "things.put can't be compared" in run("sweep", "things.put", "--keys", str(tmp_path / "keys")).output
    for text, said in ((b"\xff1\n", "is not UTF-8"), (b"\xef\xbb\xbf\n", "has no keys")):
        (tmp_path / "keys").write_bytes(text)
        assert said in run("sweep", "things.get", "--keys", str(tmp_path / "keys")).output
    assert [row.caller.name for row in office.store.all_keys() if not row.revoked] == ["ui"]
