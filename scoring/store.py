"""The models of an installation: a folder `name/version/` with `card.json` and `model.onnx` each, the layout that Triton's users know.

Opening it reads the cards and no graph: it is cheap, needs no onnxruntime and may happen before a fork.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from scoring.card import read
from scoring.errors import BadModel, UnknownModel
from scoring.model import Model

CARD, GRAPH = "card.json", "model.onnx"


class Store:
    """Models by `name@version`. Raises BadModel for a card that is broken or stands in the wrong folder."""

    def __init__(self, folder: Path) -> None:
        self._models = dict(_model(path) for path in sorted(folder.glob(f"*/*/{CARD}")))

    def names(self) -> tuple[str, ...]:
        """`name@version` of each, sorted."""
        return tuple(sorted(self._models))

    def model(self, reference: str) -> Model:
        """The model called `name@version`. Raises UnknownModel with the nearest one that there is."""
        if reference in self._models:
            return self._models[reference]
        close = get_close_matches(reference, self._models, 1)
        nearest = f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(self.names()) or 'none'}"
        raise UnknownModel(f"no model is called '{reference}'{nearest}")


def _model(path: Path) -> tuple[str, Model]:
    card = read(path)
    name, version = path.parent.parent.name, path.parent.name
    if (card.model, card.version) != (name, version):
        raise BadModel(f"{path}: the card is of {card.model}@{card.version}, its folder says {name}@{version}")
    return f"{name}@{version}", Model(card, path.parent / GRAPH)
