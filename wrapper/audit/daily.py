"""The whole trail against its anchors, once a day in the job worker: what was changed of what had long been anchored is found there, and by
nobody else of a running server.

It takes a quarter of one processor while it runs. A fault is told when it is met twice: whoever purges meanwhile takes files away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from wrapper.audit.anchor import Anchor, Anchors
from wrapper.audit.follow import Fault
from wrapper.audit.verify import verify

REST = 3.0  # times what a segment took


def faults(anchor: Anchor, rest: Callable[[float], object]) -> list[Fault]:
    """The first fault of each writer, or that of the anchors. `rest` is told after each segment for how many seconds. Raises OSError."""
    return _met(anchor, rest) and _met(anchor, rest)


def _met(anchor: Anchor, rest: Callable[[float], object]) -> list[Fault]:
    began = time.thread_time()

    def between() -> None:
        nonlocal began
        rest(REST * (time.thread_time() - began))
        began = time.thread_time()

    public = anchor.key.public_key()
    try:
        each = verify(anchor.folder, Anchors(anchor.file, public), public, between)
        return [one.fault for one in each if one.fault is not None]
    except FileNotFoundError as error:
        return [Fault(Path(error.filename), 0, "it is not there any more")]
    except Fault as fault:
        return [fault]
