"""PICTURE strings: how many characters or digits, where the decimal point is assumed, whether there is a sign."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MOST_DIGITS = 31  # ARITH(EXTEND)
_REPEAT = re.compile(r"(.)\(([0-9]{1,6})\)")
_NUMBER = re.compile(r"(S?)(?:(9*)(?:V(9*))?|V?(P+)(9+)|(9+)(P+)V?)")


@dataclass(frozen=True, slots=True)
class Picture:
    """`length` counts the characters of a text, `digits` those of a number that are stored; `scale` is how far the point stands
    left of the last one (negative with trailing P)."""

    kind: Literal["text", "number"]
    length: int = 0
    digits: int = 0
    scale: int = 0
    signed: bool = False


def picture(text: str) -> Picture:
    """Raises ValueError for what is not supported."""
    full = _REPEAT.sub(lambda met: met[1] * int(met[2]), text.upper())
    if re.fullmatch(r"[XA9]*[XA][XA9]*", full):
        return Picture("text", length=len(full))
    met = _NUMBER.fullmatch(full)
    if met is None:
        sort = "national" if "N" in full else "DBCS" if "G" in full else "edited or malformed"
        raise ValueError(f"PICTURE {text}: {sort} pictures are not supported")
    whole, part = met[2] or met[6] or "", met[3] or met[5] or ""
    scale = len(met[4] or "") + len(part) if not met[7] else -len(met[7])
    digits = len(whole) + len(part)
    if not 1 <= digits <= MOST_DIGITS:
        raise ValueError(f"PICTURE {text}: a number has 1 to {MOST_DIGITS} digits, this one {digits}")
    return Picture("number", digits=digits, scale=scale, signed=bool(met[1]))
