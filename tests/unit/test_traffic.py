"""Which side a request goes to: where its endpoint stands, for testers, after writes that one side lacks, and with the store away."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Unavailable
from tests.unit.small import ALICE, Scripted, fail, join, moving, operation, request
from tests.unit.small import service as made_service
from tests.unit.stores import Place
from tests.waiting import until
from wrapper.kill_file import NAME
from wrapper.migration.decide import Standing
from wrapper.operation import Auth, Caching, Field, Migration, Operation, Part
from wrapper.problems import Forbidden, Gone, NotReady
from wrapper.service import Service
from wrapper.standings import Standings
from wrapper.state.records import WriteId
from wrapper.state.store import Store
from wrapper.traffic import TESTER

QUIET = Migration(sample=0.0, sample_modern=0.0, self_sample=0.0)
TEST = replace(ALICE, scopes=ALICE.scopes | {TESTER})


def side(service: Service, op: Operation, id: str = "7", **asked: Any) -> str:
    return str(service.serve(op, request(id, **asked)).body["meta"]["sources"][0]["side"])


def two_sides(folder: Path, *operations: Operation) -> tuple[Service, Store]:
    return made_service(folder, Scripted(), *operations, modern=Scripted(name="modern"))


def test_a_move_of_another_process_reaches_this_one_within_a_second(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, _ = two_sides(tmp_path, op)
    assert side(service, op) == "legacy"
    with closing(Store(f"sqlite:///{tmp_path}/state.sqlite")) as other:
        other.move(["things.get"], Standing("modern"), "alice", "test")
        began = time.monotonic()
        until(lambda: side(service, op) == "modern", 1)
        other.move(["things.get"], Standing("legacy"), "alice", "test")
        until(lambda: side(service, op) == "legacy", 1)
    assert time.monotonic() - began < 2


def test_a_canary_sends_its_share_of_keys_and_its_consumers(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = two_sides(tmp_path, op)
    store.move(["things.get"], Standing("canary", Decimal("0.3"), {"bob": Decimal(1), "carol": Decimal(0)}), "alice", "test")
    modern = sum(side(service, op, str(n)) == "modern" for n in range(400))
    assert 80 < modern < 160
    assert {side(service, op, str(n), caller=replace(ALICE, name="bob")) for n in range(9)} == {"modern"}
    assert {side(service, op, str(n), caller=replace(ALICE, name="carol")) for n in range(9)} == {"legacy"}


def test_a_tester_has_the_side_of_their_choice_and_nobody_else(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = two_sides(tmp_path, op)
    store.move(["things.get"], Standing("shadow"), "alice", "test")
    assert side(service, op, caller=TEST, wanted="modern") == "modern"
    with pytest.raises(Forbidden, match="migration:test"):
        side(service, op, wanted="modern")
    service.ledger.flush()
    assert store.recent("things.get", 0) == {}
    assert store.consumers() == []


def test_headers_say_stage_and_side_when_they_are_asked_for(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = two_sides(tmp_path, op)
    store.move(["things.get"], Standing("modern"), "alice", "test")
    asked = replace(request("7"), explained=True)
    assert service.serve(op, asked).headers == {"Figway-Stage": "modern", "Figway-Served-By": "modern"}
    assert service.serve(op, request("7")).headers == {}


def test_the_parts_of_a_join_go_where_each_of_them_stands(tmp_path: Path) -> None:
    read, other = moving(terms=QUIET), operation("others.get")
    parts = [Part("one", "things.get", {"id": "{id}"}), Part("two", "others.get", {"id": "{id}"})]
    joined = join(parts, [Field("id", "string")])
    service, store = two_sides(tmp_path, read, other, joined)
    store.move(["things.get"], Standing("modern"), "alice", "test")
    sources = service.serve(joined, request("7")).body["meta"]["sources"]
    assert {source["part"]: source["system"] for source in sources} == {"one": "modern", "two": "scripted"}


def test_calls_are_counted_by_consumer_and_side(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = two_sides(tmp_path, op)
    store.move(["things.get"], Standing("modern"), "alice", "test")
    for n in range(3):
        side(service, op, str(n))
    service.ledger.flush()
    (row,) = store.consumers("things.get")
    assert (row.consumer, row.side, row.calls) == ("alice", "modern", 3)
    assert store.recent("things.get", 0) == {"served:modern": 3}


def test_a_fault_of_ours_at_the_modern_side_counts_as_its_failure(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = made_service(tmp_path, Scripted(), op, modern=Scripted(fail(RuntimeError("a bug")), name="modern"))
    store.move(["things.get"], Standing("modern"), "alice", "test")
    with pytest.raises(RuntimeError):
        side(service, op)
    service.ledger.flush()
    assert store.recent("things.get", 0) == {"served:modern": 1, "failed:modern": 1}


def test_what_was_kept_is_no_success_of_modern_and_stale_rows_are_its_failure(tmp_path: Path) -> None:
    op = moving(terms=QUIET, cache=Caching(0.2, stale_if_down=60))
    modern = Scripted(name="modern")
    service, store = made_service(tmp_path, Scripted(), op, modern=modern)
    store.move(["things.get"], Standing("modern"), "alice", "test")
    for _ in range(5):
        side(service, op)
    modern.answer = fail(Unavailable("down"))
    until(lambda: bool(service.serve(op, request("7")).body["meta"]["sources"][0].get("stale")), 5)
    service.ledger.flush()
    assert store.recent("things.get", 0) == {"served:modern": 2, "failed:modern": 1}
    assert sum(row.calls for row in store.consumers()) > 5


WRITTEN = replace(QUIET, writes="dual")


def written(folder: Path, modern_stage: str = "legacy") -> tuple[Service, Store, Operation]:
    """A group with a read and a write that goes to both sides, and a write that `modern` lacks for key 7."""
    read, write = moving(terms=QUIET), moving("things.put", WRITTEN, effect="write", method="PUT", auth=Auth("things:write"))
    service, store = two_sides(folder, read, write)
    store.move(["things.get"], Standing(modern_stage), "alice", "test")  # type: ignore[arg-type]
    return service, store, read


def lack(store: Store, side: str) -> None:
    id = WriteId("alice", "things.put", f"k-{side}")
    store.reserve(id, {}, 30)
    store.add_leg(id, "things", "7", side, "pending", {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "stage, lacking, answers", [("modern", "modern", "legacy"), ("legacy", "legacy", "modern"), ("legacy", "modern", "legacy")]
)
def test_reads_follow_the_writes_of_their_key(tmp_path: Path, stage: str, lacking: str, answers: str) -> None:
    service, store, read = written(tmp_path, stage)
    lack(store, lacking)
    assert side(service, read) == answers
    assert side(service, read, "8") == stage


@pytest.mark.parametrize("moved", [False, True])
def test_while_the_store_is_away_reads_go_on_unless_a_write_may_be_on_one_side_only(tmp_path: Path, moved: bool) -> None:
    read, write = moving(terms=QUIET), moving("things.put", WRITTEN, effect="write", method="PUT", auth=Auth("things:write"))
    service, store = two_sides(tmp_path, read, write)
    if moved:
        store.move(["things.get"], Standing("shadow"), "alice", "test")
    assert side(service, read) == "legacy"
    store.close()
    (tmp_path / "state.sqlite").rename(tmp_path / "aside")
    if moved:
        with pytest.raises(NotReady):
            side(service, read)
    else:
        assert side(service, read) == "legacy"
    (tmp_path / "aside").rename(tmp_path / "state.sqlite")


def test_a_record_that_only_a_killed_side_has_is_refused_and_not_shown_old(tmp_path: Path) -> None:
    service, store, read = written(tmp_path, "modern")
    lack(store, "legacy")
    (store.folder / NAME).write_text("things.get\n")
    until(lambda: side(service, read, "8") == "legacy", 1)
    with pytest.raises(NotReady, match="changed on a side"):
        side(service, read)


def test_the_kill_file_goes_before_the_store_and_ends_with_its_removal(tmp_path: Path) -> None:
    op = moving(terms=QUIET)
    service, store = two_sides(tmp_path, op)
    store.move(["things.get"], Standing("modern"), "alice", "test")
    until(lambda: side(service, op) == "modern", 1)
    (store.folder / NAME).write_text("*")
    until(lambda: side(service, op) == "legacy", 1)
    (store.folder / NAME).unlink()
    until(lambda: side(service, op) == "modern", 1)
    store.move(["things.get"], Standing("retired"), "alice", "test")
    (store.folder / NAME).write_text("*")
    until(lambda: service.standings.killed("things.get"), 1)
    with pytest.raises(Gone):
        side(service, op)


@pytest.fixture
def standings(place: Place, store: Store) -> Iterator[Standings]:
    made = Standings(store)
    yield made
    made.close()


def test_both_engines_tell_where_an_endpoint_stands(store: Store, standings: Standings) -> None:
    assert standings.of("a") == Standing("legacy")
    canary = Standing("canary", Decimal("0.25"), {"bob": Decimal("0.5")})
    store.move(["a"], canary, "alice", "test")
    until(lambda: standings.of("a") == canary, 1)


def test_a_process_that_begins_while_the_store_is_away_goes_by_what_was_left_on_this_host(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.sqlite"
    with closing(Store(url)) as store:
        store.move(["a"], Standing("canary", Decimal("0.25")), "alice", "test")
        with closing(Standings(store)) as first:
            assert first.of("a").stage == "canary"
        with closing(Store(url, patient=True)) as away:
            database = tmp_path / "state.sqlite"
            database.rename(tmp_path / "aside")
            with closing(Standings(away)) as second:
                assert second.of("a") == Standing("canary", Decimal("0.25"))
            (tmp_path / "stages.json").unlink()
            with closing(Standings(away)) as third, pytest.raises(NotReady, match="not known"):
                third.of("a")
            (tmp_path / "aside").rename(database)
    assert sqlite3.connect(tmp_path / "state.sqlite").close() is None
