"""What is kept of back ends' answers, for how long, for whom, and what waits for what."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call, Record
from adapters.errors import AdapterError, DeadlineExceeded, Failed, Missing, OutcomeUnknown, PoolExhausted, Unavailable
from tests.unit.small import ALICE, Scripted, fail, join, operation, request, service
from wrapper.cache import Cache
from wrapper.late import Late
from wrapper.operation import Auth, Caching, Field, ObjectRule, Operation, Param, Part, Scoring
from wrapper.policy.keys import Caller
from wrapper.problems import Forbidden, NotReady
from wrapper.request import Terms
from wrapper.rows import Rows

KEPT = operation(cache=Caching(60))
WRITE = operation("things.put", method="PUT", effect="write", auth=Auth("things:write"), invalidates=("things.get",))


def counting() -> Callable[[Call], Sequence[Record]]:
    """Each answer says which it is."""
    numbers = count(1)
    return lambda call: [{"id": call.params["id"], "amount": f"{next(numbers)}.00"}]


def amount(made: Any, op: Operation = KEPT, **asked: Any) -> str:
    text: str = made.serve(op, request(**asked)).body["data"]["amount"]
    return text


def test_an_answer_is_kept_for_its_time_and_says_its_age(tmp_path: Path) -> None:
    op = operation(cache=Caching(0.2))
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, op)
    first, again = made.serve(op, request()), made.serve(op, request())
    assert "Age" not in first.headers
    assert again.headers["Age"] == "0"
    assert again.body == first.body
    until = time.monotonic() + 2
    while amount(made, op) == "1.00":
        assert time.monotonic() < until
    assert len(back_end.calls) == 2


def test_without_a_cache_every_question_is_asked(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(counting()), operation())
    assert [amount(made, operation()) for _ in range(2)] == ["1.00", "2.00"]


def test_other_parameters_are_another_question_even_when_they_look_alike(tmp_path: Path) -> None:
    more = Param("query", Field("more", "string", optional=True))
    op = operation(cache=Caching(60), params=(*KEPT.params, more))
    made, _ = service(tmp_path, Scripted(counting()), op)
    asked = [{}, {"more": "None"}, {"more": "1"}, {"more": "1', 'x"}]
    assert [amount(made, op, given={"query": q}) for q in asked] == ["1.00", "2.00", "3.00", "4.00"]
    assert [amount(made, op, given={"query": q}) for q in asked] == ["1.00", "2.00", "3.00", "4.00"]


def test_nobody_sees_what_another_may_see(tmp_path: Path) -> None:
    """Rows are kept whole: each is authorised and masked for itself."""
    back_end = Scripted(lambda call: [{"id": call.params["id"], "iban": "GB1234567890"}])
    op = operation(
        cache=Caching(60),
        fields=(Field("id", "string"), Field("iban", "string", mask="last4")),
        auth=Auth("things:read", object={"id": ObjectRule(claim="customer")}),
    )
    made, _ = service(tmp_path, back_end, op)
    seer = replace(ALICE, scopes=ALICE.scopes | {"pii:read"})
    seen = [made.serve(op, request(caller=who)).body["data"]["iban"] for who in (seer, ALICE, seer)]
    assert seen == ["GB1234567890", "********7890", "GB1234567890"]
    with pytest.raises(Forbidden):
        made.serve(op, request(caller=Caller("bob", frozenset({"things:read"}), claims={"customer": frozenset("8")})))
    assert len(back_end.calls) == 1


def test_errors_are_not_kept(tmp_path: Path) -> None:
    back_end = Scripted(fail(Missing("not yet")))
    made, _ = service(tmp_path, back_end, KEPT)
    with pytest.raises(Missing):
        amount(made)
    back_end.answer = counting()
    assert amount(made) == "1.00"


def test_no_cache_is_heeded_from_those_who_may_and_renews_what_is_kept(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(counting()), KEPT)
    allowed = replace(ALICE, scopes=ALICE.scopes | {"cache:bypass"})
    seen = [amount(made, caller=who, fresh=fresh) for who, fresh in ((ALICE, False), (ALICE, True), (allowed, True), (ALICE, False))]
    assert seen == ["1.00", "1.00", "2.00", "2.00"]


def test_the_least_recently_used_goes_first_and_what_is_too_large_is_not_kept() -> None:
    cache = Cache({}, NoStore(), Late(), size=3000)
    op, asked = operation(cache=Caching(60)), []

    def ask(id: str, size: int = 1) -> None:
        cache.rows(
            op, "legacy", {"id": id}, Terms(time.monotonic() + 1, ""), lambda _: asked.append(id) or Rows(({"a": "x" * size},), (), "b")
        )  # type: ignore[func-returns-value]

    for id in ("1", "2", "1", "3", "1", "2"):
        ask(id)
    assert asked == ["1", "2", "3", "2"]
    ask("large", 4000)
    ask("large", 4000)
    assert asked[-2:] == ["large", "large"]


class NoStore:
    """Generations that can't be told."""

    def generation(self, name: str, writers: Sequence[str] = ()) -> int:
        raise NotReady("down")

    def bump(self, names: Sequence[str], within: float = 0.0) -> None:
        raise NotReady("down")


