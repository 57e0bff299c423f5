"""`make bench`: what Figway costs against what a user would write without it. The README's table is what this prints.

All of it runs against the demo estate on loopback, in one run, each row beside its yardstick.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import yardsticks
from tests.bench.harness import Row, compare, table
from tests.live import Served, estate, serving
from wrapper import app, catalogue, log
from wrapper.live import operator
from wrapper.operation import Operation
from wrapper.params import Params
from wrapper.request import Terms
from wrapper.settings import from_environment

CATALOGUE = Path("fixtures/catalogue").resolve()
MODELS = CATALOGUE.parent / "models"
CUSTOMER = "0000010001"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, estate(Path(folder)) as env:
        rows = _adapters(env, folder)
        served = Path(folder) / "served"
        served.mkdir()
        with serving(env, [operator(catalogue.load(CATALOGUE, MODELS))], served) as facade, yardsticks.bare_flask(folder) as hello:
            rows += _requests(facade, hello)
    print(table(rows))


def _adapters(env: Any, folder: str) -> list[Row]:
    """In process: the adapter's call with everything around it, against the library alone."""
    log.configure("warning")
    settings = from_environment({**env}, catalogue=str(CATALOGUE), state=f"sqlite:///{folder}/state.sqlite")
    parts = app.assemble(settings)
    try:
        national_id = _ask(parts, "customers.get", customer_id=CUSTOMER)().good[0]["national_id"]
        return [
            compare(
                "3270 enquiry, pooled session", _ask(parts, "customers.get", customer_id=CUSTOMER),
                "one-shot py3270 script", yardsticks.one_shot_3270(env, CUSTOMER), calls=(100, 3), rounds=7,
            ),
            compare(
                "SOAP call, normalised", _ask(parts, "credit.check", national_id=national_id),
                "plain zeep client", yardsticks.plain_zeep(env, str(CATALOGUE / "wsdl/credit.wsdl"), national_id), calls=(60, 60),
            ),
            compare(
                "ODBC lookup, normalised", _ask(parts, "income.summary", customer_id=CUSTOMER),
                "raw pyodbc, live connection", yardsticks.raw_pyodbc(env, CUSTOMER), calls=(500, 500),
            ),
        ]  # fmt: skip
    finally:
        parts.close()


def _ask(parts: app.Figway, name: str, **values: str) -> Callable[[], Any]:
    operation: Operation = parts.catalogue.operations[name]
    loader = Params(operation)
    params = loader.load(loader.place(values))
    return lambda: parts.service.fetch(operation, "legacy", params, Terms(time.monotonic() + 10, "bench"))


def _requests(served: Served, hello: tuple[str, int]) -> list[Row]:
    """Over HTTP on a kept-alive connection, one client, against a bare Flask hello under the same gunicorn."""
    yardstick = _get(hello, "/", {})
    named = {
        "HTTP request to an ODBC endpoint": f"/v1/customers/{CUSTOMER}/income",
        "HTTP request to a 3270 endpoint": f"/v1/customers/{CUSTOMER}",
        "HTTP request to the four-door join, scored": f"/v1/customers/{CUSTOMER}/risk",
    }
    headers = {"Authorization": f"Bearer {served.keys['operator']}", "Figway-Purpose": "credit-risk"}
    return [
        compare(what, _get(served.address, path, headers), "bare Flask hello, same gunicorn", yardstick, calls=(100, 200))
        for what, path in named.items()
    ]


def _get(address: tuple[str, int], path: str, headers: dict[str, str]) -> Callable[[], None]:
    line = http.client.HTTPConnection(*address, timeout=10)

    def get() -> None:
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        body = answer.read()
        assert answer.status == 200, body

    return get


if __name__ == "__main__":
    main()
