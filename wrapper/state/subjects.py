"""A secret key for each person whose data went through: what is kept of them for good names them only by a token made with it.

Destroying the key is how a person is erased from what must not be changed, like the audit trail: nobody can tell any more which tokens were
theirs. A subject may have several keys: one that was made while the store was away is added later. The fingerprint under which they are
kept is keyed by the store's seal.
"""

from __future__ import annotations

import base64
import secrets

from wrapper.state.table import Table
from wrapper.subjects import Subject


class SubjectKeys(Table):
    def fingerprint(self, subject: Subject) -> str:
        """Under which rows of a subject are found; tells nothing without the store's key."""
        return self._seal.fingerprint(["subject", subject.kind, subject.value])[:32]

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
            rows = tx.all("SELECT sealed FROM subjects WHERE fingerprint = ? ORDER BY number", (self.fingerprint(subject),))
        return [base64.b64decode(self._seal.open(row["sealed"])) for row in rows]

    def add_subject_key(self, subject: Subject, key: bytes) -> None:
        """One more, in the order in which they are added."""
        mark, sealed = self.fingerprint(subject), self._seal.close(base64.b64encode(key).decode())
        with self._db.transaction(alone="subjects") as tx:
            row = tx.one("SELECT COUNT(*) AS n FROM subjects WHERE fingerprint = ?", (mark,))
            assert row is not None
            tx.execute(
                "INSERT INTO subjects (fingerprint, number, sealed, created) VALUES (?, ?, ?, ?)", (mark, row["n"], sealed, tx.wall())
            )

    def forget_subject(self, subject: Subject) -> int:
        """How many keys were destroyed."""
        with self._db.transaction(alone="subjects") as tx:
            return tx.execute("DELETE FROM subjects WHERE fingerprint = ?", (self.fingerprint(subject),)).rowcount
