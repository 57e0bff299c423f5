"""Decisions about people: on record before they are heard of, with their reasons; reviewed by somebody else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from scoring.reasons import reasons
from scoring.store import Store as Models
from tests.unit.small import Scripted, operation, request, service
from tests.unit.trails import records
from wrapper import decisions_api
from wrapper.cli import figway
from wrapper.edge import SEEN, Seen
from wrapper.metrics import Metrics
from wrapper.operation import Auth, Field, ObjectRule, Scoring
from wrapper.policy.keys import ANY, Caller
from wrapper.problems import Forbidden, Invalid, NoSuchThing, NotPossible, NotReady, RequestError
from wrapper.service import Service
from wrapper.state.store import Store
from wrapper.subjects import Subject

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
MODEL = Models(MODELS).model("default-risk@1")
GOLDEN = MODEL.card.golden[12].inputs  # a score of 0.72
KINDS = {str: "string", bool: "boolean", int: "integer"}
FIELDS = (Field("id", "string"), *(Field(name, KINDS[type(value)], optional=True) for name, value in GOLDEN.items()))  # type: ignore[arg-type]
BANDS = (("accepted", 0.0), ("referred", 0.3), ("declined", 0.5))
SCORING = Scoring("default-risk", "1", {name: name for name in GOLDEN}, decides=BANDS)
RISK = operation("things.risk", auth=Auth("things:read", object={"id": ObjectRule(claim="customer")}), fields=FIELDS, scoring=SCORING)
assert RISK.legacy is not None
RISK = replace(RISK, legacy=replace(RISK.legacy, read={}), hash="of-the-file")
SCOPES = frozenset({"things:read"})
CLAIMS = {"customer": frozenset({ANY})}
BANK = Caller("bank", SCOPES, claims=CLAIMS, tenant="north")
OTHER = replace(BANK, name="other")
JUDGE = Caller("judge", frozenset({"decisions:review"}), tenant="north")
STRANGER = replace(JUDGE, tenant="south")
WORDS = "I was never late with a payment"


class Rig:
    """A facade that decides, and its store."""

    def __init__(self, folder: Path, row: Mapping[str, Any] = GOLDEN, kept: type[Store] = Store) -> None:
        texts = {name: str(value).lower() for name, value in row.items() if value is not None}
        back_end = Scripted(lambda call: [{**texts, "id": call.params["id"]}])
        made: tuple[Service, Store] = service(folder, back_end, RISK, models=MODELS, kept=kept)
        self.service, self.store = made
        self.decisions = self.service.decisions

    def ask(self, caller: Caller = BANK, id: str = "7") -> Mapping[str, Any]:
        return self.service.serve(RISK, request(id, caller)).body


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_decision_is_on_record_with_its_reasons_when_its_answer_leaves(rig: Rig) -> None:
    body = rig.ask()
    assert body["meta"]["outcome"] == "declined"
    counted = rig.service.audit._events
    assert isinstance(counted, Metrics)
    assert b'figway_decisions_total{model="default-risk@1",outcome="declined"} 1.0' in counted.page()[0]
    found = rig.store.decision(body["meta"]["decision"])
    assert found is not None
    assert (found.principal, found.tenant, found.operation, found.model, found.catalogue) == (
        "north/bank", "north", "things.risk", "default-risk@1", "of-the-file",
    )  # fmt: skip
    assert (found.made["score"], found.made["outcome"]) == (body["score"]["value"], "declined")
    assert found.made["features"] == GOLDEN
    assert found.made["reasons"] == [{"feature": one.feature, "moves": one.moves} for one in reasons(MODEL, GOLDEN)]
    assert records(rig.store.folder / "audit", "read")[0]["decision"] == found.id


def test_the_same_facts_asked_again_by_the_same_caller_are_the_same_decision(rig: Rig) -> None:
    mine = rig.ask()["meta"]["decision"]
    assert rig.ask()["meta"]["decision"] == mine
    assert len({mine, rig.ask(OTHER)["meta"]["decision"], rig.ask(id="8")["meta"]["decision"]}) == 3
    assert len(rig.store.decisions(None)) == 3


def test_without_a_record_there_is_no_score(tmp_path: Path) -> None:
    class Full(Store):
        def add_decision(self, *_: Any) -> str:
            raise NotReady("the disk is full")

    body = Rig(tmp_path, kept=Full).ask()
    assert body["score"] is None
    assert body["meta"]["not_scored"] == "the decision could not be put on record"
    assert "decision" not in body["meta"]
    assert body["data"]["id"] == "7"


def test_who_can_not_be_scored_is_not_decided_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {**GOLDEN, "age": 200})
    assert "not_scored" in rig.ask()["meta"]
    assert rig.store.decisions(None) == []


def test_features_reasons_and_words_lie_sealed(rig: Rig, tmp_path: Path) -> None:
    id = rig.ask(id="0000077777")["meta"]["decision"]
    rig.decisions.ask(id, BANK, WORDS)
    with sqlite3.connect(tmp_path / "state.sqlite") as raw:
        row = raw.execute("SELECT * FROM decisions").fetchone()
    raw.close()
    kept = " ".join(map(str, row))
    assert id in kept
    assert not any(word in kept for word in (WORDS, "0000077777", "freelance", "seniority", "declined"))


def test_a_caller_sees_its_own_decisions_and_reviewers_all_of_their_tenant_with_values(rig: Rig) -> None:
    id = rig.ask()["meta"]["decision"]
    mine = rig.decisions.shown(id, BANK)
    assert [one["feature"] for one in mine["reasons"]] == [one.feature for one in reasons(MODEL, GOLDEN)]
    assert "features" not in mine
    assert rig.decisions.shown(id, JUDGE)["features"]["job"] == "freelance"
    for nobody in (OTHER, STRANGER, replace(BANK, tenant="south"), replace(BANK, tenant="")):
        with pytest.raises(NoSuchThing):
            rig.decisions.shown(id, nobody)
    with pytest.raises(NoSuchThing):
        rig.decisions.shown("0" * 32, JUDGE)


def test_who_looks_at_a_decision_is_on_record_before_it_leaves(rig: Rig) -> None:
    id = rig.ask()["meta"]["decision"]
    rig.decisions.ask(id, BANK, WORDS)
    rig.decisions.shown(id, BANK)
    rig.decisions.shown(id, JUDGE)
    rig.decisions.open(JUDGE, "open")
    acts = [(one["who"], one["what"], one["about"]) for one in records(rig.store.folder / "audit", "act")]
    assert acts[-3:] == [
        ("north/bank", "decision shown", id), ("north/judge", "decision shown", id), ("north/judge", "decisions shown", [id]),
    ]  # fmt: skip


def test_reviewers_turn_pages_and_ask_by_model_and_time(rig: Rig) -> None:
    app, ids = Flask("test"), [rig.ask(id=id)["meta"]["decision"] for id in "789"]
    for id in ids:
        rig.decisions.ask(id, BANK, WORDS)
    app.register_blueprint(decisions_api.blueprint(rig.decisions, lambda: JUDGE))
    app.testing = True

    def get(asked: Mapping[str, str]) -> bytes:
        return app.test_client().get("/decisions", query_string=asked, environ_overrides={SEEN: Seen("trace")}).data

    def listed(**asked: str) -> list[str]:
        return [one["id"] for one in json.loads(get(asked))["decisions"]]

    whole = listed()
    assert sorted(whole) == sorted(ids)
    assert listed(before=whole[0], model="default-risk@1", since="2026-01-31") == whole[1:]
    assert listed(model="default-risk@2") == listed(since="9999-01-01T00:00") == listed(review="upheld") == []
    for wrong in ({"since": "31/01/2026"}, {"befor": "x"}, {"review": "any"}):
        with pytest.raises(Invalid):
            get(wrong)
    with pytest.raises(NoSuchThing):
        get({"before": "0" * 32})


def test_a_review_is_asked_for_once_and_answered_by_somebody_else(rig: Rig) -> None:
    id = rig.ask()["meta"]["decision"]
    with pytest.raises(NotPossible):
        rig.decisions.end(id, JUDGE, "upheld", "nobody has asked")
    asked = rig.decisions.ask(id, BANK, WORDS)
    assert asked["review"]["state"] == "open"
    with pytest.raises(NotPossible):
        rig.decisions.ask(id, BANK, WORDS)
    (open,) = rig.decisions.open(JUDGE, "open")["decisions"]
    assert (open["id"], open["review"]["words"], open["review"]["asked_by"]) == (id, WORDS, "north/bank")
    assert rig.decisions.open(STRANGER, "open") == {"decisions": []}
    with pytest.raises(NoSuchThing):
        rig.decisions.end(id, STRANGER, "upheld", "not mine")
    ended = rig.decisions.end(id, JUDGE, "overturned", "the record was somebody else's")
    assert (ended["review"]["state"], ended["review"]["reviewer"]) == ("overturned", "north/judge")
    told = rig.decisions.shown(id, BANK)["review"]
    assert (told["state"], told["why"]) == ("overturned", "the record was somebody else's")
    assert "words" not in told
    assert rig.decisions.open(JUDGE, "open") == {"decisions": []}
    with pytest.raises(NotPossible):
        rig.decisions.end(id, JUDGE, "upheld", "changed my mind")
    acts = [(one["who"], one["what"]) for one in records(rig.store.folder / "audit", "act") if one.get("about") == id]
    assert {act for act in acts if "shown" not in act[1]} == {("north/bank", "decision review asked"), ("north/judge", "decision review")}
    assert WORDS not in str(records(rig.store.folder / "audit"))


def test_who_made_a_decision_or_asked_does_not_review_it(rig: Rig) -> None:
    both = replace(BANK, scopes=BANK.scopes | {"decisions:review"})
    id = rig.ask(both)["meta"]["decision"]
    rig.decisions.ask(id, both, WORDS)
    with pytest.raises(Forbidden):
        rig.decisions.end(id, both, "overturned", "I think so")
    with pytest.raises(Forbidden):
        rig.decisions.end(id, BANK, "overturned", "no scope")
    with pytest.raises(Forbidden):
        rig.decisions.ask(rig.ask(OTHER)["meta"]["decision"], JUDGE, WORDS)
    assert not rig.store.end_review(id, both.principal, "upheld", "")


@pytest.mark.parametrize("words", ["", "   ", "x" * 4001])
def test_words_have_a_length(rig: Rig, words: str) -> None:
    id = rig.ask()["meta"]["decision"]
    with pytest.raises(Invalid):
        rig.decisions.ask(id, BANK, words)
    assert rig.decisions.ask(id, BANK, WORDS)["review"]["state"] == "open"  # a refused try has not asked


def test_over_http_the_body_has_what_is_said_and_nothing_else(rig: Rig) -> None:
    id = rig.ask()["meta"]["decision"]
    app, who = Flask("test"), [BANK]
    app.register_blueprint(decisions_api.blueprint(rig.decisions, lambda: who[0]))
    app.register_error_handler(RequestError, lambda error: (error.detail, error.status))
    client = app.test_client()
    client.environ_base[SEEN] = Seen("trace")
    assert client.get(f"/decisions/{id}").get_json()["outcome"] == "declined"
    assert client.get("/decisions").status_code == 403
    assert client.post(f"/decisions/{id}/review", json={"words": WORDS, "review": "upheld"}).status_code == 422
    assert client.post(f"/decisions/{id}/review", json={"words": 5}).status_code == 422
    assert client.post(f"/decisions/{id}/review", json={"words": WORDS}).get_json()["review"]["state"] == "open"
    who[0] = JUDGE
    assert len(client.get("/decisions?review=open").get_json()["decisions"]) == 1
    assert client.get("/decisions?review=all").status_code == 422
    assert client.post(f"/decisions/{id}/outcome", json={"outcome": "fine", "why": "x"}).status_code == 422
    assert client.post(f"/decisions/{id}/outcome", json={"outcome": "upheld", "why": "x"}).get_json()["review"]["state"] == "upheld"


def test_the_commands_list_show_and_review(rig: Rig, tmp_path: Path) -> None:
    id = rig.ask()["meta"]["decision"]
    rig.decisions.ask(id, BANK, WORDS)

    def run(*words: str) -> str:
        done = CliRunner().invoke(figway, ["decision", *words, "--state", f"sqlite:///{tmp_path}/state.sqlite"])
        assert done.exit_code == 0, done.output
        return done.output

    assert f"{id} " in run("list", "--review", "open")
    assert f"{id} " in run("list", "--model", "default-risk@1", "--since", "2026-01-31T12:00")
    for none in (["--model", "default-risk@2"], ["--since", "9999-01-01"], ["--before", id]):
        assert "no decisions" in run("list", *none)
    assert WORDS in (shown := run("show", id))
    assert rig.store.fingerprint(Subject("customer", "7", "north")) in shown
    assert "decision shown" in [act["what"] for act in records(tmp_path / "audit", "act")]
    assert run("review", id, "overturned", "--why", "somebody else's", "--by", "judy") == f"{id}: overturned\n"
    assert "no decisions" in run("list", "--review", "open")
    assert rig.decisions.shown(id, JUDGE)["review"]["reviewer"] == "north/judy"


def test_reasons_are_what_a_score_would_lose_with_the_usual_value_of_a_feature() -> None:
    found = reasons(MODEL, GOLDEN)
    assert found == reasons(MODEL, GOLDEN)
    assert [abs(one.moves) for one in found] == sorted((abs(one.moves) for one in found), reverse=True)
    without = MODEL.score({**GOLDEN, "records": False}).value
    assert {one.feature: one.moves for one in found}["records"] == pytest.approx(MODEL.score(GOLDEN).value - without, abs=1e-6)
    usual = {f.name: _value(f.name, f.reference) for f in MODEL.card.features}
    assert reasons(MODEL, usual) == ()


def _value(name: str, reference: float | None) -> Any:
    feature = next(f for f in MODEL.card.features if f.name == name)
    assert reference is not None
    if feature.codes is not None:
        return next(word for word, code in feature.codes.items() if code == reference)
    return bool(reference) if feature.kind == "flag" else reference
