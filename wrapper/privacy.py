"""What people may ask of those who keep data about them, and what Figway drops by itself when its time is over.

Each act is on record before it begins and again when it has ended; on record is a person's fingerprint, never who that is. For the command
line and the admin API alike. Who may do it is decided by them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wrapper import log
from wrapper.audit import show
from wrapper.audit.trail import Audit
from wrapper.policy.tokenise import NoToken, Tokens
from wrapper.problems import Invalid, NotPossible
from wrapper.state.kept import CLASSES, MARK, PORTION
from wrapper.state.store import Store
from wrapper.subjects import Subject
from wrapper.units import iso

BY_ITSELF = "figway"
"""Who drops what is past its time."""
REVEALED = 100
"""Tokens that one request may have revealed."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where such requests are met. `who` asks, `via` api or cli: two may have one name. `why` is the number of a case, for the record."""

    store: Store
    audit: Audit
    who: str
    via: str
    why: str = ""

    def report(self, subject: Subject) -> dict[str, Any]:
        """All that is kept of a person, in the clear (GDPR 15). Raises NotReady."""
        found = self.store.fingerprint(subject)
        with self._act("subject report", found):
            tokens = show.tokens(self.store.subject_keys, subject)
            kept = self.store.kept_of(found)
            kept["audit"] = list(show.records(self.audit.writer.folder, tokens=tokens)) if tokens else []
        return {"kind": subject.kind, "fingerprint": found, "hold": self._hold(found), **kept}

    def erase(self, found: str) -> dict[str, Any]:
        """Erase all that is kept of the person of this fingerprint (GDPR 17). Raises NotPossible with the reasons, NotReady."""
        _mark(found)
        if (hold := self._hold(found)) is not None:
            raise NotPossible(f"nothing was erased: held by {hold['who']} since {hold['since']}: {hold['why']}")
        with self._act("subject erase", found):
            erased = self.store.erase_of(found)
            left = self.store.overwrite_deleted()
        return {"fingerprint": found, "erased": erased, **({"note": left} if left else {})}

    def hold(self, found: str) -> dict[str, Any]:
        """Keep all of that person, whatever anybody says, until it is released."""
        _mark(found)
        if not self.why:
            raise Invalid("a legal hold needs a reason: it is told to whoever is refused by it")
        with self._act("subject hold", found):
            self.store.hold(found, self.who, self.why)
        return {"fingerprint": found, "hold": self._hold(found)}

    def release(self, found: str) -> dict[str, Any]:
        """End the hold."""
        _mark(found)
        with self._act("subject release", found):
            there = self.store.release_hold(found)
        return {"fingerprint": found, "released": there}

    def reveal(self, tokens: Sequence[str], tenant: str, purpose: str, trace: str = "") -> dict[str, str]:
        """The values that tokens of this tenant stand for. Raises Invalid for one that is none; then nothing is revealed."""
        if len(tokens) > REVEALED:
            raise Invalid(f"at most {REVEALED} tokens are revealed at once, met {len(tokens)}")
        known, opened = Tokens(self.store), dict[str, tuple[str, str]]()
        for number, each in enumerate(tokens):
            try:
                opened[each] = known.reveal(each, tenant)
            except NoToken as error:
                raise Invalid(f"token {number}: {error}") from None
        classes = dict(sorted(Counter(kind for kind, _ in opened.values()).items()))
        with self.audit.act(self.who, "token reveal", via=self.via, purpose=purpose, classes=classes, why=self.why, request=trace):
            return {each: value for each, (_, value) in opened.items()}

    def _act(self, what: str, found: str) -> Any:
        return self.audit.act(self.who, what, via=self.via, subject=found, why=self.why)

    def _hold(self, found: str) -> dict[str, str] | None:
        hold = self.store.held(found)
        return None if hold is None else {"who": hold.who, "why": hold.why, "since": iso(hold.at)}


class Purge:
    """Drops what is past its time, some rows of each class at a time."""

    def __init__(self, store: Store, audit: Audit, retention: Mapping[str, float], clock: Callable[[], float] = time.time) -> None:
        self._store, self._audit, self._retention, self._clock = store, audit, retention, clock

    def turn(self, limit: int = PORTION) -> bool:
        """Whether there may be more. Raises NotReady."""
        dropped = [self._drop(kind, limit) for kind in CLASSES]
        return max(dropped) >= limit

    def due(self, most: int) -> dict[str, int]:
        """How many rows of each class would be dropped now; `most` at most."""
        return {kind: self._store.due(kind, self._before(kind), most) for kind in CLASSES}

    def _before(self, kind: str) -> float:
        return self._clock() - self._retention[kind]

    def _drop(self, kind: str, limit: int) -> int:
        before = self._before(kind)
        due = self._store.due(kind, before, limit)
        if not due:
            return 0
        with self._audit.act(BY_ITSELF, "purge", kept=kind, before=iso(before), rows=due):
            dropped = self._store.drop(kind, before, limit)
        log.get().info("purge", kept=kind, before=iso(before), rows=dropped)
        return dropped


def _mark(found: str) -> None:
    if MARK.fullmatch(found) is None:
        raise Invalid("a fingerprint is 32 hexadecimal digits")