# --- one question for many


def gate() -> tuple[threading.Event, threading.Event, Callable[[Call], Sequence[Record]]]:
    """A back end that says when it is asked, and answers when it is told to."""
    asked, tell, numbers = threading.Event(), threading.Event(), count(1)

    def answer(call: Call) -> Sequence[Record]:
        n = next(numbers)
        asked.set()
        if not tell.wait(call.left()):
            raise DeadlineExceeded("the deadline passed")
        return [{"id": call.params["id"], "amount": f"{n}.00"}]

    return asked, tell, answer


def test_equal_questions_at_once_are_asked_once(tmp_path: Path) -> None:
    asked, tell, answer = gate()
    back_end = Scripted(answer)
    made, _ = service(tmp_path, back_end, KEPT)
    with ThreadPoolExecutor(20) as many:
        seen = [many.submit(amount, made) for _ in range(20)]
        assert asked.wait(5)
        tell.set()
        assert {future.result() for future in seen} == {"1.00"}
    assert len(back_end.calls) == 1


def test_who_waits_keeps_their_own_deadline_whatever_becomes_of_the_leader(tmp_path: Path) -> None:
    """The leader has 0.3 s and fails by it; who came later has 2 s, asks anew and is answered; who has 0.1 s goes in time."""
    asked, tell, answer = gate()
    back_end = Scripted(answer)
    made, _ = service(tmp_path, back_end, KEPT)
    began = time.monotonic()

    def rows(seconds: float) -> Any:
        return made.fetch(KEPT, "legacy", {"id": "7"}, Terms(began + seconds, "trace"))

    with ThreadPoolExecutor(3) as many:
        leader = many.submit(rows, 0.3)
        assert asked.wait(5)
        patient, hasty = many.submit(rows, 2), many.submit(rows, 0.1)
        with pytest.raises(DeadlineExceeded, match="on its way"):
            hasty.result()
        assert time.monotonic() - began < 0.3
        with pytest.raises(DeadlineExceeded):
            leader.result()
        tell.set()
        assert patient.result().good[0]["id"] == "7"
    assert len(back_end.calls) == 2


@pytest.mark.parametrize(
    ("error", "calls"),
    [(Missing("no"), 1), (Unavailable("down"), 1), (Failed("abend"), 1), (PoolExhausted("full"), 4), (RuntimeError("a bug"), 4)],
)
def test_what_the_back_end_says_is_said_to_all_and_what_is_the_leaders_own_is_not(tmp_path: Path, error: Exception, calls: int) -> None:
    asked, tell, answer = gate()

    def failing(call: Call) -> Sequence[Record]:
        answer(call)
        raise error

    back_end = Scripted(failing)
    made, _ = service(tmp_path, back_end, KEPT)
    with ThreadPoolExecutor(4) as many:
        seen = [many.submit(amount, made) for _ in range(4)]
        assert asked.wait(5)
        until = time.monotonic() + 5
        while many._work_queue.qsize() or time.monotonic() < until - 4.9:  # all four are in
            time.sleep(0.01)
        tell.set()
        for future in seen:
            with pytest.raises(type(error)):
                future.result()
    assert len(back_end.calls) == calls


# --- the back end is down


STALE = operation(cache=Caching(0.05, 60))


@pytest.mark.parametrize("error", [Unavailable("down"), DeadlineExceeded("mute"), PoolExhausted("full")])
def test_what_is_kept_is_served_while_the_back_end_is_down_and_says_so(tmp_path: Path, error: AdapterError) -> None:
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, STALE)
    amount(made, STALE)
    back_end.answer = fail(error)
    time.sleep(0.06)
    answer = made.serve(STALE, request())
    source = answer.body["meta"]["sources"][0]
    assert answer.body["data"]["amount"] == "1.00"
    assert source["stale"] is True
    assert source["as_of"].endswith("Z")
    assert answer.headers["Age"] == "0"
    back_end.answer = lambda call: [{"id": "7", "amount": "9.00"}]
    assert "stale" not in made.serve(STALE, request()).body["meta"]["sources"][0]


def test_what_the_back_end_denies_is_not_covered_up(tmp_path: Path) -> None:
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, STALE)
    amount(made, STALE)
    time.sleep(0.06)
    for error in (Missing("gone"), Failed("abend")):
        back_end.answer = fail(error)
        with pytest.raises(type(error)):
            amount(made, STALE)


def test_nothing_older_than_allowed_is_served(tmp_path: Path) -> None:
    op = operation(cache=Caching(0.05, 0.05))
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, op)
    amount(made, op)
    back_end.answer = fail(Unavailable("down"))
    assert amount(made, op) == "1.00"
    time.sleep(0.1)
    with pytest.raises(Unavailable):
        amount(made, op)


