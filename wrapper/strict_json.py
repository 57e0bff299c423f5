"""JSON that any two parsers read alike: a member that is given twice, and NaN, are no JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn


def decoder(parse_float: Callable[[str], Any] = float, parse_int: Callable[[str], Any] = int) -> json.JSONDecoder:
    """What is not JSON raises ValueError."""
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=parse_float, parse_int=parse_int)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a member twice")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
