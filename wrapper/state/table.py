"""What every table of the store has: its database, and the seal of what callers sent and got."""

from __future__ import annotations

from abc import ABC, abstractmethod

from wrapper.state.database import Database
from wrapper.state.seal import Seal


class Table(ABC):
    """Thread-safe, as its database is. Both raise NotReady while the store has not been seen to be sound."""

    @property
    @abstractmethod
    def _db(self) -> Database: ...

    @property
    @abstractmethod
    def _seal(self) -> Seal: ...
