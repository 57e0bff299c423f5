"""What is kept and shown of what people did: log lines, the kill file, two people's promotions, values at rest."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from tests.attack.parts import Attack, Control, Seen, control, same
from tests.unit import moving
from wrapper import kill_file, killing, log, migrating
from wrapper.migrating import Said
from wrapper.migration.decide import Standing, decide
from wrapper.operation import Side
from wrapper.policy.keys import Caller, new
from wrapper.policy.tokenise import Tokens
from wrapper.state.issuer import Client, Person
from wrapper.state.seal import Seal
from wrapper.state.store import Store

LOG, MIGRATING, SEAL, TOKENISE = "wrapper.log", "wrapper.migrating", "wrapper.state.seal", "wrapper.policy.tokenise"
DUMPED = "if (line := orjson.dumps(event)).isascii():"
NAIVE = 'if line := " ".join(f"{name}={value}" for name, value in event.items()).encode():'
LINES = control("a log line is JSON", (LOG, DUMPED, NAIVE))
PLAIN = control("a log line is ASCII", (LOG, DUMPED, "if line := orjson.dumps(event):"))
FORGED_EVIDENCE = control(
    "what testers do proves nothing", ("wrapper.migration.decide", "return Choice(wanted, evidence=False)", "return Choice(wanted)")
)
CLASSES = control(
    "errors are shown by class", (LOG, 'event["error"], event["at"] = type(error).__name__,', 'event["error"], event["at"] = str(error),')
)
TRUSTED = control("libraries' texts are not shown", (LOG, "if self._trusted:", "if True:"))
REASON = control("a reason is one line", (MIGRATING, "if len(self.why) > MOST or not self.why.isprintable():", "if False:"))
PERSON = control("a person is named", (MIGRATING, "if not _WHO.fullmatch(self.who):", "if False:"))
TICKET = control("a ticket is one", (MIGRATING, "if self.ticket and not _TICKET.fullmatch(self.ticket):", "if False:"))
TWO = control("two people", (MIGRATING, "if Said(who).who.casefold() == proposal.who.casefold():", "if False:"))
PLACE = control("a value is sealed as what it is", (SEAL, "_bound(what, of))\n\n", 'b"")\n\n'), (SEAL, "_bound(what, of)))", 'b""))'))
WHOSE = control(
    "a token is a tenant's and of its class",
    (TOKENISE, "yield tenant.encode()", 'yield b""'),
    (TOKENISE, "yield kind.encode()", 'yield b""'),
)

MARKED = control(
    "rows that let somebody in are marked",
    ("wrapper.state.marks", 'if hmac.compare_digest(str(row["mark"]).encode(), _mark(seal, table, row).encode()):', "if True:"),
)


def logged(value: str, wanted: Callable[[bytes], bool]) -> Callable[[Any], Seen]:
    """The line of a request whose caller is called so."""

    def act(_: Any) -> Seen:
        line = log._json({"event": "request", "caller": value, "status": 403})
        return Seen(wanted(line), repr(line)[:80])

    return act


def told(act_: Callable[[], None], wanted: str) -> Callable[[Path], Seen]:
    """Got when what is written to standard error has this."""

    def act(folder: Path) -> Seen:
        kept = os.dup(2)
        with (folder / "log").open("wb") as out:
            os.dup2(out.fileno(), 2)
            try:
                act_()
                log.flush()
            finally:
                os.dup2(kept, 2)
                os.close(kept)
        said = (folder / "log").read_text()
        return Seen(wanted in said, said[:90])

    return act


def fails() -> None:
    try:
        raise KeyError("card 4111111111111111")
    except KeyError:
        log.get().error("failed", endpoint="customers.get", exc_info=True)


def complains() -> None:
    import logging

    log.Library().emit(logging.LogRecord("zeep", logging.WARNING, "zeep.py", 7, "no such customer %s", ("4111111111111111",), None))


def killed(who: str = "alice", why: str = "too many errors", ticket: str = "") -> dict[str, Any]:
    return {"who": who, "why": why, "ticket": ticket}


def holds(said: dict[str, Any], wanted: str) -> Callable[[Path], Seen]:
    """One endpoint is killed by file. Got when the file holds this one."""

    def act(folder: Path) -> Seen:
        killing.kill(None, folder, killing.Named(["accounts.list"]), Said(**said))
        held = kill_file.read(folder)
        return Seen(wanted in held, str(dict(held))[:90])

    return act


def ticketed(ticket: str) -> Callable[[Any], Seen]:
    return lambda _: same(Said("alice", ticket).ticket, ticket)


def promoted(second: str) -> Callable[[Path], Seen]:
    """Alice proposes, and this one approves. Got when the endpoint stands at a canary."""

    def act(folder: Path) -> Seen:
        url = f"sqlite:///{folder}/state/state.sqlite"
        with closing(Store(url)) as store:
            office = moving.office(folder, store)
            migrating.promote(office, "things.get", migrating.wish(), Said("alice"))
            moving.evidence(url, office)
            migrating.promote(office, "things.get", migrating.wish(share="10%"), Said("alice", "CHG-1", "it is time"))
            done = migrating.approve(office, "things.get", second)
        return Seen(done["stage"] == "canary", f"{done['stage']} by {second}")

    return act


def proves(wanted: Side | None) -> Callable[[Any], Seen]:
    """Got when an answer counts for the promotion of an endpoint that is compared."""

    def act(_: Any) -> Seen:
        counts = decide(Standing("shadow"), "things", "7", "alice", wanted).evidence
        return Seen(counts, f"{'counted' if counts else 'not counted'} as evidence")

    return act


def moved(what: str, of: str) -> Callable[[Any], Seen]:
    """A sealed answer is copied over another row's, or column's. Got when it opens there."""

    def act(_: Any) -> Seen:
        seal = Seal(Fernet.generate_key())
        kept = seal.close({"balance": "1000000.00"}, "writes.answer", "alice/1")
        return same(seal.open(kept, what, of), {"balance": "1000000.00"})

    return act


def written(statement: str, may: str = "a:read") -> Callable[[Path], Seen]:
    """Somebody writes to the store, and has not its key. Got when a caller may do what only an operator may."""

    def act(folder: Path) -> Seen:
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            caller = Caller("alice", frozenset({may}))
            sent, (mine, row) = store.issue(caller), new(caller)
            store.add_client(Client(caller, "none", "", ("https://app.example/",)))
            store.add_person(Person(replace(caller, name="ann"), "hash"))
            with closing(sqlite3.connect(folder / "state.sqlite")) as db:
                db.execute(statement, {"id": row.id, "digest": row.digest} if ":digest" in statement else {})
                db.commit()
            key, client, person = store.key((mine if ":digest" in statement else sent)[3:15]), store.client("alice"), store.person("ann")
        met = [one.caller.scopes for one in (key, client, person) if one is not None]
        told = "everybody is whom they were" if len(met) == 3 else "a row is taken for none"
        return Seen(any("b:operate" in scopes for scopes in met), told)

    return act


def revealed(tenant: str, change: Callable[[str], str] = str) -> Callable[[Path], Seen]:
    """A token of the north's. Got when it opens for this tenant, after this was done to it."""

    def act(folder: Path) -> Seen:
        with closing(Store(f"sqlite:///{folder}/state.sqlite")) as store:
            tokens = Tokens(store)
            return same(tokens.reveal(change(tokens.tokenise("account_number", "000123450001", "north")), tenant)[1], "000123450001")

    return act


