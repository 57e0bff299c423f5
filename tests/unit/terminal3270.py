"""A small 3270 operator for the tests of the demo mainframe: one real s3270, and what a person would do with it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator

from fixtures.host3270 import Host3270
from tests.needs import program

SECONDS = 5.0


class Terminal:
    """One s3270: an action in, its data lines out; every wait has a deadline."""

    def __init__(self, *, model: str = "3279-2", codepage: str = "cp037", options: tuple[str, ...] = ()) -> None:
        settings = ["-xrm", "s3270.unlockDelay: False", "-xrm", "s3270.aidWait: false"]
        argv = [program("s3270"), "-utf8", "-model", model, "-codepage", codepage, *settings, *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, bufsize=0, env={**os.environ, "SSL_CERT_FILE": "/dev/null"})
        assert self.process.stdin
        assert self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout
        self._select = selectors.DefaultSelector()
        self._select.register(self._out, selectors.EVENT_READ)

    def do(self, action: str) -> list[str]:
        """The data lines of the answer; raises RuntimeError when s3270 says error."""
        self._in.write(action.encode() + b"\n")
        data, until = b"", time.monotonic() + SECONDS
        while not data.endswith((b"ok\n", b"error\n")):
            if not self._select.select(until - time.monotonic()):
                raise TimeoutError(action)
            data += os.read(self._out.fileno(), 65536)
        lines = data.decode(errors="replace").splitlines()  # s3270 garbles some errors
        if lines[-1] == "error":
            raise RuntimeError(lines)
        return [line[6:] for line in lines if line.startswith("data: ")]

    def press(self, key: str = "Enter()") -> None:
        self.do(key)
        self.do(f"Wait({SECONDS:.0f},Unlock)")

    def type(self, row: int, text: str, column: int = 18) -> None:
        self.do(f'MoveCursor({row - 1},{column - 1}) EraseEOF() String("{text}")')

    def screen(self) -> list[str]:
        """All rows as they are at one moment."""
        return self.do("Ascii()")

    def row(self, number: int) -> str:
        return self.screen()[number - 1].rstrip()

    def field(self, row: int, length: int = 30, column: int = 18) -> str:
        return self.screen()[row - 1][column - 1 :][:length].strip()

    def until(self, row: int, *texts: str) -> str:
        """Wait until the row begins with one of the texts, as a patient operator would."""
        end = time.monotonic() + SECONDS
        while not (line := self.row(row).strip()).startswith(texts):
            assert time.monotonic() < end, f"row {row} is '{line}'"
            time.sleep(0.005)
        return line

    def sign_on(self, user: str = "FIGW01", password: str = "PASS0001") -> str:
        """From the greeting on; the menu's title or the message of the refusal."""
        if "NVGR" in self.row(1):
            self.type(20, "COREBANK")
            self.press()
        self.type(8, user)
        self.type(9, password)
        self.press()
        return self.row(1).strip() if "MENU" in self.row(1) else self.row(24).strip()

    def choose(self, option: str) -> None:
        self.type(18, option)
        self.press()

    def ask(self, customer: str) -> None:
        self.type(4, customer)
        self.press()

    def pages(self) -> list[str]:
        """The account numbers of a list, page by page to its end, repeated ones included."""
        met = []
        while True:
            end = self.until(24, "MORE", "END OF LIST") == "END OF LIST"
            met += [number for row in range(8, 21) if (number := self.field(row, 12, 4))]
            if end:
                return met
            self.press("PF(8)")

    def new_address(self, customer: str, line1: str) -> None:
        """From the menu to the confirmation of a new first line."""
        self.choose("3")
        self.ask(customer)
        self.type(8, line1)
        self.press()

    def kill(self) -> None:
        """As if the line were cut."""
        self.process.kill()
        self.process.wait(SECONDS)
        self._in.close()
        self._out.close()
        self._select.close()


Open = Callable[..., Terminal]


@contextlib.contextmanager
def terminals() -> Iterator[Open]:
    """Opens terminals to a host, at its greeting, and kills them all in the end."""
    with contextlib.ExitStack() as stack:

        def connect(host: Host3270, *, lu: str = "", prefix: str = "", name: str = "127.0.0.1", **options: object) -> Terminal:
            terminal = Terminal(**options)  # type: ignore[arg-type]
            stack.callback(terminal.kill)
            terminal.do(f"Connect({prefix}{lu and lu + '@'}{name}:{host.address[1]})")
            terminal.do(f"Wait({SECONDS:.0f},InputField)")
            return terminal

        yield connect
