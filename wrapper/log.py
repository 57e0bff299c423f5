"""Structured logs: one JSON line per request and one per back-end call, on standard error.

Events carry names, counts, times and the request id; never a parameter's value, a row, or a credential: of an exception its class and the
places that it went through, not its text.

A request never waits for whoever reads the log. Lines go to a bounded queue and one thread of the process writes them; what a reader that
stalls leaves no room for is dropped, counted, and told of when the log moves again. A process that is killed loses its last PAUSE.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

ROOM = 10_000  # lines that may wait to be written
WHOLE = 4096  # bytes that a pipe takes in one piece, so that the lines of several processes do not mix (PIPE_BUF)
PAUSE = 0.05
LAST = 1.0  # seconds that the end of a process waits for its last lines
PLACES = 8

Adding = Callable[[dict[str, Any]], None]
"""Adds to an event what is known elsewhere."""


class Lines:
    """The way to a file descriptor: bounded, one thread, whole lines."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._queue: deque[bytes] = deque()
        self._wake = threading.Event()
        self._start = threading.Lock()
        self._running = self._writing = False
        self._dropped = 0
        self.lost: Callable[[], None] = lambda: None

    def put(self, line: bytes) -> None:
        """Never blocks. The thread starts with the first line, hence after gunicorn's fork."""
        if len(self._queue) >= ROOM:
            self._drop()
            return
        self._queue.append(line)
        if not self._wake.is_set():
            self._wake.set()
        if not self._running:
            self._begin()

    def flush(self, seconds: float = LAST) -> None:
        """Returns when all is written, or after so long."""
        until = time.monotonic() + seconds
        while (self._queue or self._writing) and time.monotonic() < until:
            time.sleep(0.002)

    def _drop(self) -> None:
        with self._start:
            self._dropped += 1
        self.lost()

    def _begin(self) -> None:
        with self._start, suppress(RuntimeError):  # no thread to be had: the next line tries again
            if not self._running:
                threading.Thread(target=self._run, name="figway-log", daemon=True).start()
                self._running = True

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._writing = True
            self._wake.clear()  # before the queue is read: a line that comes afterwards wakes again
            while self._queue:
                if self._write(self._piece()) and self._dropped:
                    self._tell_dropped()
            self._writing = False
            time.sleep(PAUSE)  # so that a busy process wakes its writer twenty times a second, not once a line

    def _piece(self) -> bytes:
        """As many lines as a pipe takes whole; a line that is longer goes alone."""
        lines, size = [self._queue.popleft()], 0
        while self._queue and (size := size + len(lines[-1]) + 1) + len(self._queue[0]) < WHOLE:
            lines.append(self._queue.popleft())
        return b"\n".join((*lines, b""))

    def _write(self, piece: bytes) -> bool:
        """Whether the reader has it. Nothing is said of what is dropped before it takes something again: that would be dropped, too."""
        while piece:
            try:
                piece = piece[os.write(self._file, piece) :]
            except BlockingIOError:  # somebody who shares it has made it non-blocking
                select.select((), (self._file,), ())
            except OSError:
                for _ in range(piece.count(b"\n")):
                    self._drop()
                return False
        return True

    def _tell_dropped(self) -> None:
        with self._start:
            dropped, self._dropped = self._dropped, 0
        line = {"event": "log", "dropped": dropped, "level": "warning", "timestamp": datetime.now(UTC).isoformat()}
        self._queue.appendleft(orjson.dumps(line))


class Library(logging.Handler):
    """What libraries say through `logging`, as our lines. Their texts may quote a customer: shown is that of `trusted` ones alone."""

    def __init__(self, trusted: bool = False) -> None:
        super().__init__(logging.WARNING)
        self._trusted = trusted

    def emit(self, record: logging.LogRecord) -> None:
        told: dict[str, Any] = {"at": [f"{Path(record.pathname).name}:{record.lineno} {record.funcName}"]}
        if self._trusted:
            told["message"] = str(record.msg) if record.exc_info else record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            told["exc_info"] = record.exc_info[1]
        say = get().error if record.levelno >= logging.ERROR else get().warning
        say(record.name.partition(".")[0], **told)


class Logger:
    """Events as lines, those of `least` level and above; `adding` are asked about each. Before configure(), all of them."""

    def __init__(self, least: int = logging.NOTSET, adding: tuple[Adding, ...] = ()) -> None:
        self._least, self._adding = least, adding

    def debug(self, event: str, **about: Any) -> None:
        self._say(logging.DEBUG, "debug", event, about)

    def info(self, event: str, **about: Any) -> None:
        self._say(logging.INFO, "info", event, about)

    def warning(self, event: str, **about: Any) -> None:
        self._say(logging.WARNING, "warning", event, about)

    def error(self, event: str, **about: Any) -> None:
        """`exc_info` is an error, or True for the one that is being handled."""
        self._say(logging.ERROR, "error", event, about)

    def _say(self, level: int, name: str, event: str, about: dict[str, Any]) -> None:
        if level < self._least:
            return
        about |= {"event": event, "level": name, "timestamp": datetime.now(UTC).isoformat()}
        _place(about)
        for add in self._adding:
            add(about)
        _LINES.put(_json(about))


_LINES = Lines(2)
_logger = Logger()
os.register_at_fork(after_in_child=lambda: _LINES.__init__(2))  # type: ignore[misc]  # the child has not the thread, and not these lines to write
atexit.register(_LINES.flush)


def configure(level: str, *adding: Adding) -> None:
    """Once per process, or once more when more is known."""
    global _logger
    _logger = Logger(logging.getLevelNamesMapping()[level.upper()], adding)
    logging.lastResort = Library()
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda died: get().error("thread", exc_info=died.exc_value)


def on_lost(tell: Callable[[], None]) -> None:
    """`tell` is called for each line that is dropped."""
    _LINES.lost = tell


def flush() -> None:
    """Wait for the last lines, LAST seconds at most."""
    _LINES.flush()


def get() -> Logger:
    """The logger."""
    return _logger


def _place(event: dict[str, Any]) -> None:
    """`exc_info` becomes the class of each error in the chain and where it passed: an error's text may be a customer's."""
    error = event.pop("exc_info", None)
    error = sys.exc_info()[1] if error is True else error
    if isinstance(error, BaseException):
        event["error"], event["at"] = type(error).__name__, _steps(error)
        cause = error.__cause__ or error.__context__
        if cause is not None:
            event["cause"], event["cause_at"] = type(cause).__name__, _steps(cause)


def _steps(error: BaseException) -> list[str]:
    return [f"{Path(step.filename).name}:{step.lineno} {step.name}" for step in traceback.extract_tb(error.__traceback__)][-PLACES:]


def _json(event: dict[str, Any]) -> bytes:
    """In ASCII: what is a line's end, or moves a cursor, only for some who read it must not be in it."""
    try:
        if (line := orjson.dumps(event)).isascii():
            return line
    except TypeError:  # half a character, a number beyond 64 bits, or something that JSON has not: a log line fails nobody
        pass
    return json.dumps(event, default=lambda value: type(value).__name__).encode("ascii")
