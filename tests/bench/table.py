"""The README's table: one line a row, with what was promised and whether it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """`key` is the issue's letter. `value` is judged by `floor` and `aim`: at least or at most these; None is only told."""

    key: str
    what: str
    told: str
    value: float = 0.0
    floor: float | None = None
    aim: float | None = None
    better: Literal["more", "less"] = "more"
    unit: str = "x"

    def verdict(self) -> str:
        if self.aim is not None and self._keeps(self.aim):
            return "aim kept"
        if self.floor is None:
            return "" if self.aim is None else f"misses the aim by {self._short(self.aim)}"
        return "floor kept" if self._keeps(self.floor) else f"**misses the floor by {self._short(self.floor)}**"

    def _keeps(self, bound: float) -> bool:
        return self.value >= bound if self.better == "more" else self.value <= bound

    def _short(self, bound: float) -> str:
        return f"{abs(self.value / bound - 1):.0%}"

    def line(self) -> str:
        sign = "≥" if self.better == "more" else "≤"
        promised = ", ".join(
            f"{name} {sign} {bound:g}{self.unit}" for name, bound in (("floor", self.floor), ("aim", self.aim)) if bound is not None
        )
        return f"| {self.key} | {self.what} | {self.told} | {promised} | {self.verdict()} |"


def markdown(rows: Sequence[Row]) -> str:
    head = ["| row | what | measured | promised | verdict |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(row.line() for row in rows)])
