"""Quotas: never more than the limit however many workers spend, fair shares, and what callers are told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from adapters.errors import Overused
from tests.unit.small import ALICE, DROP, Scripted, drop, missing, operation, request, service
from wrapper import http
from wrapper.access import Access, Rate, rate
from wrapper.catalogue import Folder
from wrapper.edge import Facade
from wrapper.metrics import Metrics
from wrapper.operation import Caching, Catalogue, Operation, System
from wrapper.policy import bucket
from wrapper.policy.bucket import Bucket, Draw, Drawn
from wrapper.policy.keys import Caller
from wrapper.policy.logins import FAILURES
from wrapper.policy.quotas import AWAY, MOST, Quotas
from wrapper.problems import Crowded, NotReady, RequestError, TooMany
from wrapper.settings import Settings
from wrapper.state.clock import Clock
from wrapper.state.holder import Holder
from wrapper.state.store import Store
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry

BOB = replace(ALICE, name="bob")
HERE = {"REMOTE_ADDR": "10.0.0.9"}


class Shared:
    """Buckets in memory, under a clock that the test moves; `there` says whether they can be asked."""

    def __init__(self) -> None:
        self.now, self.there, self.draws = 1000.0, True, 0
        self.kept: dict[str, Bucket] = {}

    def draw(self, name: str, asked: Draw, within: float = 0.0) -> Drawn:
        self.draws += 1
        if not self.there:
            raise NotReady("away")
        self.kept[name], drawn = bucket.draw(self.kept.get(name), asked, self.now)
        return drawn

    def worker(self, access: Access, workers: int = 1, **systems: str) -> Quotas:
        made = {name: System(name, "scripted", {"rate": said}, 1) for name, said in systems.items()}
        return Quotas(access, made, self, workers, clock=lambda: self.now)


def granted(spend: Callable[[], object]) -> bool:
    try:
        spend()
    except (TooMany, Crowded, Overused):
        return False
    return True


def of(quota: Rate) -> Access:
    return Access(quotas={"*": quota})


@given(
    st.sampled_from([Rate(1, 1, 1), Rate(5, 1, 5), Rate(50, 1, 50), Rate(50, 1, 10), Rate(500, 1, 500), Rate(100, 60, 10)]),
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.1, 0.3, 1.1, 5.0]), st.integers(0, 4), st.integers(1, 30)), min_size=1, max_size=120),
)
def test_over_no_time_is_more_granted_than_the_rate_brings_and_one_burst(
    limit: Rate, workers: int, asked: list[tuple[float, int, int]]
) -> None:
    shared = Shared()
    made = [shared.worker(of(limit), workers) for _ in range(workers)]
    times: list[float] = []
    for later, worker, often in asked:
        shared.now += later
        for _ in range(often):
            if granted(lambda one=made[worker % workers]: one.spend(None, ALICE, {})):  # type: ignore[misc]
                times.append(shared.now)
    for first in range(len(times)):
        since = times[first]
        for last in range(first, len(times)):
            assert last - first + 1 <= limit.burst + limit.amount / limit.period * (times[last] - since) + 1e-6


@pytest.mark.parametrize("limit", ["500/s", "50/s", "5/s", "120/m"])
def test_workers_together_grant_all_of_the_limit_and_seldom_ask_the_store(limit: str) -> None:
    shared, dice, workers = Shared(), random.Random(1), 4
    quota = rate(limit)
    made = [shared.worker(of(quota), workers) for _ in range(workers)]
    got, per_second = 0, quota.amount / quota.period
    seconds = 60 if per_second < 100 else 10
    step = 0.25 / per_second  # four times the limit is asked
    while shared.now < 1000 + seconds:
        got += granted(lambda: dice.choice(made).spend(None, ALICE, {}))
        shared.now += step
    brought = per_second * seconds
    assert brought * 0.98 <= got <= brought + quota.burst
    assert shared.draws / seconds <= workers * 6


def test_a_worker_that_rests_or_dies_keeps_nothing_from_the_others() -> None:
    shared = Shared()
    first, second = (shared.worker(of(Rate(40, 1, 40)), 2) for _ in range(2))
    for _ in range(7):
        first.spend(None, ALICE, {})  # one, five, and of eight one: it holds seven
    shared.now += 0.9
    early = sum(granted(lambda: second.spend(None, ALICE, {})) for _ in range(60))
    shared.now += 2.0
    later = sum(granted(lambda: second.spend(None, ALICE, {})) for _ in range(60))
    assert (early, later) == (40 - 7, 40)


def test_who_is_refused_hears_when_to_come_again_and_then_is_served() -> None:
    shared, told = Shared(), dict[str, str]()
    limited = operation(limits={"rate": {"per_consumer": "6/m"}})
    one = shared.worker(of(rate("50/s", 100)))
    one.spend(limited, ALICE, told)
    assert told == {"RateLimit-Policy": '"consumer";q=50;w=1, "things.get";q=6;w=60', "RateLimit": '"things.get";r=0;t=10'}
    with pytest.raises(TooMany, match="you may ask this endpoint 6 a minute at most") as refused:
        one.spend(limited, ALICE, told)
    assert refused.value.headers == {"Retry-After": "10"}
    assert told["RateLimit"] == '"things.get";r=0;t=10'
    asked = shared.draws
    for _ in range(50):
        assert not granted(lambda: one.spend(limited, ALICE, {}))
    assert shared.draws - asked <= 6  # the consumer's own tokens came back each time, and the empty bucket was let be
    one.spend(limited, BOB, {})  # another one has its own
    shared.now += 10
    one.spend(limited, ALICE, {})


def test_a_tenants_caller_spends_its_own_quota_and_no_namesakes() -> None:
    shared = Shared()
    one = shared.worker(Access(quotas={"*": Rate(1, 1, 1), "uk/alice": Rate(9, 1, 9)}))
    uk, fr = replace(ALICE, tenant="uk"), replace(ALICE, tenant="fr")
    assert [sum(granted(lambda who=who: one.spend(None, who, {})) for _ in range(20)) for who in (uk, fr, ALICE)] == [9, 1, 1]  # type: ignore[misc]


def test_without_a_quota_nobody_asks_for_one() -> None:
    shared = Shared()
    one = shared.worker(Access(quotas={"bob": Rate(1, 1, 1)}))
    for _ in range(100):
        one.spend(operation(), ALICE, {})
        one.spend_system("scripted", "alice")
    assert shared.draws == 0


def test_callers_without_a_quota_are_not_remembered_for_good() -> None:
    one = Shared().worker(Access())
    for n in range(MOST + 100):
        one.spend(None, replace(ALICE, name=f"idp:{n}"), {})
    assert len(one._limits) <= MOST


# what consumers share


def served(
    shared: Shared, made: list[Quotas], asking: Mapping[str, float], seconds: float = 20.0, background: bool = False
) -> dict[str, int]:
    """Consumers who ask the system `core` so many times a second each, at all workers in turn."""
    dice, got = random.Random(2), dict.fromkeys(asking, 0)
    due = dict.fromkeys(asking, shared.now)
    until = shared.now + seconds
    while (who := min(due, key=lambda name: due[name])) and due[who] < until:
        shared.now = max(shared.now, due[who])
        due[who] += dice.uniform(0.5, 1.5) / asking[who]
        got[who] += granted(lambda who=who: dice.choice(made).spend_system("core", who, who == "shadow"))  # type: ignore[misc]
    return got


def test_a_flood_leaves_others_of_its_class_their_share() -> None:
    shared = Shared()
    made = [shared.worker(Access(), 4, core="20/s") for _ in range(4)]
    got = served(shared, made, {"flood": 400, "even": 40, "small": 2})
    assert got["small"] >= 2 * 20 * 0.8
    assert got["even"] >= 0.7 * got["flood"]
    assert sum(got.values()) >= 20 * 20 * 0.9


def test_what_others_leave_is_anybodys() -> None:
    shared = Shared()
    made = [shared.worker(Access(), 4, core="20/s") for _ in range(4)]
    got = served(shared, made, {"flood": 400, "rare": 0.5})
    assert got["flood"] >= 20 * 20 * 0.85


def test_low_is_held_back_before_normal_and_normal_before_high() -> None:
    quotas = {"high": Rate(999, 1, 999, "high"), "low": Rate(999, 1, 999, "low")}
    shared = Shared()
    made = [shared.worker(Access(quotas=quotas), 2, core="20/s") for _ in range(2)]
    got = served(shared, made, {"high": 12, "normal": 40, "low": 40})
    assert got["high"] >= 12 * 20 * 0.9
    assert got["low"] <= 0.1 * got["normal"]
    assert served(shared, made, {"low": 40})["low"] >= 20 * 20 * 0.9  # alone it has all


def test_background_work_takes_only_what_callers_leave() -> None:
    shared = Shared()
    made = [shared.worker(Access(), 2, core="20/s") for _ in range(2)]
    busy = served(shared, made, {"alice": 30, "shadow": 30})
    quiet = served(shared, made, {"alice": 5, "shadow": 30})
    assert busy["shadow"] <= 20
    assert busy["alice"] >= 20 * 20 * 0.9
    assert quiet["alice"] >= 5 * 20 * 0.9
    assert quiet["shadow"] >= 10 * 20


def test_who_had_its_share_is_429_and_else_it_is_nobodys_fault() -> None:
    shared = Shared()
    one = shared.worker(Access(), 1, core="4/s")
    alone = sum(granted(lambda: one.spend_system("core", "alice")) for _ in range(9))
    with pytest.raises(Overused, match="all that core may be asked") as nobodys:
        one.spend_system("core", "bob")
    shared.now += 0.3
    with pytest.raises(Overused, match="your share") as own:
        one.spend_system("core", "alice")
    assert (alone, nobodys.value.status, own.value.status) == (3, 503, 429)  # a fifth of four is left to who is of a higher class
    assert min(nobodys.value.retry_after or 0, own.value.retry_after or 0) > 0


def test_a_rate_of_one_a_second_serves_every_class() -> None:
    shared = Shared()
    one = shared.worker(Access(quotas={"low": Rate(9, 1, 9, "low")}), 1, core="1/s")
    for who in ("low", "normal", "shadow"):
        one.spend_system("core", who, who == "shadow")
        shared.now += 1.5


# the store


def test_while_the_store_is_away_each_worker_goes_by_its_share() -> None:
    shared = Shared()
    made = [shared.worker(of(Rate(40, 1, 40)), 4) for _ in range(4)]
    shared.there = False
    got = 0
    for _ in range(1000):
        got += sum(granted(lambda one=one: one.spend(None, ALICE, {})) for one in made)  # type: ignore[misc]
        shared.now += 0.01
    assert 40 * 10 * 0.98 <= got <= 40 * 10 + 40
    assert shared.draws <= 4 * (10 / AWAY + 1)
    shared.there = True
    shared.now += AWAY
    assert granted(lambda: made[0].spend(None, ALICE, {}))
    assert shared.kept


def test_the_store_keeps_what_was_drawn_and_forgets_what_is_full(tmp_path: Path) -> None:
    now = [5000.0]
    store = Store(f"sqlite:///{tmp_path}/state.sqlite", clock=Clock(lambda: now[0], lambda: now[0], lambda: "boot"))
    made = [Quotas(of(Rate(10, 1, 10)), {}, store, 2, clock=lambda: now[0]) for _ in range(2)]
    assert sum(granted(lambda n=n: made[n % 2].spend(None, ALICE, {})) for n in range(50)) == 10  # type: ignore[misc]
    assert store.buckets() == {"consumer alice": 0.0}
    now[0] += 100
    made[0].spend(None, BOB, {})
    assert store.buckets() == {"consumer bob": 9.0}
    store.close()


# the way of a request


def limited(tmp_path: Path, back_end: Scripted, op: Any, access: Access, **systems: str) -> Any:
    made, store = service(tmp_path, back_end, op)
    made.quotas = Quotas(access, {n: System(n, "scripted", {"rate": said}, 1) for n, said in systems.items()}, store)
    return made


def test_who_may_not_ask_spends_nothing_and_who_asks_too_often_reaches_no_back_end(tmp_path: Path) -> None:
    back_end, op = Scripted(), operation()
    made = limited(tmp_path, back_end, op, of(Rate(1, 60, 1)))
    for _ in range(3):
        with pytest.raises(RequestError, match="needs the scope"):
            made.serve(op, request(caller=Caller("alice")))
    assert made.serve(op, request()).status == 200
    with pytest.raises(TooMany):
        made.serve(op, request())
    assert len(back_end.calls) == 1


def test_a_kept_answer_costs_the_callers_quota_and_not_the_systems(tmp_path: Path) -> None:
    back_end, op = Scripted(), operation(cache=Caching(60.0, 0.0))
    made = limited(tmp_path, back_end, op, of(Rate(3, 60, 3)), scripted="1/m")
    assert [made.serve(op, request()).status for _ in range(3)] == [200] * 3
    with pytest.raises(TooMany):
        made.serve(op, request())
    with pytest.raises(Overused):
        made.serve(op, request("8", BOB))


def facade(folder: Path, back_end: Scripted, op: Operation, access: Access | None = None) -> tuple[Client, str]:
    """A client of the facade, and a key."""
    made, store = service(folder, back_end, op)
    made.quotas = Quotas(access or Access(), {}, store)
    token = store.issue(ALICE)
    app = Facade("figway")
    systems = Systems(Catalogue({}, {}, "hash"), Settings(folder, "", folder), Folder(folder), Holder(store))
    http.install(app, made, systems, store, Telemetry(Metrics()), Access())
    return Client(app), token


def test_answers_say_what_is_left_and_errors_too(tmp_path: Path) -> None:
    op = operation(limits={"rate": {"per_consumer": "20/m"}})
    client, token = facade(tmp_path, Scripted(missing), op)
    asked = [client.get("/things/7", headers={"Authorization": f"Bearer {token}"}, environ_overrides=HERE) for _ in range(3)]
    assert [one.status_code for one in asked] == [404, 404, 429]
    assert [one.headers["RateLimit"] for one in asked] == [f'"{op.name}";r={left};t={t}' for left, t in ((1, 3), (0, 6), (0, 3))]
    assert {one.headers["RateLimit-Policy"] for one in asked} == {f'"{op.name}";q=20;w=60'}
    assert (asked[2].headers["Retry-After"], asked[2].json["type"]) == ("3", "/problems/too-many")  # type: ignore[index]


@pytest.mark.parametrize("path", ["/jobs/1", "/decisions/1", "/tokens/reveal", "/subjects/report", "/health/systems"])
def test_what_is_no_endpoint_costs_the_callers_quota_too(tmp_path: Path, path: str) -> None:
    client, token = facade(tmp_path, Scripted(), operation(), of(Rate(2, 60, 2)))
    method = "POST" if path.startswith(("/tokens", "/subjects")) else "GET"
    sent = {"Authorization": f"Bearer {token}"}
    asked = [client.open(path, method=method, headers=sent, environ_overrides=HERE).status_code for _ in range(3)]
    assert asked[:2] != [429, 429]
    assert asked[2] == 429


def test_who_guesses_keys_is_refused_untried_and_the_known_caller_beside_it_is_served(tmp_path: Path) -> None:
    client, token = facade(tmp_path, Scripted(), operation())

    def ask(key: str) -> int:
        return client.get("/things/7", headers={"Authorization": f"Bearer {key}"}, environ_overrides=HERE).status_code

    assert ask(token) == 200
    guesses = [ask(f"fw_{n:012x}_{'x' * 43}") for n in range(FAILURES + 3)]
    assert guesses == [401] * FAILURES + [429] * 3
    assert ask(token) == 200


def test_a_repeated_write_costs_like_a_new_one(tmp_path: Path) -> None:
    made = limited(tmp_path, Scripted(), DROP, of(Rate(2, 60, 2)))
    assert [drop(made).status for _ in range(2)] == [202, 202]
    with pytest.raises(TooMany):
        drop(made)
