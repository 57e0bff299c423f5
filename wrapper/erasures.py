"""An erasure reaches the memory of every process within a second: one thread asks the store how many erasures there were, and when there
is one more, all that is remembered of anybody is forgotten.

A process that can't ask the store goes on with what it remembers, which is over by itself in the time that the catalogue says; it forgets
as soon as the store is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from wrapper import log
from wrapper.problems import NotReady

POLL = 0.5


class Erasures:
    """Thread-safe. The thread begins with the first thing that may be remembered."""

    def __init__(self, number: Callable[[], int | None], forget: Sequence[Callable[[], None]]) -> None:
        """`number` counts erasures; raises NotReady."""
        self._number, self._forget = number, forget
        self._known: int | None = None
        self._begun, self._first, self._stop = False, threading.Lock(), threading.Event()

    def heeded(self) -> None:
        """From now on; called before anything is remembered. The first time the store is asked, within its own bound: what is fetched
        from here on is of after so many erasures."""
        if self._begun:
            return
        with self._first:
            if not self._begun:
                self._known = self._asked()
                with suppress(RuntimeError):  # no thread to be had: who comes next tries again
                    threading.Thread(target=self._run, name="figway-erasures", daemon=True).start()
                    self._begun = True

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(POLL):
            number = self._asked()
            if number is not None and number != self._known:
                for forget in self._forget:
                    forget()
                self._known = number

    def _asked(self) -> int | None:
        """None when the store can't tell: then all is forgotten at the first word of it."""
        try:
            return self._number()
        except NotReady:
            return None
        except Exception as error:  # noqa: BLE001 - it must go on asking
            log.get().error("erasures", outcome=type(error).__name__, exc_info=error)
            return None
