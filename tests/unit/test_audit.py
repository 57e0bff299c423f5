"""What is put on record of a request, when, and what happens to requests when nothing can be recorded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call, Record
from adapters.errors import OutcomeUnknown
from tests.unit.small import ALICE, DROP, Scripted, fail, join, missing, operation, reply, request, service
from tests.unit.trails import records
from tests.waiting import until
from wrapper.audit.denials import BURST, STRANGERS, Denials
from wrapper.audit.tokens import Tokens, token
from wrapper.jobs import Runner
from wrapper.late import Late
from wrapper.operation import Auth, Caching, Field, ObjectRule, Part
from wrapper.policy.keys import Caller
from wrapper.problems import Forbidden, NotReady
from wrapper.subjects import Subject

CUSTOMER = {"id": ObjectRule(claim="customer")}
READ = operation(auth=Auth("things:read", purposes=("servicing", "fraud"), object=CUSTOMER), hash="0123456789abcdef")
PUT = operation("things.put", method="POST", effect="write", auth=Auth("things:write"))
BOB = Caller(
    "bob", frozenset({"things:read", "things:write"}), frozenset({"servicing"}), {"customer": frozenset({"7", "9"})}, tenant="acme"
)
SECRET = "4711.99"
SEVEN = Subject("customer", "7", "acme")


def put(made: Any, key: str = "k1") -> Any:
    return made.serve(PUT, request(idempotency_key=key))


def blocked(folder: Path) -> None:
    """No trail can be written there: a file is in its way."""
    shutil.rmtree(folder / "audit", ignore_errors=True)
    (folder / "audit").write_text("")


def test_a_read_is_on_record_when_its_answer_leaves(tmp_path: Path) -> None:
    iban = Field("iban", "string", mask="last4")
    op = replace(READ, fields=(*READ.fields, iban))
    made, store = service(tmp_path, Scripted(lambda call: [{"id": call.params["id"], "amount": SECRET, "iban": "GB1234567890"}]), op)
    made.serve(op, request(caller=BOB))
    (record,) = records(tmp_path / "audit", "read")
    assert record.pop("at").endswith("Z")
    assert record.pop("ms") < 2000
    assert len(record.pop("prev")) == 64
    assert record == {
        "n": 2, "kind": "read", "who": "acme/bob", "via": "key", "op": "things.get", "cat": "0123456789ab", "request": "trace",
        "status": 200,
        "outcome": "ok", "purpose": "servicing", "served": [{"system": "scripted", "side": "legacy"}],
        "subjects": [token(store.subject_keys(SEVEN)[0], SEVEN)],
        "fields": {"clear": ["id", "amount"], "masked": ["iban"]},
    }  # fmt: skip
    kept = b"".join(file.read_bytes() for file in (tmp_path / "audit").rglob("*.log"))
    assert SECRET.encode() not in kept
    assert b"7890" not in kept


def test_the_head_says_who_writes_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), operation())
    made.serve(operation(), request())
    head = records(tmp_path / "audit")[0]
    assert (head["n"], head["kind"], head["segment"], head["catalogue"]) == (1, "segment", 1, "hash")
    assert head["process"].count("/") == 5
    (file,) = (tmp_path / "audit").rglob("*.log")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_writes_intent_is_on_record_before_the_back_end_is_asked(tmp_path: Path) -> None:
    met: list[Any] = []

    def answer(call: Call) -> Sequence[Record]:
        met.extend(records(tmp_path / "audit", "intent", "write"))
        return [{"id": call.params["id"], "amount": "1.00"}]

    made, _ = service(tmp_path, Scripted(answer), PUT)
    assert "audit" not in put(made).body["meta"]
    assert [(r["kind"], r["op"], r["system"], r["side"]) for r in met] == [("intent", "things.put", "scripted", "legacy")]
    (outcome,) = records(tmp_path / "audit", "write")
    assert (outcome["intent"], outcome["status"], outcome["outcome"]) == (met[0]["n"], 200, "ok")


@pytest.mark.parametrize("effect", ["read", "idempotent", "write"])
def test_what_cannot_be_recorded_is_refused_and_a_write_not_even_begun(tmp_path: Path, effect: Any) -> None:
    op, back_end = replace(PUT, effect=effect), Scripted()
    made, _ = service(tmp_path, back_end, op)
    blocked(tmp_path)
    with pytest.raises(NotReady, match="audit trail can't be written"):
        made.serve(op, request(idempotency_key="k1"))
    assert len(back_end.calls) == (effect == "read")
    (tmp_path / "audit").unlink()
    assert made.serve(op, request(idempotency_key="k1")).status == 200  # its key is free again


def test_after_the_act_a_write_answers_what_it_knows_and_is_recorded_late(tmp_path: Path) -> None:
    def answer(call: Call) -> Sequence[Record]:
        blocked(tmp_path)
        return [{"id": call.params["id"], "amount": "1.00"}]

    made, _ = service(tmp_path, Scripted(answer), PUT)
    answered = put(made)
    assert (answered.status, answered.body["meta"]["audit"]) == (200, "pending")
    (tmp_path / "audit").unlink()
    until(lambda: records(tmp_path / "audit", "write"))


def test_a_write_that_fails_or_is_not_known_closes_its_intent(tmp_path: Path) -> None:
    back_end = Scripted(fail(OutcomeUnknown("sent", backend="scripted")))
    made, _ = service(tmp_path, back_end, PUT)
    with pytest.raises(OutcomeUnknown):
        put(made)
    (intent,), (outcome,) = records(tmp_path / "audit", "intent"), records(tmp_path / "audit", "write")
    assert (outcome["intent"], outcome["status"], outcome["outcome"]) == (intent["n"], 504, "OutcomeUnknown")


def test_a_jobs_acceptance_its_end_and_who_reads_it_are_on_record(tmp_path: Path) -> None:
    op, back_end = replace(DROP, auth=Auth("things:write", object=CUSTOMER)), Scripted()
    made, store = service(tmp_path, back_end, op)
    id = made.serve(op, request(idempotency_key="k1")).body["meta"]["job"]["id"]
    worker = Runner(made, {"scripted": back_end}, store)
    worker.turn()
    back_end.replies[id] = reply()
    worker.turn()
    assert made.job(id, ALICE) is not None
    met = [(r["kind"], r.get("outcome")) for r in records(tmp_path / "audit") if r["kind"] != "segment"]
    assert met == [("intent", None), ("write", "ok"), ("job", "published"), ("job", "replied"), ("read", "ok")]
    accepted, read = records(tmp_path / "audit", "write")[0], records(tmp_path / "audit", "read")[0]
    assert (accepted["status"], accepted["subjects"]) == (202, read["subjects"])
    assert {r["job"] for r in records(tmp_path / "audit", "job")} == {id} == {read["request"]}


def test_all_that_a_join_was_made_of_is_on_record_and_what_the_cache_had(tmp_path: Path) -> None:
    part = operation(cache=Caching(60))
    op = join([Part("one", "things.get", {"id": "{id}"})], [Field("id", "string")])
    made, _ = service(tmp_path, Scripted(), part, op)

    def served() -> list[dict[str, object]]:
        made.serve(op, request())
        found: list[dict[str, object]] = records(tmp_path / "audit", "read")[-1]["served"]
        return found

    assert served() == [{"system": "scripted", "side": "legacy"}]
    until(lambda: served() == [{"system": "scripted", "side": "legacy", "by": "cache", "age": 0}])  # a new process forgets, once


def test_a_denial_and_a_failure_are_on_record_with_whom_they_were_about_only_if_he_is_known(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(missing), READ)
    with pytest.raises(Forbidden):
        made.serve(READ, request("8", caller=BOB))
    store.subject_key(Subject("customer", "6", "acme"))
    with pytest.raises(Forbidden):
        made.serve(READ, request("6", caller=BOB))
    until(lambda: len(records(tmp_path / "audit", "denied")) == 2)
    unknown, known = records(tmp_path / "audit", "denied")
    assert (unknown["who"], unknown["status"], unknown["outcome"], unknown["subjects"]) == ("acme/bob", 403, "Forbidden", [])
    assert len(known["subjects"]) == 1
    assert store.subject_keys(Subject("customer", "8", "acme")) == []


def test_a_flood_of_denials_is_counted_and_not_recorded_one_by_one() -> None:
    told: list[Mapping[str, Any]] = []
    now = [0.0]
    denials = Denials(told.append, lambda: now[0])
    for n in range(1000):
        denials.met("bob", {"request": str(n)})
        denials.met("eve", {"request": "other"}) if n == 500 else None
    assert len(told) == BURST + 1
    now[0] = 1.5
    denials.turn()
    assert told[-1] == {"request": "999", "more": 1000 - BURST}
    denials.met("bob", {"request": "new"})
    assert told[-1] == {"request": "new"}


def test_strangers_fill_no_disk(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), operation())
    began = time.monotonic()
    for n in range(500):
        made.audit.stranger("10.0.0.9", "things.get", str(n))
    made.audit.close()
    denied = records(store.folder / "audit", "denied")
    assert 0 < len(denied) <= (STRANGERS + 1) * (2 + time.monotonic() - began)
    assert sum(one.get("more", 1) for one in denied) == 500


def test_an_act_is_on_record_before_it_is_done_and_how_it_ended(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), operation())
    act = made.audit.act("carol", "key revoke", name="claims-ui")
    (begun,) = records(tmp_path / "audit", "act")
    with pytest.raises(ZeroDivisionError), act:
        raise ZeroDivisionError
    (done,) = records(tmp_path / "audit", "done")
    assert (begun["who"], begun["what"], begun["name"]) == ("carol", "key revoke", "claims-ui")
    assert (done["intent"], done["what"], done["outcome"]) == (begun["n"], "key revoke", "ZeroDivisionError")


def test_a_name_with_a_line_in_it_is_one_line_of_the_trail(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), operation())
    made.serve(operation(), request(caller=replace(ALICE, name="two\nlines")))
    assert [r["who"] for r in records(tmp_path / "audit", "read")] == ["two\nlines"]


class Away:
    """A store of subject keys that may be away; it counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[Subject, list[bytes]] = {}
        self.asked, self.there = 0, True

    def subject_key(self, subject: Subject) -> bytes:
        self.asked += 1
        if not self.there:
            raise NotReady("away")
        return self.keys.setdefault(subject, [b"k" * 32])[0]

    def subject_keys(self, subject: Subject) -> list[bytes]:
        return self.keys.get(subject, [])

    def add_subject_key(self, subject: Subject, key: bytes) -> None:
        if not self.there:
            raise NotReady("away")
        self.keys.setdefault(subject, []).append(key)


def test_a_person_has_one_token_asked_for_once_a_minute_and_another_one_after_being_forgotten() -> None:
    store, now = Away(), [0.0]
    late = Late()
    tokens = Tokens(store, late, lambda: now[0])
    seven = Subject("customer", "7")
    first = tokens.of([seven], make=True)
    assert tokens.of([seven], make=True) == first == [token(b"k" * 32, seven)]
    assert store.asked == 1
    store.keys[seven] = [b"x" * 32]  # forgotten, and met again
    now[0] = 61.0
    assert tokens.of([seven], make=True) == [token(b"x" * 32, seven)]
    late.close()


def test_while_the_store_is_away_persons_get_keys_that_it_is_told_later() -> None:
    store, late = Away(), Late()
    tokens = Tokens(store, late)
    store.there = False
    made = tokens.of([Subject("customer", str(n)) for n in range(5)], make=True)
    assert store.asked == 1  # and not by each of them
    store.there = True
    late.close()
    assert [token(store.keys[Subject("customer", str(n))][0], Subject("customer", str(n))) for n in range(5)] == made
