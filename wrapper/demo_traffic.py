"""The migration demo's callers, as a process of their own: they ask for accounts at a steady rate, and note each answer in a file.

Started as `python -m wrapper.demo_traffic JOB CALLS`: JOB says where and with which keys, CALLS grows by a line an answer (Call).
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TextIO

PATH = "/v1/customers/{}/accounts"
CUSTOMERS = range(10_001, 14_455)
BUSY, NOBODY = 12_345, 99_999  # 31 accounts on three screens; and who is no customer
ODD = 40  # of so many calls one is for each of these two
SECONDS = 15.0  # longer than the endpoint's deadline
SYSTEMS = {"corebank": "legacy", "accounts-api": "modern"}


@dataclass(frozen=True, slots=True)
class Call:
    """One answer: when it was asked for and there (by the machine's steady clock), for whom, and which side gave it, "-" when none did."""

    began: float
    ended: float
    consumer: str
    customer: str
    status: int
    side: str


def calls(file: Path, since: float = 0.0) -> list[Call]:
    """Those that began since then. The last line may be in the midst of being written."""
    whole, _, _ = file.read_text(encoding="utf-8").rpartition("\n")
    return [call for line in whole.splitlines() if (call := _read(line)).began >= since]


def _read(line: str) -> Call:
    began, ended, consumer, customer, status, side = line.split()
    return Call(float(began), float(ended), consumer, customer, int(status), side)


def main(job: Path, file: Path) -> None:
    """Until the process is ended. A consumer has a thread, and a kept-alive connection, for each of its shares of the rate."""
    told = json.loads(job.read_text(encoding="utf-8"))
    with file.open("w", encoding="utf-8", buffering=1) as out:
        lock = threading.Lock()
        threads = [
            threading.Thread(target=_ask_on, args=(tuple(told["address"]), name, each["key"], told["every"], n, out, lock), daemon=True)
            for name, each in told["consumers"].items()
            for n in range(each["threads"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ask_on(address: tuple[str, int], name: str, key: str, every: float, number: int, out: TextIO, lock: threading.Lock) -> None:
    line = http.client.HTTPConnection(*address, timeout=SECONDS)
    due = time.monotonic()
    for customer in _customers(f"{name}-{number}"):
        call = _call(line, name, key, customer)
        with lock:
            print(*astuple(call), file=out)
        due = max(due + every, call.ended)  # a slow answer is not made up for
        time.sleep(max(0.0, due - time.monotonic()))


def _customers(seed: str) -> Iterator[str]:
    dice = random.Random(seed)
    while True:
        odd = dice.randrange(ODD)
        yield f"{BUSY if odd == 0 else NOBODY if odd == 1 else dice.choice(CUSTOMERS):010d}"


def _call(line: http.client.HTTPConnection, consumer: str, key: str, customer: str) -> Call:
    began, status, side = time.monotonic(), 0, "-"
    try:
        line.request("GET", PATH.format(customer), headers={"Authorization": f"Bearer {key}"})
        answer = line.getresponse()
        status, side = answer.status, side_of(json.loads(answer.read()))
    except (OSError, http.client.HTTPException, ValueError):
        line.close()  # the next one connects anew
    return Call(began, time.monotonic(), consumer, customer, status, side)


def side_of(body: dict[str, object]) -> str:
    """Who has given this answer, "-" for nobody."""
    match body:
        case {"meta": {"sources": [{"side": str(side)}, *_]}}:
            return side
        case {"backend": str(system)}:
            return SYSTEMS.get(system, "-")
    return "-"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
