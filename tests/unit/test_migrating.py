"""What people may do to an endpoint's stage, and what is refused in which words."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.unit import moving
from tests.unit.planted import FIELDS, answer, compared, noisy, told
from tests.unit.stores import on_sqlite
from wrapper import kill_file, killing, migrating, overview, promotion
from wrapper.killing import Named
from wrapper.migrating import Office, Said, wish
from wrapper.migration.compare import Verdict, compare
from wrapper.migration.counted import kind_of
from wrapper.migration.decide import Standing
from wrapper.migration.facts import Batch, Epoch, Sample
from wrapper.migration.rules import rules
from wrapper.migration.shown import shown
from wrapper.problems import Invalid, NoSuchThing, NotPossible
from wrapper.state.records import WriteId
from wrapper.state.store import Store

ALICE, BOB = "alice", "bob"
TICKET = Said(ALICE, "CHG-1", "it is time")
WRITE = WriteId("ui", "things.put", "k1", "owner")
NOW = 1_800_000_000.0


@pytest.fixture
def office(tmp_path: Path, opened_store: Store) -> Office:
    return moving.office(tmp_path, opened_store, lambda: NOW)


@pytest.fixture
def opened_store(tmp_path: Path):  # type: ignore[no-untyped-def]
    store = on_sqlite(tmp_path / "state").open()
    yield store
    store.close()


def shadowed(office: Office, **seen: int) -> None:
    """things.get in shadow, with evidence."""
    migrating.promote(office, "things.get", wish(), Said(ALICE))
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office, **seen)


def stage(office: Office, name: str = "things.get") -> Standing:
    return promotion.standing(office.store.standings()[1], office.catalogue.operations[name])


def test_one_person_takes_a_read_to_shadow_at_once(office: Office) -> None:
    done = migrating.promote(office, "things.get", wish(), Said(ALICE, why="let us see"))
    assert (done["moved"], done["stage"], done["from"]) == (["things.get"], "shadow", {"stage": "legacy"})
    [move] = overview.history(office, "things.get")["moves"]
    assert (move["who"], move["why"], move["number"]) == (ALICE, "let us see", 1)


def test_past_shadow_a_move_waits_for_another_person_and_has_a_signed_report(office: Office) -> None:
    shadowed(office)
    proposed = migrating.promote(office, "things.get", wish(share="10%", consumers={"ui": "100%"}), TICKET)
    assert proposed["proposed"]["share"] == "10%"
    assert stage(office).stage == "shadow"
    with pytest.raises(NotPossible, match="another person"):
        migrating.approve(office, "things.get", "Alice")
    done = migrating.approve(office, "things.get", BOB)
    assert stage(office) == Standing("canary", Decimal("0.1"), {"ui": Decimal(1)})
    assert (done["who"], done["second"], done["ticket"]) == (ALICE, BOB, "CHG-1")
    assert '"things.get"' in overview.report(office, "things.get")
    with pytest.raises(NoSuchThing, match="no proposal"):
        migrating.approve(office, "things.get", BOB)


def test_all_that_stands_in_the_way_is_said_at_once_and_again_at_the_approval(office: Office) -> None:
    migrating.promote(office, "things.get", wish(), Said(ALICE))
    with pytest.raises(NotPossible) as refused:
        migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    assert [e["reason"].partition(":")[0] for e in refused.value.errors] == ["parity", "unseen", "period"]
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office)
    migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office, clean=0, differing=90)
    with pytest.raises(NotPossible, match="90 differ"):
        migrating.approve(office, "things.get", BOB)
    assert stage(office).stage == "shadow"


def test_a_proposal_ends_after_a_day_or_when_it_is_withdrawn(office: Office) -> None:
    shadowed(office)
    migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    tomorrow = Office(office.catalogue, office.store, lambda: NOW + migrating.OPEN_FOR)
    with pytest.raises(NoSuchThing, match="24 hours"):
        migrating.approve(tomorrow, "things.get", BOB)
    migrating.withdraw(office, "things.get", Said(BOB))
    with pytest.raises(NoSuchThing):
        migrating.approve(office, "things.get", BOB)
    with pytest.raises(NoSuchThing):
        migrating.withdraw(office, "things.get", Said(BOB))


def test_a_proposal_is_not_replaced_under_the_eyes_of_who_looks_at_it(office: Office) -> None:
    shadowed(office)
    migrating.promote(office, "things.get", wish(share="1%"), TICKET)
    for who in (ALICE, BOB):
        with pytest.raises(NotPossible, match=r"canary 1% on CHG-1 by alice: approve it, or `figway migrate withdraw things.get`"):
            migrating.promote(office, "things.get", wish(share="100%"), Said(who, "CHG-1"))
    migrating.withdraw(office, "things.get", Said(BOB))
    migrating.promote(office, "things.get", wish(share="100%"), TICKET)


def test_nothing_moves_on_in_a_freeze(tmp_path: Path, opened_store: Store) -> None:
    frozen = moving.office(tmp_path, opened_store, lambda: 1_924_000_000.0)  # 2030-12-20
    shadowed(frozen)
    with pytest.raises(NotPossible, match="freeze"):
        migrating.promote(frozen, "things.get", wish(share="10%"), TICKET)


@pytest.mark.parametrize(
    ("name", "wanted", "said", "error", "words"),
    [
        ("nobody.knows", wish(), TICKET, NoSuchThing, "there is no endpoint"),
        ("things.old", wish(), TICKET, NoSuchThing, "does not migrate"),
        ("things.get", wish(share="10%"), Said(ALICE), Invalid, "ticket"),
        ("things.get", wish("modern", share="10%"), TICKET, Invalid, "a canary"),
        ("things.get", wish("shadow"), TICKET, NotPossible, "it stands at shadow already"),
        ("things.get", wish("legacy"), TICKET, NotPossible, "rollback"),
        ("things.get", wish("modern"), TICKET, NotPossible, "one stage at a time"),
        ("things.put", wish("shadow"), TICKET, NotPossible, "never shadowed"),
        ("things.put", wish("retired"), TICKET, NotPossible, "highest_stage is modern"),
    ],
)  # fmt: skip
def test_a_promotion_that_can_not_be_is_refused_in_words(
    office: Office, name: str, wanted: migrating.Wish, said: Said, error: type[Exception], words: str
) -> None:
    shadowed(office)
    with pytest.raises(error, match=words):
        migrating.promote(office, name, wanted, said)
    assert [move["stage"] for move in overview.history(office)["moves"]] == ["shadow"]


@pytest.mark.parametrize("share", ["10", "101%", "-1%", "0.001%", "1e1%", "ten", ""])
def test_a_share_is_in_percent_and_to_a_hundredth(share: str) -> None:
    for make in (lambda: wish(share=share), lambda: wish(consumers={"ui": share})):
        with pytest.raises(Invalid, match="like 10%"):
            make()


@pytest.mark.parametrize(
    ("who", "ticket", "why"), [("", "", ""), ("a b", "", ""), ("a", "x y", ""), ("a", "", "two\nlines"), ("a", "", "x" * 501)]
)
def test_what_is_kept_of_a_person_is_one_line(who: str, ticket: str, why: str) -> None:
    with pytest.raises(Invalid):
        Said(who, ticket, why)


def test_one_person_takes_traffic_back_at_once_and_says_why(office: Office) -> None:
    shadowed(office)
    migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    migrating.approve(office, "things.get", BOB)
    with pytest.raises(Invalid, match="say why"):
        migrating.rollback(office, "things.get", None, Said(ALICE))
    migrating.rollback(office, "things.get", None, Said(ALICE, why="callers complain"))
    assert stage(office).stage == "shadow"
    with pytest.raises(NotPossible, match="it stands at shadow"):
        migrating.rollback(office, "things.get", "shadow", Said(ALICE, why="again"))
    migrating.rollback(office, "things.get", "legacy", Said(ALICE, why="all the way"))
    assert stage(office).stage == "legacy"


def test_a_kill_takes_all_that_is_not_on_legacy_and_their_proposals(office: Office) -> None:
    shadowed(office)
    migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    done = killing.kill(office.store, office.store.folder, Named(), Said(BOB, why="fire"))
    assert (done["killed"], done["by"]) == (["things.get"], "store")
    assert done["notes"] == ["things.get: the proposal of alice (canary 10%) is dropped"]
    assert stage(office).stage == "legacy"
    assert office.store.proposals() == []
    assert overview.history(office)["moves"][0]["why"] == "killed: fire"
    assert killing.kill(office.store, office.store.folder, Named(), Said(BOB, why="fire"))["killed"] == []


def test_who_goes_back_hears_how_many_writes_stay_at_modern(office: Office) -> None:
    office.store.move(["things.put", "things.drop"], Standing("canary"), ALICE, "")
    owe(office)
    stays = "1 write on modern alone or unknown: such records are still answered by modern, see `figway migrate reconcile things`"
    assert migrating.rollback(office, "things.put", None, Said(ALICE, why="slow"), "CHG-9")["notes"][-1] == stays
    killed = killing.kill(office.store, office.store.folder, killing.named(office.catalogue, "things.put"), Said(BOB, why="fire"))
    assert killed["notes"] == [stays]
    assert promotion.still_modern(office.store, "others") == []


def test_a_write_is_killed_with_all_writes_of_its_group(office: Office) -> None:
    assert sorted(migrating.with_others(office.catalogue, "things.put")) == ["things.drop", "things.put"]
    assert migrating.with_others(office.catalogue, "things.get") == ["things.get"]


def test_where_the_store_is_away_the_kill_is_a_file_until_it_is_taken_back(tmp_path: Path) -> None:
    said = Said(BOB, why="fire # 2")
    done = killing.kill(None, tmp_path, Named(["things.get"]), said)
    assert (done["by"], done["killed"]) == ("file", ["things.get"])
    assert "this host only" in done["notes"][0]
    killing.kill(None, tmp_path, Named(), said)
    held = kill_file.read(tmp_path)
    assert list(held) == ["things.get", "*"]
    assert "bob: fire # 2" in held["*"]
    assert kill_file.holds(held, "any.endpoint")
    with pytest.raises(NoSuchThing, match=r"things.put .*holds things.get, \*"):
        killing.unkill(tmp_path, ["things.put"])
    assert killing.unkill(tmp_path, ["*"])["held"] == ["things.get"]
    assert not kill_file.holds(kill_file.read(tmp_path), "any.endpoint")
    killing.unkill(tmp_path, [])
    assert not (tmp_path / kill_file.NAME).exists()
    with pytest.raises(NoSuchThing, match="holds nothing"):
        killing.unkill(tmp_path, [])


def test_a_kill_file_that_can_not_be_read_holds_everything(tmp_path: Path) -> None:
    (tmp_path / kill_file.NAME).mkdir()
    assert kill_file.holds(kill_file.read(tmp_path), "things.get")


def test_what_the_kill_file_holds_is_not_promoted(office: Office) -> None:
    shadowed(office)
    kill_file.write(office.store.folder, {"things.get": "me"})
    with pytest.raises(NotPossible, match="kill file"):
        migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    migrating.rollback(office, "things.get", "legacy", Said(ALICE, why="it is held anyway"))
    with pytest.raises(NotPossible, match="kill file"):
        migrating.promote(office, "things.get", wish(), TICKET)


def test_status_says_what_is_missing_and_who_did_what(office: Office) -> None:
    shadowed(office, clean=3)
    told = {each["endpoint"]: each for each in overview.status(office)["endpoints"]}
    assert set(told) == {"things.get", "things.put", "things.drop"}
    mine = told["things.get"]
    assert (mine["stage"], mine["next"], mine["who"]) == ("shadow", "canary 1%", ALICE)
    assert any("3 distinct keys agree" in line for line in mine["missing"])


def test_rules_are_proposed_for_what_looks_like_noise_alone(office: Office) -> None:
    clock = {"where": "object.at", "control": "A", "candidate": "B", "rule": "compare: {tolerance: {object.at: 5s}}"}
    samples = {
        "value object.at clock": clock,
        "value object.word": {"where": "object.word", "control": "AAA", "candidate": "AA", "rule": None},
    }
    migrating.promote(office, "things.get", wish(), Said(ALICE))
    moving.evidence(f"sqlite:///{office.store.folder}/state.sqlite", office, samples=samples)
    told = overview.proposed_rules(office, "things.get")
    assert told["compare"] == "compare: {tolerance: {object.at: 5s}}"
    assert list(told["for"]) == ["value object.at clock"]
    assert [kind["kind"] for kind in overview.samples(office, "things.get")["kinds"]] == ["value object.at clock", "value object.word"]


def owe(office: Office) -> str:
    """A write that modern has and legacy has not; its reference."""
    office.store.reserve(WRITE, {"id": "1"}, 60)
    office.store.add_leg(WRITE, "things", office.store.subject("things", "1"), "legacy", "owed", {"id": "1"})
    [item] = overview.reconcile(office, "things")["items"]
    return str(item["reference"])


def test_nothing_goes_back_while_legacy_lacks_a_write_unless_the_loss_is_accepted_on_a_ticket(office: Office) -> None:
    shadowed(office)
    migrating.promote(office, "things.get", wish(share="10%"), TICKET)
    migrating.approve(office, "things.get", BOB)
    owe(office)
    with pytest.raises(NotPossible, match=r"1 write is .* `figway migrate reconcile things`"):
        migrating.rollback(office, "things.get", None, Said(ALICE, why="slow"))
    assert stage(office).stage == "canary"
    migrating.rollback(office, "things.get", None, Said(ALICE, why="slow"), "CHG-9")
    [last, *_] = overview.history(office, "things.get")["moves"]
    assert (last["stage"], last["ticket"]) == ("shadow", "CHG-9")
    assert last["why"].startswith("slow (accepted: 1 write is ")


def test_what_one_side_lacks_is_listed_and_settled_by_a_person_with_a_reason(office: Office) -> None:
    reference = owe(office)
    with pytest.raises(NoSuchThing, match="there are things"):
        overview.reconcile(office, "nobody")
    with pytest.raises(Invalid, match="say why"):
        migrating.settle(office, reference, Said(ALICE))
    with pytest.raises(NotPossible, match="under way"):
        migrating.settle(office, reference, Said(ALICE, why="done by hand"))
    office.store.settle(WRITE, {})
    assert migrating.write_owed(office, "things", ALICE)["writes"] == 1
    migrating.settle(office, reference, Said(ALICE, why="done by hand"))
    assert overview.reconcile(office)["items"] == []
    with pytest.raises(NoSuchThing):
        migrating.retry(office, "nothing", ALICE)


def test_after_the_rules_that_the_tool_proposes_the_ten_noises_are_none(office: Office) -> None:
    operation = office.catalogue.operations["things.get"]
    assert operation.migration is not None
    epoch = Epoch(operation.name, "1", operation.hash, str(rules(operation.migration.compare)))
    met = compared(answer(), noisy(answer())).differences
    office.store.record(Batch(samples=[Sample(epoch, kind_of(each), shown(each, "items", FIELDS)) for each in met]))
    proposed = overview.proposed_rules(office, "things.get")
    assert proposed["new"]
    accepted = rules(yaml.safe_load(proposed["compare"])["compare"])
    assert compare(told(answer()), told(noisy(answer())), FIELDS, accepted) == Verdict("equal")