def test_a_mute_back_end_leaves_time_for_what_is_kept(tmp_path: Path) -> None:
    back_end = Scripted(counting())
    op = operation(cache=Caching(0.05, 60), deadline=0.5)
    made, _ = service(tmp_path, back_end, op)
    amount(made, op)
    _, _, back_end.answer = gate()
    time.sleep(0.06)
    began = time.monotonic()
    assert amount(made, op) == "1.00"
    assert time.monotonic() - began < 0.5


def test_stale_rows_are_scored_only_where_it_says_so(tmp_path: Path) -> None:
    """Through a join, which says the age of its oldest part."""
    for score_stale in (False, True):
        part = operation(cache=Caching(0.05, 60, score_stale))
        scoring = Scoring("none", "1", {"amount": "one.amount"})
        whole = join([Part("one", "things.get", {"id": "{id}"})], [Field("id", "string")], scoring=scoring)
        back_end = Scripted(counting())
        made, _ = service(tmp_path / str(score_stale), back_end, part, whole)
        amount(made, part)
        back_end.answer = fail(Unavailable("down"))
        time.sleep(0.06)
        if score_stale:
            with pytest.raises(Exception, match="none"):  # it went on to the model, which is not there
                made.serve(whole, request())
            continue
        answer = made.serve(whole, request())
        assert answer.body["score"] is None
        assert "stale" in answer.body["meta"]["not_scored"]
        assert answer.body["meta"]["sources"][0]["stale"] is True
        assert answer.headers["Age"] == "0"


# --- writes


def test_a_write_changes_what_is_kept_in_every_worker(tmp_path: Path) -> None:
    back_end = Scripted(counting())
    one, two = (service(tmp_path, back_end, KEPT, WRITE)[0] for _ in range(2))
    assert [amount(one), amount(two), amount(one)] == ["1.00", "2.00", "1.00"]
    one.serve(WRITE, request(idempotency_key="k"))
    assert [amount(one), amount(two)] == ["4.00", "5.00"]


def test_a_read_that_crossed_a_write_is_not_kept_beyond_it(tmp_path: Path) -> None:
    """It was asked before the act, answers after it, and saw the old value; who asks then does not wait for it either."""
    back_end = Scripted()
    made, _ = service(tmp_path, back_end, KEPT, WRITE)
    asked, tell, old = gate()
    back_end.answer = old
    with ThreadPoolExecutor(1) as early:
        reader = early.submit(amount, made)
        assert asked.wait(5)
        back_end.answer = lambda call: [{"id": "7", "amount": "5.00"}]
        made.serve(WRITE, request(idempotency_key="k"))
        assert amount(made) == "5.00"
        tell.set()
        assert reader.result() == "1.00"
    assert amount(made) == "5.00"


def test_a_read_that_crossed_a_write_is_not_kept_while_the_store_can_not_be_told_of_its_end(tmp_path: Path) -> None:
    """The other worker asks in the midst of the act and sees the old value; then the store can be read, and not written."""
    back_end = Scripted(counting())
    one, two = (service(tmp_path, back_end, KEPT, WRITE)[0] for _ in range(2))
    with closing(sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)) as other:

        def act(call: Call) -> Sequence[Record]:
            other.execute("BEGIN IMMEDIATE")
            back_end.answer = lambda call: [{"id": "7", "amount": "1.00"}]
            assert amount(two) == "1.00"
            back_end.answer = lambda call: [{"id": "7", "amount": "5.00"}]
            return [{"id": "7", "amount": "5.00"}]

        back_end.answer = act
        assert one.serve(WRITE, request(idempotency_key="k")).body["meta"]["audit"] == "pending"
        assert [amount(two), amount(one)] == ["5.00", "5.00"]
        other.execute("ROLLBACK")


def test_what_took_long_to_come_is_as_old_as_its_question(tmp_path: Path) -> None:
    op = operation(cache=Caching(0.1))
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, op)
    numbered = back_end.answer

    def slow(call: Call) -> Sequence[Record]:
        time.sleep(0.15)
        return numbered(call)

    back_end.answer = slow
    assert [amount(made, op) for _ in range(2)] == ["1.00", "2.00"]


def test_a_write_of_unknown_outcome_changes_it_too(tmp_path: Path) -> None:
    back_end = Scripted(counting())
    made, _ = service(tmp_path, back_end, KEPT, WRITE)
    amount(made)
    back_end.answer = fail(OutcomeUnknown("sent"))
    with pytest.raises(OutcomeUnknown):
        made.serve(WRITE, request(idempotency_key="k"))
    back_end.answer = lambda call: [{"id": "7", "amount": "5.00"}]
    assert amount(made) == "5.00"


def test_when_nobody_can_tell_what_was_changed_the_back_end_is_asked() -> None:
    cache = Cache({"things.put": WRITE}, NoStore(), Late())
    numbers = count(1)
    seen = [
        cache.rows(KEPT, "legacy", {"id": "7"}, Terms(time.monotonic() + 1, ""), lambda _: Rows(({"n": next(numbers)},), (), "b")).good[0][
            "n"
        ]
        for _ in range(2)
    ]
    assert seen == [1, 2]
