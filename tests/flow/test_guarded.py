"""One back end falls silent under three times the callers that it takes: nobody hangs, others do not notice, it comes back by itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.faults import Fault, Proxy
from fixtures.modern import Modern
from fixtures.odbc import Ledger
from tests import needs
from tests.live import CATALOGUE
from wrapper import assembly, live, settings
from wrapper.assembly import Figway
from wrapper.request import Answer

DEADLINE, PLACES = 1.0, 4
BREAKER = "breaker: {open_after: 4, window: 10s, probe_every: 2s}"
CUSTOMER = {"customer_id": "0000012345"}


@pytest.fixture
def line() -> Iterator[Proxy]:
    """The way to the modern service."""
    modern = Modern()
    with Proxy(modern.start()) as proxy:
        yield proxy
    modern.stop()


@pytest.fixture
def figway(line: Proxy, tmp_path: Path) -> Iterator[Figway]:
    """The demo's facade with 14 threads, of which a system gets PLACES, and a deadline of a second."""
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/*/libsqlite3odbc.so")
    folder = Path(shutil.copytree(CATALOGUE, tmp_path / "catalogue"))
    accounts = folder / "endpoints" / "accounts.list.yaml"
    accounts.write_text(accounts.read_text().replace("deadline: 8s", f"deadline: {DEADLINE:.0f}s, {BREAKER}"))
    ledger = Ledger(tmp_path)
    environ = {"LEDGER_DSN": ledger.start(), "ACCOUNTS_URL": "http://{}:{}".format(*line.address)}
    models = str(CATALOGUE.parent / "models")
    given = settings.from_environment(environ, catalogue=str(folder), state=f"sqlite:///{tmp_path}/state.sqlite", threads=14, models=models)
    with closing(assembly.assemble(given)) as parts:
        yield parts
    ledger.stop()


def accounts(parts: Figway) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = live.ask(parts.service, parts.catalogue.operations["accounts.list"], CUSTOMER, wanted="modern")
    return answer, time.monotonic() - began


def test_a_silent_system_holds_nobody_up_and_is_back_with_the_first_probe(figway: Figway, line: Proxy) -> None:
    assert accounts(figway)[0].status == 200
    line.set(Fault(mute=0))
    with ThreadPoolExecutor(3 * PLACES) as threads:
        callers = [threads.submit(accounts, figway) for _ in range(3 * PLACES)]
        others = []
        while wait(callers, timeout=0.02).not_done:
            began = time.monotonic()
            others.append(live.ask(figway.service, figway.catalogue.operations["income.summary"], CUSTOMER).status)
            assert time.monotonic() - began < 0.5
    assert set(others) == {200}
    answers = [caller.result() for caller in callers]
    assert all(took < DEADLINE + 1 for _, took in answers)
    assert sorted({answer.status for answer, _ in answers}) == [503, 504]
    assert sum(answer.status == 504 for answer, _ in answers) == PLACES
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer, _ in answers if answer.status == 503)

    left_alone, took = accounts(figway)
    assert (left_alone.status, left_alone.body["type"], left_alone.headers["Retry-After"]) == (503, "/problems/circuit-open", "2")
    assert took < 0.2
    line.clear()
    until = time.monotonic() + 5
    while (again := accounts(figway)[0]).status == 503 and time.monotonic() < until:
        time.sleep(0.05)
    assert again.status == 200
    assert figway.systems["accounts-api"].breakers() == {}
    assert all(answer.status == 200 for answer, _ in (accounts(figway) for _ in range(3)))
