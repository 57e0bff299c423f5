"""What people do to Figway, and Figway by itself: on record before it is done, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from wrapper.audit.lines import now, packed
from wrapper.audit.writer import AWAY, Writer
from wrapper.late import SOON
from wrapper.problems import NotReady
from wrapper.state.clock import me

PATIENCE = 5.0  # seconds


class Act:
    """On record once it is made; as a block it also records how it ended. Raises NotReady when it can't be recorded: then it must not be
    done. `about` holds names and numbers, nobody's values; what is empty is left out."""

    def __init__(self, writer: Writer, who: str, what: str, **about: Any) -> None:
        self._writer, self._who, self._what = writer, who, what
        said = {name: value for name, value in about.items() if value}
        self._n = writer.put(packed({"at": now(), "kind": "act", "who": who, "what": what, **said}), PATIENCE)

    def __enter__(self) -> Act:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        well = kind is None or (isinstance(error, SystemExit) and not error.code)
        told = {"who": self._who, "what": self._what, "intent": self._n, "outcome": "ok" if well or kind is None else kind.__name__}
        self._writer.tell(packed({"at": now(), "kind": "done", **told}), SOON)


@contextmanager
def alone(folder: Path, who: str, what: str, **about: Any) -> Iterator[None]:
    """An act of a process that does nothing else, like a command: a writer of its own."""
    with closing(Writer(folder, {"process": me()})) as writer:
        try:
            act = Act(writer, who, what, **about)
        except NotReady:  # who types may know where it is
            raise NotReady(f"{AWAY}: {folder}") from None
        with act:
            yield


def told(folder: Path, who: str, what: str, **about: Any) -> None:
    """An act that nothing holds up, the kill switch: on record if that can be."""
    with closing(Writer(folder, {"process": me()})) as writer:
        writer.tell(packed({"at": now(), "kind": "act", "who": who, "what": what, **{n: v for n, v in about.items() if v}}), SOON)
