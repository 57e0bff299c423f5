"""`figway demo`, as a newcomer runs it, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import needs
from tests.live import ROOT
from tests.processes import descendants, gone
from tests.waiting import free_port
from wrapper.demo import run

PARTS = ("-m fixtures", "gunicorn", "wrapper.cli serve", "jobs work", "s3270")


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo whose temporary files go to `folder`. Whatever is left of it in the end is killed, by pid."""
    needs.program("s3270")
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "wrapper.cli", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            for pid in (child.pid, *descendants(child.pid)):
                os.kill(pid, signal.SIGKILL)
        child.stdout.close() if child.stdout else None
        child.wait(10)


def all_parts_run(running: dict[int, str]) -> bool:
    return all(any(part in line for line in running.values()) for part in PARTS)


def read_until(child: subprocess.Popen[str], text: str) -> str:
    """What the demo has said up to a line that contains `text`; pytest's own time-out bounds it."""
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"the demo ended without saying {text!r}:\n{said}")


def rest(child: subprocess.Popen[str]) -> str:
    """What it says from here to its end (communicate() would lose what iterating has read ahead)."""
    assert child.stdout is not None
    said = child.stdout.read()
    child.wait(10)
    return said


def test_the_tour_is_as_expected_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--once", "--bind", f"127.0.0.1:{free_port()}") as child:
        said = read_until(child, "202 Accepted")  # by then a job was done
        running = descendants(child.pid)
        said += rest(child)
        assert child.returncode == 0, said
        assert all_parts_run(running), running
        assert gone(running)
        assert list(tmp_path.iterdir()) == []
        total = len(re.findall(r"^ ?\d+\. ", said, re.MULTILINE))
        assert said.splitlines()[-1] == f"tour: {total} of {total} as expected"
        assert total >= 12
        assert max(map(len, said.splitlines())) <= 100


def test_a_migration_is_promoted_on_evidence_and_comes_back_by_itself(tmp_path: Path) -> None:
    """The first half of `figway demo migration --once`, whose exit code judges the whole; then Ctrl-C, in the midst of it."""
    with demo(tmp_path, "migration", "--once", "--bind", f"127.0.0.1:{free_port()}") as child:
        said = read_until(child, "ok: it went back by itself")
        running = descendants(child.pid)
        child.send_signal(signal.SIGINT)
        said += rest(child)
        assert child.returncode == 130, said
        assert gone(running)
        assert list(tmp_path.iterdir()) == []
    assert "NOT AS EXPECTED" not in said
    for seen in ("ok: a canary is refused", "ok: evidence began at zero", "ok: build 2 is proven", "ok: who proposes can't approve"):
        assert seen in said
    assert said.count("comes from the side where its customer belongs") == 2
    assert max(map(len, said.splitlines())) <= 100


def test_it_goes_on_serving_on_a_free_port_until_ctrl_c(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, demo(tmp_path, "--bind", f"127.0.0.1:{busy.getsockname()[1]}") as child:
        said = read_until(child, "Ctrl-C ends it all")
        assert "is busy" in said
        page = re.search(r"http://\S+/docs/", said)
        assert page
        with urllib.request.urlopen(page[0], timeout=10) as answer:
            assert b"swagger" in answer.read().lower()
        running = descendants(child.pid)
        assert all_parts_run(running), running
        assert all(running.values())  # a zombie has no command line
        child.send_signal(signal.SIGINT)
        assert "nothing is left" in rest(child)
        assert child.returncode == 0
        assert gone(running)
        assert list(tmp_path.iterdir()) == []


def test_ending_it_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--once", "--bind", f"127.0.0.1:{free_port()}") as child:
        read_until(child, "Starting Figway")
        running = descendants(child.pid)
        child.send_signal(signal.SIGTERM)
        said = rest(child)
        assert child.returncode == 130, said
        assert gone(running)
        assert list(tmp_path.iterdir()) == []


def test_its_processes_end_even_when_it_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path, "--bind", f"127.0.0.1:{free_port()}") as child:
        read_until(child, "200 OK")
        running = descendants(child.pid)
        child.kill()
        child.wait(5)
        assert gone(running, 20)


@pytest.mark.parametrize(
    ("bind", "said"),
    [("nonsense", "--bind must be HOST:PORT"), ("127.0.0.1:http", "--bind must be HOST:PORT"), ("192.0.2.1:8080", "can't listen")],
)
def test_what_it_can_not_listen_on_is_said_in_a_sentence(bind: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(True, bind) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert said in shown.err
