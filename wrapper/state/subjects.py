"""A secret key for each person whose data went through: what is kept of them for good names them only by a token made with it.

Destroying the key is how a person is erased from what must not be changed, like the audit trail: nobody can tell any more which tokens were
theirs. A subject may have several keys: one that was made while the store was away is added later. The fingerprint under which they are
kept is keyed by the store's seal.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable

from wrapper.state.seal import Seal
from wrapper.state.table import Table
from wrapper.subjects import Subject


class SubjectKeys(Table):
    def fingerprint(self, subject: Subject) -> str:
        """Under which rows of a subject are found; tells nothing without the store's key."""
        return mark(self._seal, subject)

    def subject_key(self, subject: Subject) -> bytes:
        """Its key, made at the first time. Raises NotReady."""
        known = self.subject_keys(subject)
        if known:
            return known[0]
        self.add_subject_key(subject, secrets.token_bytes(32))
        return self.subject_keys(subject)[0]

    def subject_keys(self, subject: Subject) -> list[bytes]:
        """All that it has, the first one first; none once it was forgotten."""
        with self._db.reading() as tx:
            rows = tx.all("SELECT * FROM subjects WHERE fingerprint = ? ORDER BY number", (self.fingerprint(subject),))
        return [base64.b64decode(self._seal.open(row["sealed"], "subjects", row["fingerprint"], row["number"])) for row in rows]

    def add_subject_key(self, subject: Subject, key: bytes) -> None:
        """One more, in the order in which they are added."""
        found, secret = self.fingerprint(subject), base64.b64encode(key).decode()
        with self._db.transaction(alone="subjects") as tx:
            row = tx.one("SELECT COUNT(*) AS n FROM subjects WHERE fingerprint = ?", (found,))
            assert row is not None
            values = (found, row["n"], self._seal.close(secret, "subjects", found, row["n"]), tx.wall())
            tx.execute("INSERT INTO subjects (fingerprint, number, sealed, created) VALUES (?, ?, ?, ?)", values)


def mark(seal: Seal, subject: Subject) -> str:
    """A subject's fingerprint: 32 hexadecimal digits."""
    tenant = [subject.tenant] if subject.tenant else []
    return seal.fingerprint(["subject", subject.kind, subject.value, *tenant])[:32]


def fingerprints(seal: Seal, subjects: Iterable[Subject]) -> str:
    """As a row keeps them: all whom it is about, with a blank between."""
    return " ".join(dict.fromkeys(mark(seal, subject) for subject in subjects))
