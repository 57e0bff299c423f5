"""What people may ask about themselves, through the service, the admin API and the commands; and whose what is kept is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tests.unit import moving
from tests.unit.small import ALICE, DROP, Scripted, operation, reply, request, service
from tests.waiting import until
from wrapper.app import create_app
from wrapper.audit.trail import Audit
from wrapper.cli import figway
from wrapper.jobs import Runner
from wrapper.operation import Auth, Caching, ObjectRule
from wrapper.policy.keys import Caller
from wrapper.policy.tokenise import Tokens
from wrapper.privacy import Desk, Purge
from wrapper.privacy_api import REVEAL
from wrapper.problems import Invalid, NotKept, NotPossible
from wrapper.settings import from_environment
from wrapper.state.store import Store
from wrapper.subjects import Subject

BOUND = {"id": ObjectRule(claim="customer")}
READ = operation(auth=Auth("things:read", object=BOUND), cache=Caching(600))
WRITE = operation("things.put", method="PUT", effect="write", auth=Auth("things:write", object=BOUND))
LATER = replace(DROP, auth=Auth("things:write", object=BOUND))
DAY = 86400.0


def put(made: Any, key: str = "k1", id: str = "7", caller: Caller = ALICE) -> Any:
    return made.serve(WRITE, request(id, caller, idempotency_key=key))


def desk(store: Store, audit: Audit, why: str = "case 1") -> Desk:
    return Desk(store, audit, "ann", "cli", why)


def test_whom_a_request_is_about_is_kept_with_it_and_reported_and_erased(tmp_path: Path) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, READ, WRITE, LATER)
    put(made)
    put(made, "k2", "8")
    id = made.serve(LATER, request("7", idempotency_key="k3")).body["meta"]["job"]["id"]
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    back_end.replies[id] = reply()
    runner.turn()
    at, seven = desk(store, made.audit), Subject("customer", "7")
    told = at.report(seven)
    assert [write["key"] for write in told["writes"]] == ["k3", "k1"]
    assert (told["writes"][1]["answer"]["body"]["data"]["id"], told["jobs"][0]["params"]["path"]["id"]) == ("7", "7")
    assert {record["op"] for record in told["audit"]} >= {"things.put", "things.drop"}
    calls = len(back_end.calls)
    erased = at.erase(told["fingerprint"])
    assert erased["erased"] == {"writes": 2, "jobs": 1, "samples": 0, "decisions": 0, "legs": 0, "claims": 0, "keys": 1}
    for again in (lambda: put(made), lambda: put(made, id="9"), lambda: made.job(id, ALICE)):
        with pytest.raises(NotKept):
            again()
    assert len(back_end.calls) == calls
    assert put(made, "k2", "8").headers["Idempotency-Replayed"] == "true"
    assert at.report(seven)["audit"] == []  # nobody can tell any more which were theirs


def test_an_erasure_empties_the_caches_of_other_processes_within_a_second(tmp_path: Path) -> None:
    here, there = Scripted(), Scripted()
    made, store = service(tmp_path, here, READ)
    other, _ = service(tmp_path, there, READ)
    for each, back_end in ((made, here), (other, there)):
        each.serve(READ, request("7"))
        until(lambda each=each: each.erasures._known is not None, 5)  # type: ignore[misc]
        each.serve(READ, request("7"))  # kept from now on at the latest
        before = len(back_end.calls)
        each.serve(READ, request("7"))
        assert len(back_end.calls) == before
    Desk(store, made.audit, "ann", "cli").erase(store.fingerprint(Subject("customer", "7")))

    def asked_anew(each: Any, back_end: Scripted) -> bool:
        before = len(back_end.calls)
        each.serve(READ, request("7"))
        return len(back_end.calls) > before

    for each, back_end in ((made, here), (other, there)):
        until(lambda each=each, back_end=back_end: asked_anew(each, back_end), 1.5)  # type: ignore[misc]


def test_a_hold_refuses_an_erasure_with_its_reason(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), WRITE)
    put(made)
    at, found = desk(store, made.audit, "claim 5/26"), store.fingerprint(Subject("customer", "7"))
    assert at.hold(found)["hold"]["why"] == "claim 5/26"
    with pytest.raises(NotPossible, match="held by ann since"):
        at.erase(found)
    assert put(made).headers["Idempotency-Replayed"] == "true"
    assert at.release(found)["released"]
    assert at.erase(found)["erased"]["writes"] == 1
    with pytest.raises(Invalid, match="reason"):
        desk(store, made.audit, "").hold(found)


def test_every_act_is_on_record_before_and_after_and_names_nobody(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), WRITE)
    put(made, id="SECRET7")
    at, found = desk(store, made.audit), store.fingerprint(Subject("customer", "SECRET7"))
    at.report(Subject("customer", "SECRET7"))
    at.hold(found)
    with pytest.raises(NotPossible):
        at.erase(found)
    at.release(found)
    at.erase(found)
    made.audit.close()
    lines = [json.loads(line) for file in (tmp_path / "audit").rglob("*.log") for line in file.read_text().splitlines()]
    assert [line["what"] for line in lines if line["kind"] == "act"] == [f"subject {act}" for act in ("report", "hold", "release", "erase")]
    assert [line["outcome"] for line in lines if line["kind"] == "done"] == ["ok"] * 4
    assert {line.get("subject") for line in lines if line["kind"] == "act"} == {found}
    assert "SECRET7" not in repr(lines)


PERIODS = {"answers": 30 * DAY, "jobs": 90 * DAY, "samples": 30 * DAY, "decisions": DAY, "audit": DAY}


def test_what_is_past_its_time_is_dropped_in_portions_on_record_and_nothing_earlier(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), WRITE)
    now = store.time_of_day()
    for key in "abc":
        put(made, key)
    purge = Purge(store, made.audit, PERIODS, lambda: now)
    assert not purge.turn()
    assert put(made, "a").headers["Idempotency-Replayed"] == "true"
    now += 31 * DAY
    assert purge.due(100) == {"answers": 3, "jobs": 0, "samples": 0, "decisions": 0}
    assert (purge.turn(2), purge.turn(2)) == (True, False)
    for key in "abc":
        with pytest.raises(NotKept):
            put(made, key)
    made.audit.close()
    lines = [json.loads(line) for file in (tmp_path / "audit").rglob("*.log") for line in file.read_text().splitlines()]
    acts = [(line["who"], line["kept"], line["rows"]) for line in lines if line.get("what") == "purge" and line["kind"] == "act"]
    assert acts == [("figway", "answers", 2), ("figway", "answers", 1)]


def test_the_job_worker_does_it_by_itself(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), WRITE)
    put(made)
    later, stop = store.time_of_day() + 31 * DAY, threading.Event()
    worker = threading.Thread(target=Runner(made, {}, store, purge=Purge(store, made.audit, PERIODS, lambda: later)).run, args=(stop,))
    worker.start()
    try:
        until(lambda: store.due("answers", later) == 0, 5)
    finally:
        stop.set()
        worker.join()


def test_jobs_keys_and_people_are_those_of_one_principal_and_one_tenant(tmp_path: Path) -> None:
    """The same name in another tenant is somebody else, and so is the customer of the same number."""
    back_end = Scripted()
    made, store = service(tmp_path, back_end, WRITE, LATER)
    callers = [ALICE, replace(ALICE, name="bob"), replace(ALICE, tenant="retail"), replace(ALICE, tenant="private")]
    jobs = [made.serve(LATER, request("7", caller, idempotency_key="same")).body["meta"]["job"]["id"] for caller in callers]
    assert len(set(jobs)) == 4
    for owner, id in zip(callers, jobs, strict=True):
        assert [made.job(id, caller) is not None for caller in callers] == [caller is owner for caller in callers]
    for caller in callers:
        assert "Idempotency-Replayed" not in put(made, caller=caller).headers
    assert len(back_end.calls) == 4
    reports = [desk(store, made.audit).report(Subject("customer", "7", tenant)) for tenant in ("", "retail", "private", "other")]
    assert [len(told["writes"]) for told in reports] == [4, 2, 2, 0]
    assert [sorted({write["caller"] for write in told["writes"]}) for told in reports[:2]] == [["alice", "bob"], ["retail/alice"]]
    assert [len(told["audit"]) > 0 for told in reports] == [True, True, True, False]


# --- the admin API, and the commands


@dataclass
class Api:
    """A facade in this process, asked without a network."""

    app: Flask
    store: Store
    url: str
    keys: Mapping[str, str]

    def ask(self, path: str, key: str, body: Any, **headers: str) -> Response:
        return Client(self.app).post(
            path, json=body, environ_base={"REMOTE_ADDR": "127.0.0.1"}, headers={"Authorization": f"Bearer {self.keys[key]}", **headers}
        )


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    url = f"sqlite:///{tmp_path}/state/state.sqlite"
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(url)))
        moving.office(tmp_path, store)
        scopes = ("subjects:report", "subjects:erase", "subjects:hold", "pii:reveal")
        callers = [Caller(scope, frozenset({scope}), frozenset({"servicing"})) for scope in scopes]
        callers += [Caller("purposeless", frozenset(scopes)), Caller("all", frozenset(scopes), frozenset({"a", "b"}), tenant="retail")]
        keys = {caller.name: store.issue(caller) for caller in callers}
        given = {"STATE": url, "CATALOGUE": str(tmp_path / "catalogue"), "MODELS": str(tmp_path), "LOG_LEVEL": "error"}
        at = dict.fromkeys(("OLD_URL", "NEW_URL"), "http://127.0.0.1:1")
        app = create_app(from_environment({**{f"FIGWAY_{name}": value for name, value in given.items()}, **at}))
        stack.callback(app.extensions["figway"].close)
        yield Api(app, store, url, keys)


ERIKA = {"kind": "customer", "value": "0000012345", "why": "case 1"}


def test_each_right_needs_its_scope(api: Api) -> None:
    needs = {"report": "subjects:report", "erase": "subjects:erase", "hold": "subjects:hold", "release": "subjects:hold"}
    for verb, scope in needs.items():
        for key in ("subjects:report", "subjects:erase", "subjects:hold", "pii:reveal"):
            assert (api.ask(f"/subjects/{verb}", key, ERIKA).status_code == 200) == (key == scope), (verb, key)


@pytest.mark.parametrize("body", [{}, {"kind": "customer"}, {**ERIKA, "value": 1}, {**ERIKA, "more": "x"}, []])
def test_a_body_that_names_nobody_is_refused(api: Api, body: Any) -> None:
    assert api.ask("/subjects/report", "subjects:report", body).status_code in (400, 422)


def test_a_caller_of_a_tenant_reaches_its_own_people_alone(api: Api) -> None:
    for tenant in ("", "retail"):
        api.store.hold(api.store.fingerprint(Subject("customer", "0000012345", tenant)), "ann", f"of '{tenant}'")
    assert [api.ask("/subjects/report", key, ERIKA).json["hold"]["why"] for key in ("subjects:report", "all")] == ["of ''", "of 'retail'"]  # type: ignore[index]
    assert api.ask("/subjects/erase", "all", ERIKA).status_code == 409


def test_tokens_are_revealed_for_a_purpose_to_their_own_tenant_and_a_few_at_a_time(api: Api) -> None:
    tokens = Tokens(api.store)
    ours, theirs = tokens.tokenise("iban", "DE89", "retail"), tokens.tokenise("iban", "DE89")
    stated = {"Figway-Purpose": "a"}
    assert api.ask("/tokens/reveal", "all", {"tokens": [ours]}, **stated).json == {"values": {ours: "DE89"}}
    assert api.ask("/tokens/reveal", "pii:reveal", {"tokens": [theirs]}).json == {"values": {theirs: "DE89"}}
    refused = [
        ("all", [ours], {}, 403), ("all", [ours], {"Figway-Purpose": "c"}, 403), ("purposeless", [theirs], {}, 403),
        ("subjects:report", [theirs], {}, 403), ("all", [ours, theirs], stated, 422), ("all", [ours] * 101, stated, 422),
        ("all", ["DE89"], stated, 422), ("all", "x", stated, 422),
    ]  # fmt: skip
    for key, asked, headers, status in refused:
        answer = api.ask("/tokens/reveal", key, {"tokens": asked}, **headers)
        assert (answer.status_code, b"DE89" in answer.data) == (status, False), (key, asked, headers)


def test_a_reason_is_text(api: Api) -> None:
    token = Tokens(api.store).tokenise("iban", "DE89", "retail")
    for why, status in ({"of": "DE89"}, 422), (5, 422), ("case 1", 200):
        answer = api.ask("/tokens/reveal", "all", {"tokens": [token], "why": why}, **{"Figway-Purpose": "a"})
        assert answer.status_code == status, answer.text


def test_what_is_offered_about_people_is_described_with_its_scope_and_no_more(api: Api) -> None:
    ours = ("/decisions", "/subjects", "/tokens", "/jobs")
    described = Client(api.app).get("/openapi.json", environ_base={"REMOTE_ADDR": "127.0.0.1"}).json["paths"]
    offered = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in api.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(ours)
    }
    assert {(path, method) for path, told in described.items() for method in told if path.startswith(ours)} == offered
    assert len(offered) == 10
    for path, scope in ("/subjects/erase", "subjects:erase"), ("/decisions/{id}/outcome", "decisions:review"), ("/tokens/reveal", REVEAL):
        assert scope in described[path]["post"]["description"]


def test_the_commands_do_what_the_api_does(api: Api) -> None:
    person = Subject("customer", "0000012345")

    def run(*words: str) -> Any:
        done = CliRunner().invoke(figway, [*words, "--why", "case 1", "--state", api.url], env={"FIGWAY_STATE": api.url})
        return json.loads(done.stdout) if done.exit_code == 0 else done.output

    found = api.store.fingerprint(person)
    assert run("subject", "report", "customer=0000012345")["fingerprint"] == found
    assert run("subject", "hold", "customer=0000012345")["hold"]["why"] == "case 1"
    assert "held by" in run("subject", "erase", found)
    assert run("subject", "release", found)["released"]
    assert run("subject", "erase", "customer=0000012345")["erased"]["writes"] == 0
    token = Tokens(api.store).tokenise("iban", "DE89", "retail")
    assert run("token", "reveal", token, "--tenant", "retail") == {token: "DE89"}
    assert "not a token" in run("token", "reveal", "x")
    assert "customer=0000012345" in run("subject", "report", "nobody")
    said = ("subject", "report", "customer=0000012345", "--state", api.url)
    assert "nothing is kept of them; look" in CliRunner().invoke(figway, [*said, "--why", "case 1"]).stderr
    assert "must say why" in CliRunner().invoke(figway, [*said, "--why", " "]).output
