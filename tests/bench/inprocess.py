"""Rows within one process: what an adapter and the reading of its answer cost on top of the library alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyodbc
import zeep
from zeep.wsse.username import UsernameToken

from adapters.base import Call
from tests.adapters import odbc_asking
from tests.bench import backends, estate, gatekeeping, terminal
from tests.bench.table import Row
from wrapper import assembly, log
from wrapper.params import Params
from wrapper.request import Terms
from wrapper.settings import from_environment

OURS = ["FIGW21", "FIGW22"]
KEPT, ONCE = "FIGW23", "FIGW24"
MODELS = estate.FIXTURES.parent / "models"
Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and theirs, how often each a round, and the clock that they are timed by."""

    ours: Work
    theirs: Work
    calls: tuple[int, int]
    clock: Callable[[], float] = time.perf_counter

    def ratio(self, rounds: int) -> tuple[float, float, float]:
        """Ours in units of theirs, and both in seconds: medians over rounds in turn, after one that warms up."""
        met = [(self._round(self.ours, self.calls[0]), self._round(self.theirs, self.calls[1])) for _ in range(rounds + 1)][1:]
        middle = statistics.median
        return middle(a / b for a, b in met), middle(a for a, _ in met), middle(b for _, b in met)

    def _round(self, work: Work, calls: int) -> float:
        began = self.clock()
        for _ in range(calls):
            work()
        return (self.clock() - began) / calls


def rows(env: Mapping[str, str], folder: Path, keys: str, rounds: int) -> Iterator[Row]:
    """What the issue asks for beside the rows over HTTP."""
    log.configure("warning")
    made = estate.catalogue(folder, OURS)
    settings = from_environment({**env}, catalogue=str(made), state=f"sqlite:///{folder}/state.sqlite", models=str(MODELS))
    with closing(assembly.assemble(settings)) as parts:
        if "c" in keys:
            yield from _ledger(parts, env, rounds)
        if "d" in keys:
            yield from _credit(parts, env, made, rounds)
        if "e" in keys:
            yield from _customer(parts, env, rounds)
        if "p" in keys:
            yield gatekeeping.row(parts, folder, rounds)


def _ledger(parts: assembly.Figway, env: Mapping[str, str], rounds: int) -> Iterator[Row]:
    customer = estate.CUSTOMERS[0]
    connection = pyodbc.connect(env["LEDGER_DSN"], autocommit=True)
    sql = "SELECT INCM, EXPN, UPDDT FROM INCOME WHERE CUSTNO = ?"

    def raw() -> object:
        return connection.cursor().execute(sql, customer).fetchall()

    assert len(raw()) == 1  # type: ignore[arg-type]
    source = parts.catalogue.operations["income.summary"].legacy
    assert source is not None
    target, params = source.target, {"customer_id": customer}
    with closing(odbc_asking.door(env["LEDGER_DSN"])) as adapter:

        def bare() -> object:
            return adapter.call(Call("income.summary", target, params, time.monotonic() + 10, "bench"))

        ratio, ours, theirs = Pair(bare, raw, (300, 300)).ratio(rounds)
    yield Row("c", "ODBC adapter's lookup, typed, of a raw one with a new cursor", _times(ratio, ours, theirs), ratio, 1.5, None, "less")
    whole = Pair(ask(parts, "income.summary", customer_id=customer), raw, (300, 300)).ratio(rounds)
    yield Row("c", "the same with guard, schema, checks, metrics and log line", _times(*whole))
    connection.close()


def _credit(parts: assembly.Figway, env: Mapping[str, str], made: Path, rounds: int) -> Iterator[Row]:
    client = zeep.Client(str(made / "wsdl" / "credit.wsdl"), wsse=UsernameToken(*env["BUREAU_LOGIN"].split(":", 1)))
    service = client.create_service(next(iter(client.wsdl.bindings)), env["BUREAU_URL"])

    def plain() -> object:
        return service.assess(Subject={"NationalId": backends.LONG}, Purpose="CREDIT")

    assert len(plain().Report.Searches.Search) == 100  # type: ignore[attr-defined]
    ours = ask(parts, "credit.check", national_id=backends.LONG)
    assert len(ours().good[0]["searches"]) == 100
    ratio, mine, theirs = Pair(ours, plain, (10, 3), time.process_time).ratio(rounds)
    yield Row("d", "SOAP reply of 100 rows in process, CPU, of zeep's", _times(ratio, mine, theirs), ratio, 0.2, None, "less")
    ours, short = ask(parts, "credit.check", national_id="EJ100000A"), {"NationalId": "EJ100000A"}
    pair = Pair(ours, lambda: service.assess(Subject=short, Purpose="CREDIT"), (30, 10), time.process_time)
    yield Row("d", "SOAP reply of 2 rows in process, CPU, of zeep's", _times(*pair.ratio(rounds)))


def _customer(parts: assembly.Figway, env: Mapping[str, str], rounds: int) -> Iterator[Row]:
    customer = estate.CUSTOMERS[0]
    pooled = ask(parts, "customers.get", customer_id=customer)
    kept = terminal.signed_on(env, KEPT)
    assert terminal.enquire(kept, customer) == [pooled().good[0][name] for name in terminal.FIELDS[:5]] + _shown(pooled().good[0])
    ratio, ours, theirs = Pair(pooled, lambda: terminal.enquire(kept, customer), (40, 40)).ratio(rounds)
    yield Row("e", "3270 enquiry in process, of a raw py3270 one, kept alive", _times(ratio, ours, theirs), ratio, 1.3, None, "less")
    terminal.sign_off(kept)

    def once() -> None:
        screen = terminal.signed_on(env, ONCE)
        terminal.enquire(screen, customer)
        terminal.sign_off(screen)

    ratio, ours, theirs = Pair(pooled, once, (40, 1)).ratio(max(rounds // 2, 1))
    told = f"{1 / ratio:.0f}x ({theirs * 1000:.0f} ms: {ours * 1000:.2f} ms)"
    yield Row("e", "3270 enquiry on a kept session, against a script that signs on for each", told, 1 / ratio, 50, None, "more")


def _shown(row: Mapping[str, Any]) -> list[str]:
    """Date and amounts as the screen has them."""
    return [row["since"].strftime("%d/%m/%Y"), *(f"{row[name]:,.2f}" for name in ("assets", "debt"))]


def ask(parts: assembly.Figway, name: str, **values: str) -> Callable[[], Any]:
    """The adapter's call with the reading of its answer and all checks of it."""
    operation = parts.catalogue.operations[name]
    loader = Params(operation)
    params = loader.load(loader.place(values))
    return lambda: parts.service.fetch(operation, "legacy", params, Terms(time.monotonic() + 10, "bench"))


def _times(ratio: float, ours: float, theirs: float) -> str:
    return f"**{ratio:.2f}x** ({ours * 1e6:.0f} us: {theirs * 1e6:.0f} us)"
