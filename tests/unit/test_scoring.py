"""A row in, a score out: guards before and after the model, threads, forks, broken models."""

import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from scoring import errors
from scoring.model import Model
from scoring.store import Store

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "fixtures" / "models"
SECRET = "987654321"


@pytest.fixture(scope="module")
def model() -> Model:
    return Store(MODELS).model("default-risk@1")


@pytest.fixture
def row(model: Model) -> dict[str, Any]:
    return dict(model.card.golden[0].inputs)


def test_a_score_names_its_model_and_what_was_missing(model: Model, row: dict[str, Any]) -> None:
    score = model.score(row | {"income": None})
    assert (score.model, score.version, score.missing) == ("default-risk", "1", ("income",))
    assert 0 < score.value < 1


def test_int_float_and_decimal_are_the_same_number(model: Model, row: dict[str, Any]) -> None:
    given = [5000, 5000.0, Decimal("5000"), Decimal("5000.00")]
    assert len({model.score(row | {"assets": value}).value for value in given}) == 1


def test_the_order_in_which_features_are_given_does_not_matter(model: Model, row: dict[str, Any]) -> None:
    assert model.score(dict(reversed(row.items()))).value == model.score(row).value


@pytest.mark.parametrize(
    "feature, value, error",
    [
        ("age", None, errors.FeatureMissing),
        ("age", int(SECRET), errors.OutOfRange),
        ("age", 10**400, errors.OutOfRange),
        ("age", -1, errors.OutOfRange),
        ("income", float("nan"), errors.OutOfRange),
        ("income", float("inf"), errors.OutOfRange),
        ("income", 1e38, errors.OutOfRange),
        ("income", Decimal("NaN"), errors.OutOfRange),
        ("income", Decimal("sNaN"), errors.OutOfRange),
        ("income", Decimal("-Infinity"), errors.OutOfRange),
        ("income", SECRET, errors.WrongType),
        ("income", True, errors.WrongType),
        ("income", [1], errors.WrongType),
        ("home", SECRET, errors.UnknownCategory),
        ("home", "Owner", errors.UnknownCategory),
        ("home", 1, errors.WrongType),
        ("records", "yes", errors.WrongType),
        ("records", 1, errors.WrongType),
    ],
)
def test_what_the_model_was_not_trained_on_is_refused_by_name(
    model: Model, row: dict[str, Any], feature: str, value: object, error: type[errors.BadFeature]
) -> None:
    with pytest.raises(error) as refused:
        model.score(row | {feature: value})
    assert type(refused.value) is error
    assert refused.value.feature == feature
    assert f"'{feature}'" in refused.value.detail
    assert SECRET not in refused.value.detail


def test_a_number_may_lie_as_far_outside_the_training_range_as_the_card_says(model: Model, row: dict[str, Any]) -> None:
    assert model.score(row | {"age": 73}).value > 0
    with pytest.raises(errors.OutOfRange, match="from 13 to 73"):
        model.score(row | {"age": Decimal("73.01")})


def test_missing_may_be_refused_where_the_card_allows_it(model: Model, row: dict[str, Any]) -> None:
    assert model.score(row, "refuse").value == model.score(row).value
    with pytest.raises(errors.FeatureMissing, match="'income'"):
        model.score(row | {"income": None}, "refuse")


def test_features_must_be_exactly_the_cards(model: Model, row: dict[str, Any]) -> None:
    with pytest.raises(errors.FeatureNotGiven, match="'shoe_size': the model has none"):
        model.score(row | {"shoe_size": 43})
    del row["debt"]
    with pytest.raises(errors.FeatureNotGiven, match="'debt': it was not handed in"):
        model.score(row)


def test_eight_threads_that_start_cold_get_the_same_scores() -> None:
    cold = Store(MODELS).model("default-risk@1")
    rows = list(cold.card.golden) * 20
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda golden: cold.score(golden.inputs).value, rows))
    assert results == [cold.score(golden.inputs).value for golden in rows]


FORK = """
import os, sys
from pathlib import Path
from scoring.store import Store

model = Store(Path("fixtures/models")).model("default-risk@1")
assert "onnxruntime" not in sys.modules, "opening the store must not load onnxruntime"
row = model.card.golden[0]
if sys.argv[1] == "warm":
    model.warm()
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if abs(model.score(row.inputs).value - row.score) < 1e-6 else 1)
    assert os.waitpid(child, 0)[1] == 0
assert abs(model.score(row.inputs).value - row.score) < 1e-6
"""


