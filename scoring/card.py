"""A model's card: what it was trained on, as far as scoring must know it, and the guard that every value passes on its way in.

onnxruntime refuses a matrix of the wrong width or type but scores NaN, 1e38 and a category's wrong code without a word. The card says
which values the model has seen: what it has not seen is refused here, by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from scoring.errors import BadModel, FeatureMissing, FeatureNotGiven, OutOfRange, UnknownCategory, WrongType

Value = float | Decimal | bool | str | None  # an int is a float here
OnMissing = Literal["as_trained", "refuse"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column. `codes` number a category's values; `accepts` bounds a number: the training range and the card's margin. `reference` is
    what it is with most people, as the graph takes it, None where the card has no statistics of it."""

    name: str
    kind: Literal["number", "category", "flag"]
    missing: bool
    accepts: tuple[float, float] = (-math.inf, math.inf)
    codes: Mapping[str, float] | None = None
    reference: float | None = None


@dataclass(frozen=True, slots=True)
class Golden:
    """A row and the score that the graph gave when it was made."""

    inputs: Mapping[str, Value]
    score: float


@dataclass(frozen=True, slots=True)
class Card:
    """card.json, checked. The graph takes one float32 matrix `input` whose columns are `features` in order; the score is a `column` of
    `output`, within `bounds`. `raw` is the whole file: training statistics, data, quality."""

    model: str
    version: str
    sha256: str
    input: str
    output: str
    column: int
    bounds: tuple[float, float]
    features: tuple[Feature, ...]
    golden: tuple[Golden, ...]
    raw: Mapping[str, Any]


def read(path: Path) -> Card:
    """The card at `path`. Raises BadModel that names the file and what is wrong with it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        graph = raw["graph"]
        card = Card(
            raw["model"], raw["version"], graph["sha256"], graph["input"], graph["output"], graph["column"],
            _pair(raw["output"]["range"]), tuple(map(_feature, raw["features"])),
            tuple(Golden(row["inputs"], row["score"]) for row in raw["golden"]), raw,
        )  # fmt: skip
    except KeyError as error:
        raise BadModel(f"{path}: {error} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadModel(f"{path} can't be read as a model card: {error}") from None
    names = [feature.name for feature in card.features]
    if not names or not card.golden or len(set(names)) < len(names):
        raise BadModel(f"{path}: expected features, each name once, and golden rows")
    return card


def encode(card: Card, features: Mapping[str, Value], on_missing: OnMissing) -> list[float]:
    """One row for the graph, NaN where a value is missing. Raises the BadFeature that says what can't be scored."""
    if features.keys() != {feature.name for feature in card.features}:
        _refuse_names(card, features)
    return [_encode(feature, features[feature.name], on_missing) for feature in card.features]


def _encode(feature: Feature, value: Value, on_missing: OnMissing) -> float:
    if value is None:
        if on_missing == "refuse" or not feature.missing:
            raise FeatureMissing(feature.name, "it has no value, and " + _why_needed(feature))
        return math.nan
    if feature.kind == "flag":
        if not isinstance(value, bool):
            raise WrongType(feature.name, f"expected true or false, met a {type(value).__name__}")
        return float(value)
    if feature.codes is not None:
        if not isinstance(value, str):
            raise WrongType(feature.name, f"expected a text, met a {type(value).__name__}")
        if value not in feature.codes:
            raise UnknownCategory(feature.name, f"expected one of {', '.join(feature.codes)}")
        return feature.codes[value]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WrongType(feature.name, f"expected a number, met a {type(value).__name__}")
    low, high = feature.accepts
    if (isinstance(value, Decimal) and value.is_nan()) or not low <= value <= high:  # a float's NaN is in no range
        raise OutOfRange(feature.name, f"expected a finite number from {low:.15g} to {high:.15g}")
    return float(value)


def _why_needed(feature: Feature) -> str:
    return "the endpoint refuses to score without it" if feature.missing else "the model was never trained without it"


def _refuse_names(card: Card, features: Mapping[str, Value]) -> None:
    names = [feature.name for feature in card.features]
    for name in names:
        if name not in features:
            raise FeatureNotGiven(name, "it was not handed in; say None when it is missing")
    raise FeatureNotGiven(
        next(name for name in features if name not in names), f"the model has none of this name; it has {', '.join(names)}"
    )


def _feature(raw: Mapping[str, Any]) -> Feature:
    name, kind, missing = raw["name"], raw["kind"], raw["missing"]["allowed"]
    known = raw.get("statistics")
    match kind:
        case "number":
            return Feature(name, kind, missing, accepts=_pair(raw["accepts"]), reference=float(known["deciles"][5]) if known else None)
        case "category":
            codes = {category: float(code) for code, category in enumerate(raw["categories"])}
            return Feature(name, kind, missing, codes=codes, reference=codes[max(codes, key=lambda one: known[one])] if known else None)
        case "flag":
            return Feature(name, kind, missing, reference=float(known["true"] > 0.5) if known else None)
    raise ValueError(f"feature '{name}': kind '{kind}' is not one of number, category, flag")


def _pair(raw: Any) -> tuple[float, float]:
    low, high = raw
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"[{low}, {high}] is not a range")
    return float(low), float(high)
