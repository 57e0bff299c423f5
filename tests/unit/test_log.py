"""The log holds up nobody, loses nothing unsaid, and quotes nobody. Each test has a process of its own, whose standard error is the log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIGURED = "import logging, os, sys, threading, time\nfrom wrapper import log\nlog.configure('info')\n"
SECRET = "0000012345"


def started(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONFIGURED + script],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def logged(script: str) -> list[dict[str, Any]]:
    """What the script logs until its end."""
    process = started(script)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 0, told
    return [json.loads(line) for line in told.splitlines()]


def test_a_reader_that_stalls_holds_up_nobody_and_what_is_dropped_is_told_afterwards() -> None:
    process = started("""
lost = []
log.on_lost(lambda: lost.append(1))
slowest = 0.0
for n in range(log.ROOM + 5000):
    began = time.monotonic()
    log.get().info("request", n=n, filling="x" * 100)
    slowest = max(slowest, time.monotonic() - began)
print(len(lost), slowest, flush=True)
sys.stdin.readline()
log.flush()
log.get().info("last")
""")
    assert process.stdout is not None
    lost, slowest = process.stdout.readline().split()
    lines = [json.loads(line) for line in process.communicate("\n", timeout=30)[1].splitlines()]
    told = [line["dropped"] for line in lines if line["event"] == "log"]
    assert float(slowest) < 0.5
    assert int(lost) > 3000
    assert sum(told) == int(lost)
    assert len(lines) - len(told) + int(lost) == 10_000 + 5000 + 1
    assert lines[-1]["event"] == "last"


def test_the_end_of_a_process_does_not_wait_for_a_reader_that_stalls() -> None:
    process = started("for n in range(2000): log.get().info('request', n=n)\nprint('end', flush=True)")
    assert process.wait(10) == 0
    process.communicate()


def test_a_reader_that_has_gone_costs_each_line_once() -> None:
    process = started("""
lost = []
log.on_lost(lambda: lost.append(1))
sys.stdin.readline()
for n in range(20):
    log.get().info("request", n=n)
log.flush()
print(len(lost), flush=True)
""")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.close()
    process.stdin.write("gone\n")
    process.stdin.flush()
    assert process.stdout.readline() == "20\n"
    process.communicate(timeout=30)


def test_lines_of_several_processes_are_whole_and_a_forked_one_has_a_log_of_its_own() -> None:
    lines = logged("""
log.get().info("before")
child = os.fork()
for n in range(3000):
    log.get().info("request", n=n, process=os.getpid(), filling="x" * (n % 300))
if child:
    os.waitpid(child, 0)
""")
    assert [line["event"] for line in lines].count("before") == 1
    assert len(lines) == 6001


def test_an_error_is_told_by_its_class_and_place_never_by_its_text() -> None:
    lines = logged(f"""
def asks():
    try:
        raise KeyError("{SECRET}")
    except KeyError as error:
        raise ValueError("no such customer {SECRET}") from error
try:
    asks()
except ValueError as error:
    log.get().error("failed", exc_info=error)
    log.get().error("failed", exc_info=True)
    logging.getLogger("paramiko.transport").exception("refused {SECRET}")
thread = threading.Thread(target=asks)
thread.start()
thread.join()
""")
    assert [(line["event"], line["error"], line["cause"]) for line in lines] == [
        ("failed", "ValueError", "KeyError"), ("failed", "ValueError", "KeyError"),
        ("paramiko", "ValueError", "KeyError"), ("thread", "ValueError", "KeyError"),
    ]  # fmt: skip
    assert all(line["at"][-1].endswith(" asks") for line in lines)
    assert SECRET not in json.dumps(lines)


def test_a_value_that_json_can_not_carry_fails_nobody() -> None:
    [line] = logged("log.get().info('request', half='\\ud800', much=2**80, what={1, 2})")
    assert line["event"] == "request"


def test_nothing_that_is_told_begins_a_line_or_moves_a_cursor() -> None:
    hostile = 'a\n{"event": "forged"}\r\x1b[2J\x85\u2028\u2029\x9b'
    process = started(f"log.get().info('request', caller={hostile!r})")
    told = process.communicate(timeout=30)[1]
    assert told.isascii()
    [line] = told.splitlines()
    assert line.isprintable()
    assert json.loads(line)["caller"] == hostile
