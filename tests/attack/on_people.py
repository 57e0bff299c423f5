"""People's data, and what proves how they were used: others' decisions, erasures under a hold, a trail that is touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.attack.parts import Attack, Control, Seen, control
from tests.unit.test_audit_verify import written
from tests.unit.test_decisions import BANK, JUDGE, OTHER, STRANGER, WORDS, Rig
from wrapper import json_body
from wrapper.audit import lines, signing
from wrapper.audit.anchor import Anchor, Anchors
from wrapper.audit.trail import Audit
from wrapper.audit.verify import verify
from wrapper.metrics import Metrics
from wrapper.operation import Field
from wrapper.policy.keys import Caller
from wrapper.policy.tokenise import Tokens
from wrapper.privacy import Desk
from wrapper.state.store import Store
from wrapper.subjects import Subject

DECISIONS, PRIVACY, FOLLOW, VERIFY = "wrapper.decisions", "wrapper.privacy", "wrapper.audit.follow", "wrapper.audit.verify"
OWN = control(
    "a decision is its caller's, or its tenant's reviewers'",
    (DECISIONS, "if found is None or not (mine or ", "if found is None or not (True or "),
)
OTHERS = control(
    "nobody reviews their own",
    (DECISIONS, "if caller.principal in (found.asked_by, found.principal):", "if False:"),
    ("wrapper.state.decisions", "AND asked_by <> ?", "AND ? <> ''"),
)
ASKED = control("a review is asked for by who decided", (DECISIONS, "if found.principal != caller.principal:", "if False:"))
VALUES = control("values are for reviewers", (DECISIONS, "told(found, whole=REVIEW in caller.scopes)", "told(found, whole=True)"))
SCOPE = control("scope", ("wrapper.policy.keys", "if scope not in caller.scopes:", "if False:"))
HELD = control(
    "a legal hold",
    (PRIVACY, "if (hold := self._hold(found)) is not None:", "if (hold := None) is not None:"),
    ("wrapper.state.kept", 'if tx.one("SELECT at FROM holds WHERE fingerprint = ?", (found,)) is not None:', "if False:"),
)
MANY = control("so many tokens at once", (PRIVACY, "if len(tokens) > REVEALED:", "if False:"))
LINKED = control(
    "a record knows the one before",
    (FOLLOW, "if ended or not line.startswith(start):", """if ended or not line.startswith(b'{"n":%d,' % (n + 1)):"""),
)
ANCHORED = control(
    "a trail is as it was anchored", (VERIFY, "            _as_anchored(folder / name, head, known, watch)", "            pass")
)
EVERYBODY = control(
    "a writer that was anchored is there",
    (VERIFY, "| stones.keys() | (anchors.heads.keys() if anchors is not None else set())", "| stones.keys()"),
)
OUTSIDE = control(
    "the key lies elsewhere",
    ("wrapper.audit.anchor", "if folder.resolve() in (*key.resolve().parents, *file.resolve().parents):", "if False:"),
)
TYPED = control(
    "amounts are text, and numbers none",
    ("wrapper.json_body", "if value is not None and type(value) not in types and wanted:", "if False:"),
)
BOTH = replace(BANK, scopes=BANK.scopes | JUDGE.scopes)


def sees(caller: Caller, wanted: str = "reasons") -> Callable[[Path], Seen]:
    """Got when this caller is shown that of a decision of the bank's."""

    def act(folder: Path) -> Seen:
        rig = Rig(folder)
        shown = rig.decisions.shown(rig.ask()["meta"]["decision"], caller)
        return Seen(wanted in shown, f"shown {sorted(shown)}")

    return act


def reviews(caller: Caller, decided: Caller = BANK) -> Callable[[Path], Seen]:
    """A review is asked for, and this caller ends it. Got when the decision is overturned."""

    def act(folder: Path) -> Seen:
        rig = Rig(folder)
        id = rig.ask(decided)["meta"]["decision"]
        rig.decisions.ask(id, decided, WORDS)
        return Seen(
            rig.decisions.end(id, caller, "overturned", "because")["review"]["state"] == "overturned", f"overturned by {caller.principal}"
        )

    return act


def asks(caller: Caller) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        rig = Rig(folder)
        told = rig.decisions.ask(rig.ask()["meta"]["decision"], caller, WORDS)
        return Seen(told["review"]["state"] == "open", "a review is open")

    return act


def lists(caller: Caller) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        rig = Rig(folder)
        rig.decisions.ask(rig.ask()["meta"]["decision"], BANK, WORDS)
        return Seen(WORDS in str(rig.decisions.open(caller, "open")), "a person's words are shown")

    return act


