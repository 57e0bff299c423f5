"""`py:package.module.function`: the way out of YAML when a conversion needs an `if`, a side has records of its own design, a
credential is made for each sign-on, or whom a caller may ask about is no matter of a claim.

A function is found only when its package is listed in FIGWAY_PACKAGES and it carries the mark of its use, @pure, @credential, @vault or
@may: the catalogue can't call just anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from adapters.errors import Misread

F = TypeVar("F", bound=Callable[..., Any])
PURE, CREDENTIAL, VAULT, MAY = "pure", "credential", "vault", "may"


def pure(function: F) -> F:
    """Marks a typed function of one value as usable from a catalogue: no I/O, no state; raises ValueError for what it can't convert."""
    if len(inspect.signature(function).parameters) != 1 or "return" not in function.__annotations__:
        raise TypeError(f"@pure {function.__qualname__} must take one value and state what it returns")
    function.__figway__ = PURE  # type: ignore[attr-defined]
    return function


def credential(function: F) -> F:
    """Marks a function (system, LU) -> `user:password` that makes a login for one sign-on (a PassTicket); each is used once."""
    if len(inspect.signature(function).parameters) != 2:
        raise TypeError(f"@credential {function.__qualname__} must take a system's name and an LU's")
    function.__figway__ = CREDENTIAL  # type: ignore[attr-defined]
    return function


def vault(function: F) -> F:
    """Marks a function name -> secret that asks a vault: what `vault:NAME` in the catalogue refers to, through FIGWAY_VAULT. It is asked
    anew whenever the secret is looked at; it may raise anything, and none of its words is shown."""
    if len(inspect.signature(function).parameters) != 1:
        raise TypeError(f"@vault {function.__qualname__} must take the name of a secret")
    function.__figway__ = VAULT  # type: ignore[attr-defined]
    return function


def may(function: F) -> F:
    """Marks a function (claims, value, params) -> bool that says whether a caller of these claims may ask about this value of a parameter:
    no I/O, no state. Only True allows; whatever it raises refuses."""
    if len(inspect.signature(function).parameters) != 3:
        raise TypeError(f"@may {function.__qualname__} must take claims, a value and parameters")
    function.__figway__ = MAY  # type: ignore[attr-defined]
    return function


Transform = Callable[[Any, str], Any]
"""What it is given, and the name of the back end for errors -> what the function made of it. Raises Misread."""


def of_records(reference: str | None, packages: Sequence[str]) -> Transform:
    """Raw records -> a list of raw records, by the @pure function of this name; the same ones without a name."""
    return _transform(
        reference, packages, "a list of mappings by name", lambda made: isinstance(made, list | tuple) and all(map(_named, made))
    )


def of_params(reference: str | None, packages: Sequence[str]) -> Transform:
    """Parameters -> parameters, as for records."""
    return _transform(reference, packages, "a mapping by name", _named)


def _named(made: Any) -> bool:
    return isinstance(made, Mapping) and all(isinstance(name, str) for name in made)


def _transform(reference: str | None, packages: Sequence[str], wanted: str, fits: Callable[[Any], bool]) -> Transform:
    """Its errors name the function and no value. Raises ValueError as find() does."""
    if reference is None:
        return lambda given, _backend: given
    function = find(reference, packages)

    def transform(given: Any, backend: str) -> Any:
        try:
            made = function(given)
        except Exception as error:  # noqa: BLE001 - whatever it says may hold a value
            raise Misread(f"{reference} failed: {type(error).__name__}", backend=backend) from None
        if not fits(made):
            raise Misread(f"{reference} gave {type(made).__name__} where {wanted} was expected", backend=backend)
        return made

    return transform


def find(reference: str, packages: Sequence[str], mark: str = PURE) -> Callable[..., Any]:
    """`py:acme.dates.policy_year` -> the function. Raises ValueError that says why not."""
    module, _, name = reference.removeprefix("py:").rpartition(".")
    if module.partition(".")[0] not in packages:
        raise ValueError(f"{reference}: its package is not in FIGWAY_PACKAGES ({', '.join(packages) or 'empty'})")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{reference}: {error}") from None
    if getattr(function, "__figway__", None) != mark:
        raise ValueError(f"{reference} is not marked @wrapper.functions.{mark}")
    return function  # type: ignore[no-any-return]