def _log(name: str, value: str, wanted: Callable[[bytes], bool], by: Control = LINES) -> Attack:
    return Attack(f"log.{name}", "logs", by, logged(value, wanted), logged("alice", lambda line: b"alice" in line))


def _killed(name: str, by: Control, said: dict[str, Any], wanted: str) -> Attack:
    return Attack(f"kill.{name}", "admin", by, holds(said, wanted), holds(killed(), "accounts.list"))


FORGED = json.dumps({"event": "request", "caller": "alice", "status": 200})
ATTACKS = (
    _log("forged_line", f"bob\n{FORGED}\n", lambda line: FORGED.encode() in line.splitlines()),
    _log("carriage_return", "bob\rstatus=200", lambda line: b"\r" in line),
    _log("terminal_escape", "bob\x1b[2J\x1b[1A", lambda line: b"\x1b" in line),
    _log("forged_member", 'bob", "status": 200, "x": "', lambda line: b'bob", "status": 200' in line),
    _log("next_line", "bob\x85alice: 200", lambda line: len(line.decode().splitlines()) > 1, PLAIN),
    _log("line_separator", "bob\u2028alice: 200", lambda line: len(line.decode().splitlines()) > 1, PLAIN),
    _log("right_to_left", "bob\u202e002", lambda line: "\u202e" in line.decode(), PLAIN),
    Attack("log.value_of_an_error", "logs", CLASSES, told(fails, "4111111111111111"), told(complains, "zeep")),
    Attack("log.value_of_a_library", "logs", TRUSTED, told(complains, "4111111111111111"), told(fails, "customers.get")),
    _killed("reason_with_a_line", REASON, killed(why="x\n*  # all of them"), "*"),
    _killed("reason_with_an_endpoint", REASON, killed(why="x\npayments.create"), "payments.create"),
    _killed("person_with_a_line", PERSON, killed(who="alice\n*  #"), "*"),
    Attack("admin.ticket_with_a_line", "admin", TICKET, ticketed("CHG-1\napproved by bob"), ticketed("CHG-1")),
    Attack("admin.approved_by_oneself", "admin", TWO, promoted("alice"), promoted("bob")),
    Attack("admin.approved_in_capitals", "admin", TWO, promoted("ALICE"), promoted("bob")),
    Attack("admin.evidence_of_a_tester", "admin", FORGED_EVIDENCE, proves("modern"), proves(None)),
    Attack("sealed.of_another_row", "at rest", PLACE, moved("writes.answer", "bob/1"), moved("writes.answer", "alice/1")),
    Attack("sealed.of_another_column", "at rest", PLACE, moved("jobs.params", "alice/1"), moved("writes.answer", "alice/1")),
    *(
        Attack(f"sealed.rights_of_a_{of}", "at rest", MARKED, written(statement), written("SELECT 1", "b:operate"))
        for of, statement in {
            "key": "UPDATE keys SET scopes = 'b:operate'",
            "client": "UPDATE clients SET scopes = 'b:operate'",
            "person": "UPDATE people SET scopes = 'b:operate'",
            "key_invented": "INSERT INTO keys (id, digest, name, scopes, purposes, claims, created)"
            " VALUES (:id, :digest, 'eve', 'b:operate', '', '{}', 1.0)",
        }.items()
    ),
    Attack("token_of_a_value.of_another_tenant", "at rest", WHOSE, revealed("south"), revealed("north")),
    Attack(
        "token_of_a_value.as_another_class",
        "at rest",
        WHOSE,
        revealed("north", lambda token: token.replace("account_number", "name")),
        revealed("north"),
    ),
)
