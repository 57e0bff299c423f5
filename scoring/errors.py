"""Why there is no score, as a tree. Messages name the feature and what was expected, never the value: it is a customer's.

ScoringError
|-- BadFacts 502          an expression can't be worked out over what the parts answered
|-- BadFeature 502        the model was not trained on this; `feature` names it
|   |-- FeatureNotGiven   the features handed in are not exactly the card's
|   |-- FeatureMissing    no value, and the card or the catalogue does not allow that
|   |-- WrongType         a text for a number, a number for a flag
|   |-- UnknownCategory   a category that the training data did not have
|   `-- OutOfRange        not finite, or outside the range that the card accepts
|-- BadOutput 500         the model gave something that is not a score
|-- BadModel 500          card and graph contradict each other, or one of them is broken
`-- UnknownModel 500      no model of this name and version
"""

from __future__ import annotations


class ScoringError(Exception):
    """A score that can't be given; `status` is its HTTP status, `detail` may be shown to callers and logged."""

    status = 500
    title = "The answer could not be scored"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadFacts(ScoringError):
    status = 502


class BadFeature(ScoringError):
    status = 502

    def __init__(self, feature: str, expected: str) -> None:
        super().__init__(f"feature '{feature}': {expected}")
        self.feature = feature


class FeatureNotGiven(BadFeature):
    status = 500


class FeatureMissing(BadFeature): ...


class WrongType(BadFeature): ...


class UnknownCategory(BadFeature): ...


class OutOfRange(BadFeature): ...


class BadOutput(ScoringError): ...


class BadModel(ScoringError): ...


class UnknownModel(ScoringError): ...
