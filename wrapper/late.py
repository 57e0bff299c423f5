"""What the state store could not be told when it was true: told again until it can be, in order.

For what has happened already, so that an error would be a lie: a write's outcome, what it has changed. It is in memory only; after a
crash the settler (settle.py) finds out for itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from wrapper import log
from wrapper.problems import NotReady

MOST = 1000
AGAIN = 1.0
SOON = 0.5  # seconds that a caller, whose deadline may have passed, waits for the store

Note = Callable[..., None]
"""Tells the store; `within` is for how many seconds it may try."""


class Late:
    """Thread-safe. One thread, as long as there is something to tell."""

    def __init__(self) -> None:
        self._notes: deque[Note] = deque()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._telling = False

    def tell(self, note: Note) -> bool:
        """Whether the store was told at once. It is not asked when it has not heard of what came before."""
        with suppress(NotReady):
            if not self._notes:
                note(within=SOON)
                return True
        with self._lock:
            room = len(self._notes) < MOST
            if room:
                self._notes.append(note)
            if not self._telling and not self._closed.is_set():
                with suppress(RuntimeError):  # no thread to be had: the next note tries again
                    threading.Thread(target=self._run, name="figway-late", daemon=True).start()
                    self._telling = True
        outcome = "a write's outcome waits for the store" if room else "too many wait: the settler must find out"
        log.get().warning("state", outcome=outcome, waiting=len(self._notes))
        return False

    def close(self) -> None:
        """The last try."""
        self._closed.set()
        self._flush()

    def _run(self) -> None:
        while not self._flush() and not self._closed.wait(AGAIN):
            pass

    def _flush(self) -> bool:
        """Whether nothing is left. A note that fails otherwise is dropped: it would fail again."""
        while True:
            with self._lock:
                if not self._notes:
                    self._telling = False
                    return True
                note = self._notes[0]
            try:
                note()
            except NotReady:
                return False
            except Exception as error:  # noqa: BLE001 - the notes behind it must be told
                log.get().error("state", outcome=type(error).__name__, exc_info=True)
            with self._lock:
                if self._notes and self._notes[0] is note:
                    self._notes.popleft()
