"""A model: its card, its ONNX graph, and the one call that matters, `Model.score()`.

The onnxruntime session is made when the first row is scored, in the process that scores: a session inherited through a fork can hang the
child. One thread computes a row (waking more costs more than the trees) and none spins. Before a session is used, the graph must be
the file that the card was made with, and must give the card's golden scores.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.card import Card, OnMissing, Value, encode
from scoring.errors import BadModel, BadOutput

GOLDEN_TOLERANCE = 1e-6
EXTERNAL = b"location"
"""The key without which no tensor of a graph can lead to another file (onnx.proto, TensorProto.external_data)."""


@dataclass(frozen=True, slots=True)
class Score:
    """`value` in the card's output range; `missing` names the features that had no value, scored as trained."""

    model: str
    version: str
    value: float
    missing: tuple[str, ...] = ()


class Model:
    """A model that many threads may ask at once, before and after a fork."""

    def __init__(self, card: Card, graph: Path) -> None:
        self.card = card
        self._graph = graph
        self._name = f"{card.model}@{card.version}/{graph.name}"  # what errors show: a path is nobody's business
        self._ready: tuple[int, Any] | None = None  # the process that made the session, and the session

    def score(self, features: Mapping[str, Value], on_missing: OnMissing = "as_trained") -> Score:
        """The score of one row: every feature of the card by name, None where it has no value.

        Raises BadFeature for a value that the model was not trained on, BadOutput, or BadModel.
        """
        card, value = self.card, self.scores([encode(self.card, features, on_missing)])[0]
        return Score(card.model, card.version, value, tuple(name for name, value in features.items() if value is None))

    def scores(self, rows: list[list[float]]) -> list[float]:
        """Of encoded rows, in one run. Raises BadOutput, or BadModel."""
        card, values = self.card, self._run(self._session(), rows)
        low, high = card.bounds
        if not all(low <= value <= high for value in values):  # NaN is in no range
            raise BadOutput(f"{card.model}@{card.version} gave no score: expected a number from {low:g} to {high:g}")
        return values

    def warm(self) -> None:
        """Make the session now, so that no caller waits for it and a broken model shows at start. Raises BadModel."""
        self._session()

    def _run(self, session: Any, rows: list[list[float]]) -> list[float]:
        import numpy as np

        matrix = np.array(rows, dtype=np.float32)
        return session.run([self.card.output], {self.card.input: matrix})[0][:, self.card.column].tolist()  # type: ignore[no-any-return]

    def _session(self) -> Any:
        """This process's session. There is no lock that a fork could leave held: threads that race for the first row make one each, and
        one is kept."""
        ready = self._ready
        if ready is None or ready[0] != os.getpid():
            ready = self._ready = (os.getpid(), self._open())
        return ready[1]

    def _open(self) -> Any:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # noqa: TID251 - else the import writes files and reports to its maker
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            graph = self._graph.read_bytes()
            if hashlib.sha256(graph).hexdigest() != self.card.sha256:
                raise BadModel(f"{self._name} is not the file that its card was made with: the SHA-256 differs")
            if EXTERNAL in graph:
                raise BadModel(
                    f"{self._name} has weights in other files, or a name with 'location' in it: only weights in the graph are read"
                )
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            self._check(session)
        except BadModel:
            raise
        except Exception as error:  # onnxruntime raises a class of its own for each status
            raise BadModel(f"{self._name} can't be loaded: {type(error).__name__}") from error
        return session

    def _check(self, session: Any) -> None:
        """Raises BadModel when the graph does not have the card's shape, or does not give its golden scores."""
        card = self.card
        inputs = [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()]
        wanted = [(card.input, "tensor(float)", [len(card.features)])]
        if inputs != wanted:
            raise BadModel(f"{self._name}: the card expects the inputs {wanted}, the graph has {inputs}")
        columns = {o.name: o.shape[1] for o in session.get_outputs() if o.type == "tensor(float)" and len(o.shape) == 2}
        width = columns.get(card.output, 0)
        if not isinstance(width, int) or not 0 <= card.column < width:
            raise BadModel(f"{self._name}: the card expects column {card.column} of '{card.output}', the graph has the outputs {columns}")
        scores = self._run(session, [encode(card, row.inputs, "as_trained") for row in card.golden])
        worst = max(abs(score - row.score) for score, row in zip(scores, card.golden, strict=True))
        if not worst <= GOLDEN_TOLERANCE:
            raise BadModel(f"{self._name}: a golden score is off by {worst:g}; at most {GOLDEN_TOLERANCE:g} is allowed")
