"""One SFTP channel in one thread's hands: file operations as steps with time-outs, and paramiko's errors as ours.

Before each step the channel's time-out is set from what is left; paramiko itself would wait for ever.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from adapters.errors import AdapterError, DeadlineExceeded, Failed, Misconfigured, Misread, Unavailable

_invoke = sys.modules.setdefault("invoke", None)  # type: ignore[arg-type]  # or paramiko imports it, with asyncio and unittest.mock, for
import paramiko  # noqa: E402 - a line of ssh_config, a file that nobody reads here

if _invoke is None:
    del sys.modules["invoke"]

CHUNK = 32768


class Rejected(Failed):
    """The server understood and said no: nothing was done."""

    spoils = False


@dataclass(frozen=True, slots=True)
class Stat:
    """What tells one version of a remote file from another."""

    size: int
    mtime: int


@dataclass(slots=True, eq=False)
class Door:
    """One SFTP channel in one thread's hands; every method is a step with what is left until `deadline`."""

    sftp: paramiko.SFTPClient
    channel: paramiko.Channel
    deadline: float

    @contextmanager
    def _step(self) -> Iterator[None]:
        with mapped(self.deadline, self.channel):
            self.channel.settimeout(left(self.deadline))
            yield

    def stat(self, path: str) -> Stat | None:
        """None when there is no such file."""
        with self._step():
            try:
                met = self.sftp.stat(path)
            except FileNotFoundError:
                return None
            return Stat(met.st_size or 0, met.st_mtime or 0)

    def names(self, folder: str) -> frozenset[str]:
        with self._step():
            return frozenset(self.sftp.listdir(folder))

    def read(self, path: str, most: int) -> bytes | None:
        """The whole file, or None when there is none. Raises Misread when it is longer than `most`."""
        data = bytearray()
        with self._step():
            try:
                file = self.sftp.open(path, "rb")
                size = file.stat().st_size or 0
                if size <= most:
                    file.prefetch(size)
            except FileNotFoundError:
                return None
        while size <= most and len(data) <= most:
            with self._step():
                chunk = file.read(CHUNK)
            if not chunk:
                with self._step():
                    file.close()
                return bytes(data)
            data += chunk
        raise Misread(f"the file is longer than the {most} bytes that are read at most")

    def write(self, path: str, data: bytes) -> None:
        """Create or replace the file. Each piece is waited for: of pipelined ones paramiko does not tell which the server refused, and a
        refused one in the middle leaves a hole in a file of the right size."""
        with self._step():
            file = self.sftp.open(path, "wb")
        source = io.BytesIO(data)
        while chunk := source.read(CHUNK):
            with self._step():
                file.write(chunk)
        with self._step():
            file.close()

    def rename(self, old: str, new: str) -> None:
        """Plain rename: Rejected when `new` exists. Never posix-rename, which would replace a file that nobody has read yet."""
        with self._step():
            self.sftp.rename(old, new)

    def remove(self, path: str) -> None:
        """Harmless when it is not there."""
        with self._step(), suppress(FileNotFoundError):
            self.sftp.remove(path)


def left(deadline: float) -> float:
    """Seconds until `deadline`, always > 0. Raises DeadlineExceeded."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise DeadlineExceeded("the deadline passed")
    return seconds


@contextmanager
def mapped(deadline: float, channel: paramiko.Channel | None = None) -> Iterator[None]:
    """paramiko's errors as ours. What fails once the deadline has passed failed because of it."""
    try:
        yield
    except AdapterError:
        raise
    except Exception as error:  # noqa: BLE001 - paramiko raises whatever its peer's bytes make it raise
        if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
            raise DeadlineExceeded("the server did not answer in time") from None
        raise _ours(error, channel) from None


def _ours(error: Exception, channel: paramiko.Channel | None) -> AdapterError:
    match error:
        case FileNotFoundError():
            return Rejected("the server has no such file or folder")
        case PermissionError():
            return Misconfigured("the server denies our user access to this file or folder")
        case OSError(errno=None) if channel is not None and not channel.closed:
            return Rejected("the server refused the file operation")
        case OSError() | EOFError() | paramiko.SSHException():
            return Unavailable("the server can't be reached" if channel is None else "the connection failed")
    return Unavailable("the server does not speak SFTP as it should")
