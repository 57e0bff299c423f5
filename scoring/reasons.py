"""Why a score is what it is: by how much each feature moves it away from where it would be if that feature were as with most people.

The reference of a feature is the card's: the median of the training data, the most frequent category, the more frequent of yes and no. Each
feature by itself is replaced by it, all rows are scored in one run, and the differences are the reasons. It needs nothing of the model but
its scores, and is the same each time. What several features do only together is not shared out among them: the differences need not add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scoring.card import OnMissing, Value, encode
from scoring.model import Model

MOST = 5
LEAST = 0.0005
"""What moves a score by less is no reason."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`moves` is the score less what it would be with the feature's reference: above 0 the feature raises it."""

    feature: str
    moves: float


def reasons(model: Model, features: Mapping[str, Value], on_missing: OnMissing = "as_trained") -> tuple[Reason, ...]:
    """The strongest first, MOST at most. Raises as Model.score does."""
    row = encode(model.card, features, on_missing)
    other = [(n, one.name, one.reference) for n, one in enumerate(model.card.features) if one.reference is not None]
    other = [(n, name, reference) for n, name, reference in other if reference != row[n]]  # a missing value, NaN, equals nothing
    score, *replaced = model.scores([row, *([*row[:n], reference, *row[n + 1 :]] for n, _, reference in other)])
    found = [Reason(name, round(score - without, 6)) for (_, name, _), without in zip(other, replaced, strict=True)]
    return tuple(sorted((one for one in found if abs(one.moves) >= LEAST), key=lambda one: -abs(one.moves))[:MOST])
