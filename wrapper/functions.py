"""`from: py:package.module.function`: the way out of YAML when a conversion needs an `if`.

A function is found only when its package is listed in FIGWAY_PACKAGES and it carries the @pure mark: the catalogue can't
call just anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[[Any], Any])


def pure(function: F) -> F:
    """Marks a typed function of one value as usable from a catalogue: no I/O, no state; raises ValueError for what it can't convert."""
    if len(inspect.signature(function).parameters) != 1 or "return" not in function.__annotations__:
        raise TypeError(f"@pure {function.__qualname__} must take one value and state what it returns")
    function.__figway_pure__ = True  # type: ignore[attr-defined]
    return function


def find(reference: str, packages: Sequence[str]) -> Callable[[Any], Any]:
    """`py:acme.dates.policy_year` -> the function. Raises ValueError that says why not."""
    module, _, name = reference.removeprefix("py:").rpartition(".")
    if module.partition(".")[0] not in packages:
        raise ValueError(f"{reference}: its package is not in FIGWAY_PACKAGES ({', '.join(packages) or 'empty'})")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{reference}: {error}") from None
    if not getattr(function, "__figway_pure__", False):
        raise ValueError(f"{reference} is not marked @wrapper.functions.pure")
    return function  # type: ignore[no-any-return]
