"""SQLSTATE -> what it means for the caller. The one place that maps the driver's errors; their texts go no further."""

from __future__ import annotations

import re
from typing import Any

from adapters.errors import (
    AdapterError,
    BadLogon,
    Conflict,
    DeadlineExceeded,
    Failed,
    Misconfigured,
    Refused,
    Unavailable,
)

LOCKED = "55P03"
_MEANING: dict[str, tuple[type[AdapterError], str]] = {
    "08": (Unavailable, "the connection failed or was lost"),
    "57P": (Unavailable, "the database is starting, stopping or ended the session"),
    "53": (Unavailable, "the database is out of connections or memory"),
    "HYT01": (Unavailable, "the connection timed out"),
    LOCKED: (Unavailable, "somebody else holds a lock"),
    "40": (Unavailable, "the database undid it in favour of somebody else"),
    "57014": (DeadlineExceeded, "the statement was ended at its time-out"),
    "HYT00": (DeadlineExceeded, "the statement was ended at its time-out"),
    "28": (BadLogon, "the database refused the credential"),
    "3D": (Misconfigured, "there is no such database"),
    "25006": (Misconfigured, "the statement writes and the session is read only"),
    "42": (Misconfigured, "the statement does not fit the database, or is not permitted"),
    "0A": (Misconfigured, "the statement asks for what the database does not do here"),
    "01": (Misconfigured, "the driver can't be loaded"),
    "IM": (Misconfigured, "the driver can't be loaded, or lacks a function"),
    "22012": (Failed, "the statement divided by zero"),
    "22": (Refused, "a value does not fit its column's type"),
    "23505": (Conflict, "it exists already"),
    "23": (Refused, "the database's rules do not allow it"),
}
_ALIVE = ("0A", "22", "23", "25", "40", "42", "55", "57014", "HYT00")
"""States after which the session can be trusted: the server itself said no."""

_SQLITE = {1: "42000", 5: LOCKED, 6: LOCKED, 8: "25006", 9: "57014", 14: "08001", 18: "22001", 19: "23000", 20: "22000"}
_NATIVE = re.compile(r"\((\d+)\) \(SQL\w+\)$")


def sqlstate(error: Exception) -> str:
    """Five characters; SQLite's driver says HY000 for everything, so its own code stands for the state it means."""
    state, text = (*(str(a) for a in error.args), "", "")[:2]
    native = _NATIVE.search(text)
    if state == "HY000" and "[SQLite]" in text and native:
        return _SQLITE.get(int(native[1]), state)
    if state == "08001" and "authentication failed" in text:  # libpq says so in its text only
        return "28000"
    return state


def meaning(state: str, backend: str) -> AdapterError:
    """The error that a SQLSTATE stands for."""
    known = next((_MEANING[state[:n]] for n in (5, 3, 2) if state[:n] in _MEANING), None)
    kind, words = known or (Failed, "the database failed")
    error = kind(f"{backend}: {words} (SQLSTATE {_safe(state)})", backend=backend, code=_safe(state))
    error.spoils = not state.startswith(_ALIVE)
    return error


def _safe(state: Any) -> str:
    """A state comes from a driver: five capitals and digits, or it is not shown."""
    return state if re.fullmatch(r"[0-9A-Z]{5}", str(state)) else "unknown"
