"""The `credentials` of a system's users, read at each sign-on: a rotated secret works without a restart, a one-use one is never used twice.

What is read is kept nowhere here, and no error tells any of it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from adapters.base import Credential
from adapters.errors import AdapterError, DeadlineExceeded, Misconfigured, Unavailable
from wrapper import functions
from wrapper.settings import BadSettings, resolve


def credential(reference: str, environ: Mapping[str, str], packages: Sequence[str], system: str, unit: str) -> Credential:
    """`env:NAME`, `file:/path`, or `py:package.module.function`, which is called with the system's and the LU's name. Raises ValueError."""
    if reference.startswith("py:"):
        made = functions.find(reference, packages, functions.CREDENTIAL)
        return Credential(partial(_called, made, system, unit, threading.Lock()), once=True)
    return Credential(partial(_read, reference, environ, unit))


def _read(reference: str, environ: Mapping[str, str], unit: str, _deadline: float) -> str:
    try:
        login = str(resolve(reference, environ, unit))
    except BadSettings:
        raise Misconfigured(f"the credential of {unit} can't be read") from None
    if ":" not in login:
        raise Misconfigured(f"the credential of {unit} is not user:password")  # known before the host counts a failed sign-on
    return login


def _called(make: Callable[[str, str], str], system: str, unit: str, making: threading.Lock, deadline: float) -> str:
    """What the function makes. It may ask a server, so it runs on a thread of its own, which is left behind when the time is up: one for
    each LU, `making`, however many ask meanwhile."""
    answer: queue.SimpleQueue[str | AdapterError] = queue.SimpleQueue()
    late = DeadlineExceeded(f"the credential of {unit} was not made in time")

    def work() -> None:
        try:
            login = make(system, unit)
        except Exception as error:  # noqa: BLE001 - another's code; its words may hold what it made
            answer.put(Misconfigured(f"the credential of {unit} can't be made ({type(error).__name__})"))
        else:
            known = isinstance(login, str) and ":" in login
            answer.put(login if known else Misconfigured(f"the credential of {unit} is not user:password"))
        finally:
            making.release()

    if not making.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise late
    try:
        threading.Thread(target=work, name="figway-credential", daemon=True).start()
    except RuntimeError:
        making.release()
        raise Unavailable(f"there is no thread left to make the credential of {unit}") from None
    try:
        made = answer.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise late from None
    if isinstance(made, AdapterError):
        raise made
    return made
