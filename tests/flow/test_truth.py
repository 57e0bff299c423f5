"""The doors tell the truth: a customer scored through four legacy protocols has the score that the data set itself gives."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fixtures.customers import Customer, everyone
from tests import needs
from tests.flow.client import Facade
from tests.live import CATALOGUE, ROOT, estate

MODEL = Path(__file__).resolve().parents[2] / "fixtures" / "models" / "default-risk" / "1"
WHOLE = 200  # customers of whom everything is known, evenly over the data set, beside all of those of whom it is not
MAY_LACK = ("home", "marital", "job", "income", "assets", "debt")


def lacks(customer: Customer) -> set[str]:
    return {name for name in MAY_LACK if getattr(customer, name) is None}


def chosen() -> list[Customer]:
    """Every customer with something missing, so every kind of such a row, and WHOLE complete ones: always the same."""
    complete = [c for c in everyone() if not lacks(c)]
    return complete[:: len(complete) // WHOLE][:WHOLE] + [c for c in everyone() if lacks(c)]


def direct(customers: Sequence[Customer]) -> list[float]:
    """Scores from the data set alone: the card's encoding and the graph, without a line of ours in between."""
    card = json.loads((MODEL / "card.json").read_text())

    def coded(customer: Customer, feature: dict[str, object]) -> float:
        value = getattr(customer, str(feature["name"]))
        if value is None:
            return math.nan
        return float(feature["categories"].index(value) if feature["kind"] == "category" else value)  # type: ignore[attr-defined]

    rows = np.array([[coded(c, f) for f in card["features"]] for c in customers], dtype=np.float32)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(MODEL / card["graph"]["file"], providers=["CPUExecutionProvider"])
    scores = session.run([card["graph"]["output"]], {card["graph"]["input"]: rows})[0]
    return [float(row[card["graph"]["column"]]) for row in scores]


def auc(scores: Sequence[float], bad: Sequence[bool]) -> float:
    """How often a bad payer scores above a good one; a tie counts half."""
    pairs = [(s > t) + (s == t) / 2 for s, b in zip(scores, bad, strict=True) if b for t, g in zip(scores, bad, strict=True) if not g]
    return sum(pairs) / len(pairs)


def test_scores_through_the_facade_equal_scores_from_the_data(facade: Facade, record_property: Callable[[str, object], None]) -> None:
    customers = chosen()
    lines: list[http.client.HTTPConnection] = []
    own = threading.local()

    def through_the_doors(customer: Customer) -> tuple[float, list[str]]:
        if not hasattr(own, "line"):
            own.line = http.client.HTTPConnection(*facade.address, timeout=20)
            lines.append(own.line)
        seen = facade.ask_on(own.line, f"GET /v1/customers/{customer.id}/risk")
        assert seen.status == 200, seen.body
        assert {source["system"] for source in seen.body["meta"]["sources"]} == {"corebank", "bureau", "ledger", "drop"}
        return seen.body["score"]["value"], seen.body["score"].get("missing", [])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(through_the_doors, customers))
    for line in lines:
        line.close()
    served, truth = [value for value, _ in answers], direct(customers)
    worst = max(abs(a - b) for a, b in zip(served, truth, strict=True))
    bad = [not c.good for c in customers]
    aucs = f"AUC through the doors {auc(served, bad):.4f}, from the data {auc(truth, bad):.4f}"
    record_property("measured", f"{len(customers)} customers: {aucs}; largest difference of a score {worst:.1e}")
    assert len(customers) >= 200
    assert worst < 1e-6
    assert [set(missing) for _, missing in answers] == [lacks(c) for c in customers]


def test_the_examples_of_every_endpoint_file_hold(tmp_path: Path) -> None:
    """`figway check --live --writes`, as a user runs it, on an estate of its own: the other one's users are signed on."""
    needs.program("s3270")
    argv = [sys.executable, "-m", "wrapper.cli", "check", str(CATALOGUE), "--live", "--writes"]
    with estate(tmp_path) as settings:
        environ = {**os.environ, **settings, "FIGWAY_STATE": f"sqlite:///{tmp_path}/state.sqlite"}
        ran = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout
    assert re.fullmatch(r"examples: (\d+) of \1 as expected", ran.stdout.splitlines()[-1])
