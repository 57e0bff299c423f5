"""The admin API of migration: who may do what, and that it says what the commands say."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tests.unit import moving
from tests.unit.trails import records
from tests.waiting import until
from wrapper import kill_file
from wrapper.app import create_app
from wrapper.cli import figway
from wrapper.migrating import Office
from wrapper.policy.keys import Caller
from wrapper.settings import from_environment
from wrapper.state.store import Store

SCOPES = ("read", "samples", "change", "approve", "sweep")
LOOKS = {
    "/migration": "read", "/migration/history": "read", "/migration/callers": "read", "/migration/burndown": "read",
    "/migration/reconcile": "read", "/migration/things.get": "read", "/migration/things.get/history": "read",
    "/migration/things.get/callers": "read", "/migration/things.get/report": "read", "/migration/things.get/samples": "samples",
    "/migration/things.get/rules": "samples",
}  # fmt: skip
MOVES = {
    "promote": "change", "withdraw": "change", "rollback": "change", "kill": "change", "approve": "approve", "compare": "sweep",
}  # fmt: skip


@dataclass
class Api:
    """A facade in this process, asked without a network."""

    app: Flask
    office: Office
    keys: Mapping[str, str]
    settings: Mapping[str, str]
    old: moving.Shelf

    def ask(self, request: str, key: str = "all", body: Any = None, **headers: str) -> Response:
        method, path = request.split(" ")
        sent = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        return Client(self.app).open(path, method=method, json=body, headers={**sent, **headers})


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    url = f"sqlite:///{tmp_path}/state/state.sqlite"
    old, new = moving.Shelf({"1": "brick", "2": "plank"}), moving.Shelf({"1": "brick", "2": "plane"})
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(url)))
        office = moving.office(tmp_path, store)
        every = frozenset(f"migration:{scope}" for scope in SCOPES)
        callers = [Caller("all", every), Caller("other", every), *(Caller(scope, frozenset({f"migration:{scope}"})) for scope in SCOPES)]
        callers.append(Caller("bound", every | {"things:read"}, claims={"thing": frozenset("1")}))
        keys = {caller.name: store.issue(caller) for caller in callers}
        at = {name: "http://{}:{}".format(*shelf.start()) for name, shelf in (("OLD_URL", old), ("NEW_URL", new))}
        stack.callback(old.stop)
        stack.callback(new.stop)
        given = {"STATE": url, "CATALOGUE": str(tmp_path / "catalogue"), "MODELS": str(tmp_path), "LOG_LEVEL": "error"}
        app = create_app(from_environment({**{f"FIGWAY_{name}": value for name, value in given.items()}, **at}))
        stack.callback(app.extensions["figway"].close)
        yield Api(app, office, keys, given, old)


def test_each_thing_needs_its_scope_and_nothing_is_told_without_one(api: Api) -> None:
    wanted = {f"GET {path}": scope for path, scope in LOOKS.items()}
    wanted |= {f"POST /migration/things.get/{verb}": scope for verb, scope in MOVES.items()}
    wanted |= {f"POST /migration/{path}": "change" for path in ("kill", "reconcile/write-owed", "reconcile/1/retry", "reconcile/1/settle")}
    for request, scope in wanted.items():
        assert api.ask(request, "").status_code == 401
        for other in SCOPES:
            status = api.ask(request, other, {} if request.startswith("POST") else None).status_code
            assert (status == 403) is (other != scope), (request, other, status)


def test_moves_looks_at_samples_and_what_was_refused_are_on_the_audit_trail(api: Api) -> None:
    trail = api.office.store.folder / "audit"
    api.ask("POST /migration/things.get/promote", "read", {})
    api.ask("POST /migration/things.get/promote", "all", {"why": "it is time"})
    api.ask("GET /migration/things.get/samples", "samples")
    api.ask("GET /jobs/NONE", "bound")
    until(lambda: len(records(trail, "denied")) == 2)
    denied = [(r["who"], r["op"], r["status"]) for r in records(trail, "denied")]
    assert denied == [("read", "migration.promote", 403), ("bound", "jobs", 404)]
    acts = [(r["who"], r["what"], r["about"], r["via"]) for r in records(trail, "act")]
    assert acts == [("all", "migrate promote", "things.get", "api"), ("samples", "migrate samples", "things.get", "api")]
    assert [r["outcome"] for r in records(trail, "done")] == ["ok"]


def test_an_endpoint_goes_to_a_canary_by_two_keys_and_back_by_one(api: Api) -> None:
    assert api.ask("POST /migration/things.get/promote", body={}).json["stage"] == "shadow"
    moving.evidence(f"sqlite:///{api.office.store.folder}/state.sqlite", api.office)
    body = {"share": "10%", "consumers": {"ui": "100%"}, "ticket": "CHG-1", "why": "it is time"}
    assert api.ask("POST /migration/things.get/promote", body=body).json["proposed"]["share"] == "10%"
    alone = api.ask("POST /migration/things.get/approve")
    assert (alone.status_code, alone.mimetype) == (409, "application/problem+json")
    assert "another person" in alone.json["errors"][0]["reason"]
    done = api.ask("POST /migration/things.get/approve", "other").json
    assert (done["stage"], done["who"], done["second"]) == ("canary", "all", "other")
    [told] = api.ask("GET /migration/things.get").json["endpoints"]
    assert (told["stage"], told["consumers"]) == ("canary", {"ui": "100%"})
    signed = api.ask("GET /migration/things.get/report").data
    assert signed.decode() == api.office.store.report("things.get", 2)
    assert api.ask("POST /migration/things.get/rollback", body={"why": "slow"}).json["stage"] == "shadow"
    assert [move["who"] for move in api.ask("GET /migration/history").json["moves"]] == ["all", "all", "all"]


def test_what_stands_in_the_way_is_a_problem_with_all_reasons(api: Api) -> None:
    api.ask("POST /migration/things.get/promote", body={})
    refused = api.ask("POST /migration/things.get/promote", body={"share": "1%", "ticket": "CHG-1"})
    assert refused.status_code == 409
    assert len(refused.json["errors"]) == 3


def test_a_kill_by_one_key_takes_all_or_what_moves_together(api: Api) -> None:
    api.ask("POST /migration/things.get/promote", body={})
    assert api.ask("POST /migration/kill", body={}).status_code == 422
    assert api.ask("POST /migration/kill", body={"why": "fire"}).json["killed"] == ["things.get"]
    assert sorted(api.ask("POST /migration/things.put/kill", body={"why": "fire"}).json["killed"]) == ["things.drop", "things.put"]


def test_a_kill_while_the_store_is_away_is_a_file_of_this_host(api: Api) -> None:
    assert api.ask("GET /migration").status_code == 200  # so the key is known
    state = api.office.store.folder / "state.sqlite"
    state.rename(state.with_name("gone"))
    done = api.ask("POST /migration/kill", body={"why": "fire"}).json
    assert (done["by"], done["killed"]) == ("file", ["*"])
    assert "all: fire" in kill_file.read(api.office.store.folder)["*"]


WRONG = (
    ("POST /migration/nobody.knows/promote", {}, 404),
    ("POST /migration/things.old/promote", {}, 404),
    ("POST /migration/things.get/promote", {"too": "canary"}, 422),
    ("POST /migration/things.get/promote", {"to": "heaven"}, 422),
    ("POST /migration/things.get/promote", {"share": 10}, 422),
    ("POST /migration/things.get/promote", {"consumers": {"ui": 1}}, 422),
    ("POST /migration/things.get/promote", [1], 400),
    ("POST /migration/things.get/rollback", {}, 422),
    ("POST /migration/things.get/rollback", {"why": "x", "to": "canary"}, 409),
    ("POST /migration/reconcile/1/settle", {"why": "x"}, 404),
    ("POST /migration/reconcile/write-owed", {"group": "nobody"}, 404),
    ("GET /migration/nobody.knows", None, 404),
    ("GET /migration/things.get/report?number=1st", None, 422),
    ("DELETE /migration/things.get", None, 405),
)  # fmt: skip


def test_what_can_not_be_meant_is_a_problem_and_moves_nothing(api: Api) -> None:
    for request, body, status in WRONG:
        answer = api.ask(request, body=body)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), (request, body, answer.text)
    assert api.office.store.moves() == []


def test_the_burndown_is_a_page_for_people_and_data_for_programs(api: Api) -> None:
    assert api.ask("GET /migration/burndown").json["blocked"]
    page = api.ask("GET /migration/burndown", Accept="text/html")
    assert page.mimetype == "text/html"
    assert page.text.startswith("<!doctype html>")


def test_the_listener_for_administration_has_it_too(api: Api) -> None:
    admin = Client(api.app.extensions["figway.admin"], Response)
    asked = admin.get("/migration", headers={"Authorization": f"Bearer {api.keys['read']}"})
    assert {each["endpoint"] for each in asked.json["endpoints"]} == {"things.get", "things.put", "things.drop"}
    assert admin.get("/migrations").status_code == 404


def compare(api: Api, key: str, id: str) -> Response:
    return api.ask("POST /migration/things.get/compare", key, {"params": {"id": id}})


def test_one_key_is_compared_as_evidence_by_who_may_ask_for_it(api: Api) -> None:
    assert compare(api, "all", "1").status_code == 403  # no scope of the endpoint
    assert compare(api, "bound", "2").status_code == 403  # another customer
    assert compare(api, "bound", "one").status_code == 422
    assert compare(api, "bound", "1").json["outcome"] == "equal"
    assert [len(r["subjects"]) for r in records(api.office.store.folder / "audit", "act") if r["what"] == "migrate compare"] == [1]
    api.app.extensions["figway"].service.ledger.close()
    facts = api.office.store.facts("things.get")
    assert facts is not None
    assert (facts.seen.keys, facts.counts["equal"]) == (1, 1)


def sweep(api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch, *keys: str) -> Result:
    """As a person runs it, against the facade on a port."""
    for name, value in api.settings.items():
        monkeypatch.setenv(f"FIGWAY_{name}", value)
    (folder / "keys").write_text("\n".join(keys))
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        words = ["migrate", "sweep", "things.get", "--keys", str(folder / "keys"), "--url", f"http://127.0.0.1:{server.server_port}"]
        return CliRunner().invoke(figway, [*words, "--at-once", "1"])
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_sweep_compares_a_list_through_the_served_facade_and_takes_its_key_back(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = sweep(api, tmp_path, monkeypatch, "1", "2", "3", "x")
    assert (ran.exit_code, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert lines[0] == "4 asked, 1 different, 2 equal, 1 refused, 0 unasked"
    assert "  1 different: value object.word" in lines
    assert all(row.revoked for row in api.office.store.all_keys() if row.caller.name.startswith("sweep-"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_that_is_ended_says_what_was_done_and_where_to_go_on_and_takes_its_key_back(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    api.old.heard = lambda target: signal.raise_signal(how) if target == "/things/2" else None  # the sweep's, as it runs here
    ran = sweep(api, tmp_path, monkeypatch, *map(str, range(1, 400)))
    assert ran.exit_code == 130
    counts, onward = ran.stdout.splitlines()[0], ran.stdout.splitlines()[-1]
    assert re.fullmatch(r"\d+ asked, .*, 3\d\d unasked", counts)
    assert re.fullmatch(r"go on with --after \d+", onward)
    assert [act["about"] for act in records(api.office.store.folder / "audit", "act") if act["what"] == "migrate sweep"] == ["things.get"]
    assert all(row.revoked for row in api.office.store.all_keys() if row.caller.name.startswith("sweep-"))
