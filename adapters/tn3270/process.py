"""One s3270 process behind py3270, and the only file that owns one.

py3270 alone reads without a deadline, falls one answer behind after a refused connect, escapes nothing and leaves zombies. It is kept
to what it does well, the script protocol's shape, over a process of ours that answers for the rest:

1. An answer is `data:` lines, one status line, `ok` or `error`. Anything else, anything unasked, and any time-out ends the process:
   a late answer can't become the next command's.
2. The child gets no environment but what it needs, and its pipes are no other child's (close_fds), so that it ends by itself on the end
   of its stdin when this process is killed. PR_SET_PDEATHSIG is not used: it fires when the *thread* that forked ends.
"""

from __future__ import annotations

import logging
import math
import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from py3270 import Command, Emulator

from adapters.errors import AdapterError, DeadlineExceeded, Misconfigured, Unavailable

logging.getLogger("py3270").addFilter(lambda _record: False)  # it writes every command, passwords too, at DEBUG


class Process:
    """py3270's `app`: a child with a deadline on every read. `deadline` is set before each command. Raises Misconfigured, Unavailable."""

    def __init__(self, argv: Sequence[str], env: dict[str, str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            self._child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=null, env=env, bufsize=0)  # noqa: S603
        except (FileNotFoundError, PermissionError):
            raise Misconfigured(f"{argv[0]} can't be started; is it installed?") from None
        except OSError as error:
            raise Unavailable(f"{argv[0]} can't be started now: {error.strerror}") from None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._in, self._out = self._child.stdin, self._child.stdout
        self._piece = memoryview(bytearray(8192))  # read(n) allocates n, keeps the head and leaves a hole
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self.deadline = 0.0
        self.status = ""  # of the last answer; py3270's own is one behind after an error
        self.dead = False

    def connect(self, _host: str) -> bool:
        """py3270 asks whether this app connects by itself; it does not."""
        return False

    def quiet(self) -> bool:
        """Whether it lives, and has said nothing unasked."""
        return not (self.dead or self._poll.poll(0))

    def write(self, command: bytes) -> None:
        try:
            if not self.quiet():
                raise Unavailable("the terminal has ended, or spoke unasked")
            self._in.write(command)
        except (AdapterError, OSError):
            self.close()
            raise Unavailable("the terminal has ended") from None

    def answer(self) -> list[bytes]:
        """The lines of one whole answer, each with its end."""
        try:
            return self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self) -> list[bytes]:
        answer = b""
        while not answer.endswith((b"\nok\n", b"\nerror\n")):
            left = self.deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(math.ceil(left * 1000)):
                raise DeadlineExceeded("the host did not answer in time")
            size = os.readv(self._out.fileno(), [self._piece])
            if not size:
                raise Unavailable("the terminal has ended")
            answer += bytes(self._piece[:size])
        lines = answer.splitlines(keepends=True)
        data = answer.startswith(b"data:") + answer.count(b"\ndata:")
        if data != len(lines) - 2 or lines[-2].startswith(b"data:") or len(lines[-2].split()) != 12:
            raise Unavailable("the terminal could not talk to the host")
        self.status = lines[-2].decode().rstrip()
        return lines

    @property
    def ended(self) -> bool:
        """Whether the child is dead and reaped."""
        return self._child.poll() is not None

    def kill(self) -> None:
        """End the child, at once. Safe from another thread: a reader there meets the end of the pipe."""
        self.dead = True
        self._child.kill()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)

    def close(self) -> None:
        """End the child and let go of its pipes."""
        self.kill()
        self._in.close()
        self._out.close()


class Exchange(Command):  # type: ignore[misc]
    """py3270's, which would take an answer line by line and log each."""

    def execute(self) -> None:
        self.app.write(self.cmdstr + b"\n")
        *data, self.status_line, result = self.app.answer()
        self.data = [line[6:-1] for line in data]
        self.handle_result(result.decode().rstrip())


class Script(Emulator):  # type: ignore[misc]
    """py3270's, over a process that answers at once."""

    def exec_command(self, cmdstr: bytes) -> Exchange:
        command = Exchange(self.app, cmdstr)
        command.execute()
        return command
