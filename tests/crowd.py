"""Clients that ask all the time, in threads of their own, until the block ends."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

END = 30.0  # seconds within which the last answer must be there


class Crowd(ABC):
    """`_run(number)` is a client's life; it ends when `_stop` is set."""

    def __init__(self, clients: int) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    @abstractmethod
    def _run(self, number: int) -> None: ...

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(END)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