def erases(held: bool) -> Callable[[Path], Seen]:
    """Got when what is kept of a person is erased."""

    def act(folder: Path) -> Seen:
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            audit = Audit(folder / "audit", store, "hash", Metrics())
            found = store.fingerprint(Subject("customer", "7"))
            if held:
                store.hold(found, "ann", "a court's order")
            done = Desk(store, audit, "bob", "cli", "a request").erase(found)
            return Seen("erased" in done, f"erased {done['erased']}")

    return act


def reveals(many: int) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            audit, tokens = Audit(folder / "audit", store, "hash", Metrics()), Tokens(store)
            told = Desk(store, audit, "bob", "cli").reveal(
                [tokens.tokenise("account_number", str(n)) for n in range(many)], "", "servicing"
            )
            return Seen(len(told) == many, f"{len(told)} values")

    return act


def unnoticed(change: Callable[[Path, list[Path]], None], anchored: bool = True) -> Callable[[Path], Seen]:
    """Somebody has changed the trail. Got when it verifies all the same, everything in it that was there before."""

    def act(folder: Path) -> Seen:
        trail = folder / "trail"
        written(trail, 20)
        signing.make_key(folder / "key")
        anchor = Anchor(trail, folder / "key", folder / "anchors")
        if anchored:
            anchor.turn()
        change(trail, [file for writer in lines.writers(trail) for file in lines.segments(writer)])
        known = Anchors(folder / "anchors", anchor.key.public_key()) if anchored else None
        faults = [one.fault for one in verify(trail, known, anchor.key.public_key()) if one.fault is not None]
        return Seen(not faults, str(faults[0].what) if faults else "sound")

    return act


def _edited(_: Path, files: list[Path]) -> None:
    files[0].write_bytes(files[0].read_bytes().replace(b"caller-7", b"caller-8"))


def _cut(_: Path, files: list[Path]) -> None:
    files[-1].write_bytes(b"".join(files[-1].read_bytes().splitlines(keepends=True)[:-5]))


def _gone(trail: Path, files: list[Path]) -> None:
    shutil.rmtree(files[0].parent)


def _untouched(_trail: Path, _files: list[Path]) -> None:
    """Nothing."""


def keeps_key(inside: bool) -> Callable[[Path], Seen]:
    def act(folder: Path) -> Seen:
        trail = folder / "trail"
        written(trail, 2)
        place = trail / "key" if inside else folder / "key"
        signing.make_key(place)
        Anchor(trail, place, folder / "anchors").turn()
        return Seen((folder / "anchors").exists(), "anchored with that key")

    return act


def typed(kind: Any, value: Any) -> Callable[[Any], Seen]:
    def act(_: Any) -> Seen:
        json_body.typed({"value": value}, [Field("value", kind)])
        return Seen(True, f"{value!r} is taken")

    return act


def _trail(name: str, by: Control, change: Any, anchored: bool = True) -> Attack:
    return Attack(f"audit.{name}", "audit", by, unnoticed(change, anchored), unnoticed(_untouched, anchored))


ATTACKS = (
    Attack("decision.of_another_caller", "decisions", OWN, sees(OTHER), sees(BANK)),
    Attack("decision.of_another_tenant", "decisions", OWN, sees(STRANGER), sees(JUDGE)),
    Attack("decision.values", "decisions", VALUES, sees(BANK, "features"), sees(JUDGE, "features")),
    Attack("decision.reviewed_by_who_decided", "decisions", OTHERS, reviews(BOTH, BOTH), reviews(JUDGE)),
    Attack("decision.list_without_scope", "decisions", SCOPE, lists(BANK), lists(JUDGE)),
    Attack("decision.review_asked_by_a_reviewer", "decisions", ASKED, asks(JUDGE), asks(BANK)),
    Attack("person.erased_under_a_hold", "people", HELD, erases(True), erases(False)),
    Attack("person.tokens_by_the_thousand", "people", MANY, reveals(1000), reveals(100)),
    _trail("record_edited", LINKED, _edited, anchored=False),
    _trail("tail_cut_off", ANCHORED, _cut),
    _trail("writer_gone", EVERYBODY, _gone),
    Attack("audit.key_in_the_trail", "audit", OUTSIDE, keeps_key(True), keeps_key(False)),
    Attack("body.amount_as_a_float", "bodies", TYPED, typed("decimal", Decimal("0.1")), typed("decimal", "0.10")),
    Attack("body.number_as_text", "bodies", TYPED, typed("integer", "12"), typed("integer", 12)),
    Attack("body.text_for_true", "bodies", TYPED, typed("boolean", "true"), typed("boolean", True)),
)
