"""What every table of the store has: its database, and the seal of what callers sent and got."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping

from wrapper.policy.keys import Caller
from wrapper.state.database import Database, Row
from wrapper.state.seal import Seal


class Table(ABC):
    """Thread-safe, as its database is. Both raise NotReady while the store has not been seen to be sound."""

    @property
    @abstractmethod
    def _db(self) -> Database: ...

    @property
    @abstractmethod
    def _seal(self) -> Seal: ...

    def _rights(self, caller: Caller, table: str, name: str) -> dict[str, str]:
        """What a caller is and may, as a row keeps it."""
        return {
            "name": caller.name, "scopes": " ".join(sorted(caller.scopes)), "purposes": " ".join(sorted(caller.purposes)),
            "claims": self._closed_claims(caller.claims, table, name), "tenant": caller.tenant,
        }  # fmt: skip

    def _caller(self, row: Row, table: str, name: str) -> Caller:
        claims = self._open_claims(row["claims"], table, name)
        return Caller(row["name"], frozenset(row["scopes"].split()), frozenset(row["purposes"].split()), claims, row["tenant"])

    def _closed_claims(self, claims: Mapping[str, frozenset[str]], table: str, name: str) -> str:
        """A caller's claims as a row keeps them: they name customers."""
        plain = {claim: sorted(values) for claim, values in claims.items()}
        return base64.b64encode(self._seal.close(plain, f"{table}.claims", name)).decode()

    def _open_claims(self, kept: str, table: str, name: str) -> dict[str, frozenset[str]]:
        """Those that a version before has kept are plain JSON."""
        plain = json.loads(kept) if kept.startswith("{") else self._seal.open(base64.b64decode(kept), f"{table}.claims", name)
        return {claim: frozenset(values) for claim, values in plain.items()}
