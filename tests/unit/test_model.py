"""The committed model is what its script makes, and what its card says."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import train
from fixtures.customers import DATA, Customer, everyone
from scoring.model import Model
from scoring.store import Store

MODELS = train.FOLDER.parent.parent


@pytest.fixture(scope="module")
def model() -> Model:
    return Store(MODELS).model("default-risk@1")


def features(customer: Customer) -> dict[str, object]:
    return {name: getattr(customer, name) for name in train.KINDS}


def test_the_golden_rows_score_as_the_card_says(model: Model) -> None:
    for row in model.card.golden:
        assert model.score(row.inputs).value == pytest.approx(row.score, abs=1e-6)
    assert len(model.card.golden) >= 20


def test_golden_rows_lack_each_feature_that_may_be_missing(model: Model) -> None:
    for feature in model.card.features:
        assert feature.missing == any(row.inputs[feature.name] is None for row in model.card.golden)


def test_the_card_is_of_the_committed_data_and_graph(model: Model) -> None:
    raw = json.loads((train.FOLDER / "card.json").read_text())
    assert raw["data"]["sha256"] == hashlib.sha256(DATA.read_bytes()).hexdigest()
    assert raw["graph"]["sha256"] == hashlib.sha256((train.FOLDER / "model.onnx").read_bytes()).hexdigest()
    assert [feature.name for feature in model.card.features] == list(train.KINDS)
    assert raw["holdout"]["rows"] == len(train.holdout())


def test_every_customer_can_be_scored_and_the_hold_out_auc_is_the_cards(model: Model) -> None:
    unseen = [everyone()[row] for row in sorted(train.holdout())]
    scored = {c.id: model.score(features(c)).value for c in everyone()}
    scores = [scored[c.id] for c in unseen]
    bad = [score for score, c in zip(scores, unseen, strict=True) if not c.good]
    good = [score for score, c in zip(scores, unseen, strict=True) if c.good]
    wins = sum((b > g) + (b == g) / 2 for b in bad for g in good)
    assert wins / (len(bad) * len(good)) == pytest.approx(model.card.raw["quality"]["auc_holdout"], abs=1e-4)


def test_the_graph_is_small_and_names_no_tool(model: Model) -> None:
    graph = (train.FOLDER / "model.onnx").read_bytes()
    assert len(graph) < 500_000
    assert b"sk" + b"l2onnx" not in graph


@pytest.mark.skipif(importlib.util.find_spec("skl2onnx") is None, reason="the training extra is not installed")
def test_training_again_gives_the_same_bytes() -> None:
    root = Path(train.__file__).parent.parent
    again = subprocess.run([sys.executable, "-m", "fixtures.train", "--check"], cwd=root, capture_output=True, text=True, timeout=100)
    assert again.returncode == 0, again.stdout + again.stderr
