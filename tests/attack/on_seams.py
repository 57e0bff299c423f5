"""Between the parts: a check that one way in has and another lacks, and what may be lost or kept from others by who comes another way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fixtures.issuer import token
from tests.attack.minted import ISSUER, believing, called, claims, key
from tests.attack.on_issuer import issuer
from tests.attack.parts import Attack, Seen, control
from tests.unit.small import ALICE, DROP, Scripted, reply, request, service
from tests.unit.trails import records
from wrapper.audit import lines, signing
from wrapper.audit.anchor import Anchor, Anchors
from wrapper.audit.verify import verify
from wrapper.audit.writer import Writer
from wrapper.decisions import Decisions
from wrapper.issuer import passwords
from wrapper.jobs import Runner
from wrapper.policy.keys import Caller
from wrapper.policy.logins import FAILURES
from wrapper.problems import NotReady
from wrapper.state.records import WriteId
from wrapper.state.store import Store
from wrapper.subjects import Subject

JOBS = control(
    "a job's answer is for who may ask",
    ("wrapper.service", 'authorise(operation.auth, caller, min(held, default=None)) if operation else ""', '""'),
)
LOOKED = control(
    "who looks at a decision is on record",
    ("wrapper.decisions", 'with self._act(caller.principal, "decision shown", about=id):', "if True:"),
)
HELD = control("a hold is of all rows", ("wrapper.state.kept", "if _shared(tx, table, found)]", "if False]"))
MOVED = control("a trail is where it belongs", ("wrapper.audit.chain", "if not self._there():", "if False:"))
EMPTIED = control("anchors that are emptied are missed", ("wrapper.audit.verify", "if not anchors.n:", "if False:"))
MOST = control("an issuer gives what it may", ("wrapper.policy.tokens", "if issuer.scopes:", "if False:"))
NO_GUESS = control(
    "a made-up code locks nobody out", ("wrapper.issuer.routes", 'door.failed(guess=body["error"] == "invalid_client")', "door.failed()")
)
WAITING = control("few wait to sign in", ("wrapper.issuer.passwords", "MANY = 6", "MANY = 600"))


def job(caller: Caller) -> Callable[[Path], Seen]:
    """Got when alice's answer comes with this credential of hers."""

    def act(folder: Path) -> Seen:
        back_end = Scripted()
        made, store = service(folder, back_end, DROP)
        with closing(store), closing(made):
            id = made.serve(DROP, request(idempotency_key="k")).body["meta"]["job"]["id"]
            runner = Runner(made, {"scripted": back_end}, store)
            runner.turn()
            back_end.replies[id] = reply()
            runner.turn()
            answer = made.job(id, caller)
        return Seen(answer is not None and answer.body["data"] is not None, f"{answer!s:.60}")

    return act


def unseen(folder: Path, recorded: bool = False) -> Seen:
    """Got when a decision's reasons come and nobody can tell who has had them; the twin: when they come and one can."""
    made, store = service(folder, Scripted(), DROP)
    with closing(store), closing(made):
        about = {"score": 0.4, "outcome": "declined", "features": {}, "reasons": []}
        id = store.add_decision("alice", "", DROP.name, "risk@1", "hash", [], about)
        shown = Decisions(store, made.audit.act).shown(id, ALICE)
        acts = [one["what"] for one in records(store.folder / "audit", "act")]
    return Seen(shown["outcome"] == "declined" and bool(acts) is recorded, str(acts))


def erased(held: bool) -> Callable[[Path], Seen]:
    """Got when what is of two people goes with one of them; `held`: the other one must be kept."""

    def act(folder: Path) -> Seen:
        one, other, write = Subject("customer", "1"), Subject("customer", "2"), WriteId("alice", "payments.create", "k")
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            store.reserve(write, {}, 30, subjects=[one, other])
            store.settle(write, {"status": 200, "body": {}})
            if held:
                store.hold(store.fingerprint(other), "ann", "case 7")
            count = store.erase_of(store.fingerprint(one))["writes"]
        return Seen(count == 1, f"{count} erased")

    return act


def moved(away: bool) -> Callable[[Path], Seen]:
    """Got when something is taken for recorded, wherever the trail is by then."""

    def act(folder: Path) -> Seen:
        with closing(Writer(folder / "audit", {"process": "test"})) as writer:
            writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0)
            if away:
                (folder / "audit").rename(folder / "elsewhere")
            return Seen(writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0) > 0, "recorded")

    return act


def verified(emptied: bool) -> Callable[[Path], Seen]:
    """Got when no fault is found."""

    def act(folder: Path) -> Seen:
        signing.make_key(folder / "key")
        with closing(Writer(folder / "audit", {"process": "test"})) as writer:
            writer.put(lines.packed({"at": lines.now(), "kind": "read"}), 5.0)
            made = Anchor(folder / "audit", folder / "key", folder / "anchors")
            made.turn()
        if emptied:
            (folder / "anchors").write_bytes(b"")
        try:
            public = made.key.public_key()
            faults = [each.fault for each in verify(folder / "audit", Anchors(folder / "anchors", public), public) if each.fault]
        except Exception as fault:  # noqa: BLE001 - whatever is found
            return Seen(False, str(fault)[-60:])
        return Seen(not faults, f"{faults!s:.60}")

    return act


def scoped(scope: str) -> Callable[[Path], Seen]:
    """Got when a partner's token gives this scope; it is there for `a:read` alone."""

    def act(_: Path) -> Seen:
        caller = called(believing(replace(ISSUER, scopes=frozenset({"a:read"}))), token(key(), claims(scope=scope)))
        return Seen(scope in caller.scopes, str(sorted(caller.scopes)))

    return act


def locked_out(codes: int) -> Callable[[Path], Seen]:
    """Got when a client is turned away since people of another one, behind the same address, sent codes that they made up."""

    def act(folder: Path) -> Seen:
        with issuer(folder) as site:
            for _ in range(codes):
                site.redeemed("made-up")
            return Seen(site.batch().status_code == (429 if codes else 200), f"after {codes} codes")

    return act


def held_up(people: int) -> Callable[[Path], Seen]:
    """Got when all of so many sign-ins hold a thread each, some of them until their patience is over."""

    def act(_: Path) -> Seen:
        away: list[int] = []

        def sign_in(number: int) -> None:
            began = time.monotonic()
            try:
                passwords.right("wrong", None)
            except NotReady:
                away.extend([number] if time.monotonic() - began < 2.0 else [])

        threads = [threading.Thread(target=sign_in, args=(number,)) for number in range(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Seen(not away, f"{len(away)} of {people} turned away at once")

    return act


ATTACKS = (
    Attack("seam.job_without_the_scope", "seams", JOBS, job(replace(ALICE, scopes=frozenset({"things:read"}))), job(ALICE)),
    Attack("seam.decision_unseen", "seams", LOOKED, unseen, lambda folder: unseen(folder, recorded=True)),
    Attack("seam.hold_by_way_of_another", "seams", HELD, erased(held=True), erased(held=False)),
    Attack("seam.trail_moved_away", "seams", MOVED, moved(away=True), moved(away=False)),
    Attack("seam.anchors_emptied", "seams", EMPTIED, verified(emptied=True), verified(emptied=False)),
    Attack("seam.partner_gives_more", "seams", MOST, scoped("subjects:erase"), scoped("a:read")),
    Attack("seam.lock_out_by_codes", "seams", NO_GUESS, locked_out(int(FAILURES) + 1), locked_out(0)),
    Attack("seam.sign_ins_hold_threads", "seams", WAITING, held_up(12), held_up(2)),
)
