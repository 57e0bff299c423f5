"""Facts -> a score, as the catalogue's `scoring` block says: the one place where answers meet a model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from scoring import features
from scoring.errors import BadFacts, BadFeature
from scoring.reasons import reasons
from scoring.store import Store as Models
from wrapper.operation import Catalogue, Operation, Scoring


class Scorer:
    """Compiled feature expressions and the models that they feed. Thread-safe."""

    def __init__(self, catalogue: Catalogue, models: Models) -> None:
        self._models = models
        self._features = {
            op.name: {name: features.parse(text) for name, text in op.scoring.features.items()}
            for op in catalogue.operations.values()
            if op.scoring is not None
        }

    def warm(self, catalogue: Catalogue) -> None:
        """Load every model that the catalogue names: a broken one shows at start."""
        for op in catalogue.operations.values():
            if op.scoring is not None:
                self._models.model(f"{op.scoring.model}@{op.scoring.version}").warm()

    def score(self, operation: Operation, facts: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The answer's `score` and what goes to its `meta`: a customer that the model can't judge is told as such, never scored anyway."""
        spec = operation.scoring
        if spec is None:
            return None, {}
        if spec.per_row:
            scored = [self._one(operation, spec, {"": row}) for row in facts[""]]
            notes = {str(n): why for n, (_, why) in enumerate(scored) if why}
            return [score for score, _ in scored], {"not_scored": notes} if notes else {}
        score, why = self._one(operation, spec, facts)
        return score, {"not_scored": why} if why else {}

    def explained(self, operation: Operation, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What a score was made of, and its reasons, the strongest first. Raises ScoringError."""
        spec = operation.scoring
        assert spec is not None
        values = self._values(operation, facts)
        found = reasons(self._models.model(f"{spec.model}@{spec.version}"), values, spec.on_missing)
        return values, [{"feature": one.feature, "moves": one.moves} for one in found]

    def _values(self, operation: Operation, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: features.evaluate(made, facts, date.today()) for name, made in self._features[operation.name].items()}

    def _one(self, operation: Operation, spec: Scoring, facts: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        try:
            values = self._values(operation, facts)
            score = self._models.model(f"{spec.model}@{spec.version}").score(values, spec.on_missing)
        except (BadFeature, BadFacts) as error:
            return None, error.detail
        made = {"model": score.model, "version": score.version, "value": score.value}
        return {**made, "missing": list(score.missing)} if score.missing else made, ""