@pytest.mark.parametrize("state", ["cold", "warm"])
def test_children_of_a_fork_score_with_a_session_of_their_own(state: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, state], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(MODELS / "default-risk", tmp_path / "default-risk")
    return tmp_path


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "default-risk" / "1" / "card.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"score": 0.0107404', '"score": 0.0207404', "golden score"),
        ('"score": 0.0107404', '"score": NaN', "golden score"),
        ('"input": "features"', '"input": "x"', "expects the inputs"),
        ('"output": "probabilities"', '"output": "label"', "expects column 1 of 'label'"),
        ('"column": 1', '"column": 2', "expects column 2"),
        ('"sha256": "', '"sha256": "0', "SHA-256 differs"),
    ],
)
def test_a_graph_that_is_not_what_its_card_says_is_never_asked(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder, old, new)
    broken = Store(folder).model("default-risk@1")
    with pytest.raises(errors.BadModel, match=message) as refused:
        broken.warm()
    assert str(folder) not in refused.value.detail
    with pytest.raises(errors.BadModel):
        broken.score(broken.card.golden[0].inputs)


def test_a_card_of_fewer_features_than_the_graph_is_refused(folder: Path) -> None:
    path = folder / "default-risk" / "1" / "card.json"
    card = json.loads(path.read_text())
    card["features"].pop()
    path.write_text(json.dumps(card))
    with pytest.raises(errors.BadModel, match=r"\[12\].*\[13\]"):
        Store(folder).model("default-risk@1").warm()


def test_a_graph_that_can_not_be_read_is_a_bad_model(folder: Path) -> None:
    (folder / "default-risk" / "1" / "model.onnx").unlink()
    with pytest.raises(errors.BadModel, match="FileNotFoundError"):
        Store(folder).model("default-risk@1").warm()


def test_a_graph_whose_weights_lie_in_another_file_is_refused(folder: Path) -> None:
    """A second `graph` is merged into the first (protobuf): with a tensor W whose data are at the location /etc/passwd."""
    path = folder / "default-risk" / "1"
    tensor = bytes.fromhex("0802100142015770016a170a086c6f636174696f6e120b") + b"/etc/passwd"
    graph = (path / "model.onnx").read_bytes() + bytes([0x3A, len(tensor) + 2, 0x2A, len(tensor)]) + tensor
    card = json.loads((path / "card.json").read_text())
    card["graph"]["sha256"] = hashlib.sha256(graph).hexdigest()
    (path / "card.json").write_text(json.dumps(card))
    (path / "model.onnx").write_bytes(graph)
    with pytest.raises(errors.BadModel, match="weights in other files"):
        Store(folder).model("default-risk@1").warm()


def test_an_output_outside_the_cards_range_is_no_score(folder: Path) -> None:
    edit(folder, '"range": [0, 1]}', '"range": [0, 0.5]}')
    capped = Store(folder).model("default-risk@1")
    low, high = capped.card.golden[0].inputs, capped.card.golden[13].inputs
    assert capped.score(low).value < 0.5
    with pytest.raises(errors.BadOutput, match=r"from 0 to 0\.5"):
        capped.score(high)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"model": "default-risk"', '"model": "other"', "other@1, its folder says default-risk@1"),
        ('"golden"', '"gilded"', "'golden' is missing"),
        ('"kind": "flag"', '"kind": "flog"', "kind 'flog' is not one of"),
        ('"name": "home"', '"name": "age"', "each name once"),
        ('"accepts": [13.0, 73.0]', '"accepts": [73.0, 13.0]', "not a range"),
        ('"accepts": [13.0, 73.0]', '"accepts": 13', "can't be read"),
        ("{", "", "can't be read"),
    ],
)
def test_a_broken_card_is_refused_when_the_store_opens(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder, old, new)
    with pytest.raises(errors.BadModel, match=message):
        Store(folder)


def test_a_store_lists_its_models_and_names_the_nearest() -> None:
    store = Store(MODELS)
    assert store.names() == ("default-risk@1",)
    with pytest.raises(errors.UnknownModel, match="did you mean 'default-risk@1'"):
        store.model("default-risk@2")
    with pytest.raises(errors.UnknownModel, match="there are: default-risk@1"):
        store.model("zzz")
