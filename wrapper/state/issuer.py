"""What the embedded issuer keeps: its clients, people, signing keys, and what it has given that is not over yet.

It knows no OAuth: who may have what is the issuer's to say. Of codes and refresh tokens only hashes are here. What is used once is taken
and noted in one transaction, so of two who come at once one is told no; what is over is deleted by whoever writes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wrapper.policy.keys import Caller
from wrapper.problems import NotPossible
from wrapper.state import marks
from wrapper.state.database import Row, Transaction
from wrapper.state.table import Table
from wrapper.units import DAY

RETIRED = DAY
"""Seconds for which a signing key that was replaced is still published: longer than any token holds."""


@dataclass(frozen=True, slots=True)
class Client:
    """A program that asks for tokens. `proof` is how it shows who it is: by a `key` (then `material` is its public JWK), by a
    `certificate` (its SHA-256 in hex), or not at all (`none`); `redirects` are where it may have people sent back to, to the letter."""

    caller: Caller
    proof: str
    material: str = ""
    redirects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in; `password` is a salted hash."""

    caller: Caller
    password: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person has let a client have: in a code, and then in a family of refresh tokens, of which one is good at a time."""

    client: str
    person: str
    scopes: frozenset[str]
    redirect: str = ""
    challenge: str = ""


class IssuerTables(Table):
    def add_client(self, client: Client) -> None:
        """Raises NotPossible when somebody has its name."""
        with self._db.transaction(alone="issuer") as tx:
            _free(tx, client.caller.name)
            own = {"created": tx.wall(), "proof": client.proof, "material": client.material, "redirects": " ".join(client.redirects)}
            marks.add(self._seal, tx, "clients", {**self._rights(client.caller, "clients", client.caller.name), **own})

    def client(self, name: str) -> Client | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM clients WHERE name = ?", (name,))
        return None if row is None or not marks.genuine(self._seal, "clients", row) else self._client(row)

    def clients(self) -> list[Client]:
        with self._db.reading() as tx:
            rows = tx.all("SELECT * FROM clients ORDER BY name")
        return [self._client(row) for row in rows if marks.genuine(self._seal, "clients", row)]

    def remove_client(self, name: str) -> bool:
        """With all that it was given and is not over. False: there was none."""
        return self._remove("client", "clients", name)

    def add_person(self, person: Person) -> None:
        """Raises NotPossible when somebody has that name."""
        with self._db.transaction(alone="issuer") as tx:
            _free(tx, person.caller.name)
            own = {"created": tx.wall(), "password": person.password}
            marks.add(self._seal, tx, "people", {**self._rights(person.caller, "people", person.caller.name), **own})

    def person(self, name: str) -> Person | None:
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM people WHERE name = ?", (name,))
        return None if row is None or not marks.genuine(self._seal, "people", row) else self._person(row)

    def people(self) -> list[Person]:
        with self._db.reading() as tx:
            rows = tx.all("SELECT * FROM people ORDER BY name")
        return [self._person(row) for row in rows if marks.genuine(self._seal, "people", row)]

    def remove_person(self, name: str) -> bool:
        """Signs the person out everywhere, too. False: there was none."""
        return self._remove("person", "people", name)

    def _remove(self, kind: str, table: str, name: str) -> bool:
        with self._db.transaction(alone="issuer") as tx:
            tx.execute(f"DELETE FROM codes WHERE {kind} = ?", (name,))
            tx.execute(f"DELETE FROM families WHERE {kind} = ?", (name,))
            return bool(tx.execute(f"DELETE FROM {table} WHERE name = ?", (name,)).rowcount)

    def add_code(self, code: str, grant: Grant, lasts: float) -> None:
        """`code` is a hash, as all that is handed in here."""
        with self._db.transaction() as tx:
            tx.execute("DELETE FROM codes WHERE until <= ?", (tx.now(),))
            about = {"client": grant.client, "person": grant.person, "scopes": " ".join(sorted(grant.scopes))}
            once = {"redirect": grant.redirect, "challenge": grant.challenge, "until": tx.now() + lasts}
            marks.add(self._seal, tx, "codes", {"digest": code, **about, **once})

    def code(self, code: str) -> Grant | None:
        """What it stands for. One that was used before ends the family that it began."""
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM codes WHERE digest = ? AND until > ?", (code, tx.now()))
            used = row is None and tx.one("SELECT id FROM families WHERE code = ?", (code,)) is not None
        if used:
            self._end("code = ?", code)
        return None if row is None or not marks.genuine(self._seal, "codes", row) else _grant(row, row["redirect"], row["challenge"])

    def redeem(self, code: str, family: str, token: str, lasts: float) -> bool:
        """Take the code and begin a family; False, and what it began before is over, when it was taken already."""
        with self._db.transaction() as tx:
            now = tx.now()
            tx.execute("DELETE FROM families WHERE until <= ?", (now,))
            row = tx.one("SELECT * FROM codes WHERE digest = ? AND until > ?", (code, now))
            taken = row is not None and tx.execute("DELETE FROM codes WHERE digest = ?", (code,)).rowcount
            if taken and row is not None and marks.genuine(self._seal, "codes", row):
                about = {name: row[name] for name in ("client", "person", "scopes")}
                marks.add(self._seal, tx, "families", {"id": family, "code": code, **about, "token": token, "until": now + lasts})
                return True
        self._end("code = ?", code)
        return False

    def family(self, id: str) -> Grant | None:
        """What the holder of its refresh token may have; none once it is over."""
        with self._db.reading() as tx:
            row = tx.one("SELECT * FROM families WHERE id = ? AND until > ?", (id, tx.now()))
        return None if row is None or not marks.genuine(self._seal, "families", row) else _grant(row)

    def renew(self, id: str, token: str, instead: str) -> bool:
        """The family's one good refresh token is another now. False, and the family is over, when `token` was not the good one."""
        with self._db.transaction() as tx:
            row = tx.one("SELECT * FROM families WHERE id = ? AND token = ? AND until > ?", (id, token, tx.now()))
            if row is not None and marks.change(self._seal, tx, "families", row, token=instead):
                return True
        self.end_family(id)
        return False

    def end_family(self, id: str) -> None:
        """None of its refresh tokens is good any more."""
        self._end("id = ?", id)

    def _end(self, which: str, value: str) -> None:
        with self._db.transaction() as tx:
            tx.execute(f"DELETE FROM families WHERE {which}", (value,))

    def first_use(self, assertion: str, lasts: float) -> bool:
        """Whether nobody has used this within the time for which it holds."""
        with self._db.transaction() as tx:
            tx.execute("DELETE FROM assertions WHERE until <= ?", (tx.now(),))
            taken = tx.execute(
                "INSERT INTO assertions (digest, until) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING", (assertion, tx.now() + lasts)
            )
            return bool(taken.rowcount)

    def add_signing_key(self, jwk: Mapping[str, Any], *, first: bool = False, retired: float = RETIRED) -> bool:
        """A private key, with which is signed from now on; the others are published for `retired` seconds more. The `first` is only
        taken where there is none."""
        sealed = self._seal.close(dict(jwk), "signing_keys", jwk["kid"])
        with self._db.transaction(alone="signing") as tx:
            now = tx.now()
            if first and tx.one("SELECT kid FROM signing_keys WHERE until IS NULL") is not None:
                return False
            tx.execute("UPDATE signing_keys SET until = ? WHERE until IS NULL OR until > ?", (now + retired, now + retired))
            tx.execute("DELETE FROM signing_keys WHERE until <= ?", (now,))
            tx.execute("INSERT INTO signing_keys (kid, sealed, created) VALUES (?, ?, ?)", (jwk["kid"], sealed, tx.wall()))
        return True

    def signing_key(self) -> dict[str, Any] | None:
        """The private JWK with which is signed now."""
        with self._db.reading() as tx:
            row = tx.one("SELECT kid, sealed FROM signing_keys WHERE until IS NULL")
        return None if row is None else self._private(row)

    def public_keys(self) -> dict[str, Any]:
        """The JWK set by which tokens of the embedded issuer are known."""
        with self._db.reading() as tx:
            rows = tx.all("SELECT kid, sealed FROM signing_keys WHERE until IS NULL OR until > ? ORDER BY created DESC", (tx.now(),))
        return {"keys": [{name: value for name, value in self._private(row).items() if name != "d"} for row in rows]}

    def _client(self, row: Row) -> Client:
        return Client(self._caller(row, "clients", row["name"]), row["proof"], row["material"], tuple(row["redirects"].split()))

    def _person(self, row: Row) -> Person:
        return Person(self._caller(row, "people", row["name"]), row["password"])

    def _private(self, row: Row) -> dict[str, Any]:
        return dict(self._seal.open(row["sealed"], "signing_keys", row["kid"]))


def _free(tx: Transaction, name: str) -> None:
    """Clients and people are callers of one issuer: their names must not meet."""
    for table, kind in (("clients", "client"), ("people", "person")):
        if tx.one(f"SELECT name FROM {table} WHERE name = ?", (name,)) is not None:
            raise NotPossible(f"there is a {kind} named {name}; remove it first, or take another name")


def _grant(row: Row, redirect: str = "", challenge: str = "") -> Grant:
    return Grant(row["client"], row["person"], frozenset(row["scopes"].split()), redirect, challenge)
