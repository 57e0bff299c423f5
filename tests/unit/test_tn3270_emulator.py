"""The process behind a terminal: what it is told, and that nothing it says out of turn is ever taken for an answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from py3270 import CommandError

from adapters.errors import DeadlineExceeded, Misconfigured, Unavailable
from adapters.tn3270.dialogue import Press, Read, Type, Wait
from adapters.tn3270.emulator import Place, _command
from adapters.tn3270.process import Exchange, Process

STATUS = "U F U C(127.0.0.1) I 2 24 80 3 17 0x0 0.000"
SCRIPT = """
import sys
answers = {answers!r}
for line, answer in zip(sys.stdin, answers):
    sys.stdout.write(answer)
    sys.stdout.flush()
sys.stdin.read()
"""
Made = Callable[..., Process]


@pytest.fixture
def child() -> Iterator[Made]:
    """Starts a process that gives these answers, one to a line."""
    made: list[Process] = []

    def start(*answers: str, seconds: float = 5.0) -> Process:
        made.append(Process([sys.executable, "-c", SCRIPT.format(answers=answers)], {}))
        made[-1].deadline = time.monotonic() + seconds
        return made[-1]

    yield start
    for process in made:
        process.close()
        assert not Path(f"/proc/{process._child.pid}").exists()


def said(process: Process) -> list[bytes]:
    command = Exchange(process, b"Read")
    command.execute()
    return list(command.data)


def test_an_answer_is_its_data_and_an_error_is_raised(child: Made) -> None:
    process = child(f"data: one\n{STATUS}\nok\n", f"data: no\n{STATUS.replace('C(127.0.0.1)', 'N')}\nerror\n", f"{STATUS}\nok\n")
    assert said(process) == [b"one"]
    assert process.status == STATUS
    with pytest.raises(CommandError):
        said(process)
    assert " N " in process.status
    assert said(process) == []


@pytest.mark.parametrize(
    "answer",
    [
        f"Connection refused\n{STATUS}\nerror\n",
        f"data: one\nConnect: Connection refused\n{STATUS}\nok\n",
        f"data: one\n{STATUS}\nnoise\nok\n",
        f"data: one\n{STATUS}\nok\ndata: two\n{STATUS}\nok\n",
        "data: no status\nok\n",
    ],
)
def test_a_line_that_has_no_place_in_an_answer_ends_the_process(child: Made, answer: str) -> None:
    process = child(answer, f"data: late\n{STATUS}\nok\n")
    for _ in range(2):
        with pytest.raises(Unavailable):
            said(process)
    assert process.dead


def test_words_that_nobody_asked_for_end_the_process(child: Made) -> None:
    process = child(f"data: one\n{STATUS}\nok\ndata: half", f"{STATUS}\nok\n")
    process.deadline = time.monotonic() + 0.3
    with pytest.raises((Unavailable, DeadlineExceeded)):
        said(process) and said(process)
    assert process.dead


def test_silence_ends_the_process_at_the_deadline_and_leaves_no_zombie(child: Made) -> None:
    process = child("data: never whole\n", seconds=0.2)
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        said(process)
    assert time.monotonic() - start < 0.5
    assert process.dead


def test_a_process_that_ends_is_unavailable(child: Made) -> None:
    process = child()
    process._child.terminate()
    with pytest.raises(Unavailable):
        said(process)


def test_a_missing_program_is_our_own_fault() -> None:
    with pytest.raises(Misconfigured, match="no-such-3270 can't be started"):
        Process(["no-such-3270"], {})


def test_actions_are_one_line_each() -> None:
    soon = time.monotonic() + 2.5
    read = "Query(StatsRx) ReadBuffer(Ascii)"
    assert _command(Read(), soon) == read
    assert _command(Press("enter"), soon) == f"Enter() Wait(3,Unlock) {read}"
    assert _command(Press("clear"), soon).startswith("Clear() ")
    assert _command(Press("pf12"), soon).startswith("PF(12) ")
    assert _command(Press("pa1"), soon).startswith("PA(1) ")
    assert _command(Wait(True), soon) == f"Wait(3,Unlock) {read}"
    assert _command(Wait(False), soon) == f"Wait(3,Output) {read}"
    typed = _command(Type(((4, 18, '1"\\n'), (5, 18, ""))), soon)
    one, two = 'MoveCursor(3,17) EraseEOF() String("1\\u0022\\u005cn")', 'MoveCursor(4,17) EraseEOF() String("")'
    assert typed == f"{one} {two} {read}"
    back = _command(Type(((5, 18, ""),), ((4, 18, "1   "), (5, 18, "  "))), soon)
    assert back == f"{two} Ascii(3,17,4) Ascii(4,17,2) Query(StatsRx)"


def test_where_a_terminal_connects() -> None:
    plain, secure = Place("host", 23), Place("::1", 992, tls=True, ca="/ca.pem", model="3279-5", codepage="cp1047")
    assert (plain.name("LU1"), plain.name(None)) == ("LU1@host:23", "host:23")
    assert secure.name("LU1") == "L:LU1@[::1]:992"
    assert "SSL_CERT_FILE" in plain.environment()
    assert "SSL_CERT_FILE" not in Place("host", 992, tls=True).environment()
    argv = secure.argv()
    assert argv[argv.index("-cafile") + 1] == "/ca.pem"
    assert argv[argv.index("-model") + 1] == "3279-5"
    assert "-noverifycert" not in argv
    assert "-noverifycert" in Place("host", 992, tls=True, verify=False).argv()
