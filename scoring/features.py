"""The closed vocabulary of expressions: how a feature, or a value of a join's response, comes out of what the parts answered.

    customer.assets                   the one value there (short for `field(customer.assets)`); None when there is no row
    balance                           a name alone is a field of the answer itself, the part named ""
    sum(accounts.balance)             also mean, min, max: over all rows; None as soon as one of them is missing; the sum of no rows is 0
    count(bureau.searches)            how many there are, the missing not counted; `count(accounts)`: the rows of a part
    days_since(customer.since)        whole days until today, negative for a day to come
    rank(application.job, [a, b])     the place in the list, from 0

Parsed once into a flat Expression: nothing nests and nothing is executed, so the catalogue loader can check every name. What is
missing stays missing (None), never 0. Decimals stay Decimal: a sum of them is exact to the last digit, a mean has 28 digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from difflib import get_close_matches
from typing import Any

from scoring.errors import BadFacts

Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
Facts = Mapping[str, Rows]

OVER_ROWS = ("sum", "count", "min", "max", "mean")
FUNCTIONS = (*OVER_ROWS, "days_since", "field", "rank")
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed expression. `part` is "" for the answer itself; `path` are field names inside it; `ranks` belong to rank()."""

    source: str
    function: str
    part: str
    path: tuple[str, ...]
    ranks: tuple[str, ...] = ()


class BadExpression(ValueError):
    """A text that is not an expression; `column` counts from 1."""

    def __init__(self, source: str, column: int, message: str) -> None:
        super().__init__(f"'{source}', column {column}: {message}")
        self.column = column


def parse(source: str) -> Expression:
    """Raises BadExpression, a ValueError, that says where, what was expected and the nearest function."""
    text = _Reader(source)
    start = text.at
    first = text.take(_NAME, "a function or a field")
    if not text.sees("("):
        return _expression(source, "field", text.path(first), (), text)
    if first not in FUNCTIONS:
        raise BadExpression(source, start + 1, f"'{first}' is not a function{_nearest(first, FUNCTIONS)}; allowed: {', '.join(FUNCTIONS)}")
    text.expect("(")
    path = text.path(text.take(_NAME, "a field, like part.field"))
    ranks = text.ranks() if first == "rank" else ()
    text.expect(")")
    return _expression(source, first, path, ranks, text)


def references(expression: Expression) -> tuple[tuple[str, str], ...]:
    """The (part, field) pairs that it reads: the part "" is the answer itself, the field "" a part's rows as such, a dot goes deeper."""
    return ((expression.part, ".".join(expression.path)),)


def evaluate(expression: Expression, facts: Facts, today: date) -> Any:
    """The value over `facts`, None where it is missing. Raises BadFacts when a value is not of a kind that the function takes."""
    found = _look(facts.get(expression.part), expression.path, expression)
    if found is None:
        return None
    if expression.function in OVER_ROWS:
        return _over_rows(expression, found if isinstance(found, list) else [found])
    if isinstance(found, list):
        if len(found) > 1:
            raise BadFacts(f"{expression.source}: expected one value, met {len(found)}; use one of {', '.join(OVER_ROWS)}")
        found = found[0] if found else None
    match expression.function, found:
        case (_, None) | ("field", _):
            return found
        case "days_since", date():
            return (today - (found.date() if isinstance(found, datetime) else found)).days
        case "rank", str() if found in expression.ranks:
            return expression.ranks.index(found)
    wanted = "a date" if expression.function == "days_since" else f"one of {', '.join(expression.ranks)}"
    raise BadFacts(f"{expression.source}: expected {wanted}, met something else of type {type(found).__name__}")


def _expression(source: str, function: str, path: tuple[str, ...], ranks: tuple[str, ...], text: _Reader) -> Expression:
    text.end()
    if len(path) == 1 and function != "count":  # `balance`; but `count(accounts)` counts the part's rows
        path = ("", *path)
    return Expression(source, function, path[0], path[1:], ranks)


def _look(value: Any, path: tuple[str, ...], expression: Expression) -> Any:
    """What is at the end of `path`; a flat list where the path crosses rows."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        found = []
        for row in value:
            one = _look(row, path, expression)
            found.extend(one if isinstance(one, list) else [one])
        return found
    if value is None or not path:
        return value
    if not isinstance(value, Mapping):
        raise BadFacts(f"{expression.source}: '{path[0]}' is asked of a {type(value).__name__}, which has no fields")
    return _look(value.get(path[0]), path[1:], expression)


def _over_rows(expression: Expression, values: list[Any]) -> Any:
    if expression.function == "count":
        return sum(value is not None for value in values)
    if any(value is None for value in values):
        return None
    try:
        match expression.function:
            case "sum":
                return _sum(values)
            case "mean":
                return _sum(values) / len(values) if values else None
            case "min":
                return min(values, default=None)
            case _:
                return max(values, default=None)
    except (TypeError, ArithmeticError):
        met = ", ".join(sorted({type(value).__name__ for value in values}))
        raise BadFacts(f"{expression.source}: expected values of one kind that {expression.function} takes, met {met}") from None


def _sum(values: list[Any]) -> Any:
    if any(isinstance(value, bool) for value in values):
        raise TypeError("a flag is not a number")
    if any(isinstance(value, float) for value in values) and not any(isinstance(value, Decimal) for value in values):
        return math.fsum(values)
    with localcontext(_EXACT):
        return sum(values)


def _nearest(word: str, words: Collection[str]) -> str:
    close = get_close_matches(word, words, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


class _Reader:
    """A text and a place in it, always at something that is not a blank."""

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0
        self._skip()

    def sees(self, mark: str) -> bool:
        return self.source.startswith(mark, self.at)

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.source, self.at)
        if not found:
            raise BadExpression(self.source, self.at + 1, f"expected {what}, met {self._here()}")
        self.at = found.end()
        self._skip()
        return found[0]

    def expect(self, mark: str) -> None:
        self.take(re.compile(re.escape(mark)), f"'{mark}'")

    def path(self, first: str) -> tuple[str, ...]:
        names = [first]
        while self.sees("."):
            self.expect(".")
            names.append(self.take(_NAME, "a field's name"))
        return tuple(names)

    def ranks(self) -> tuple[str, ...]:
        """`, [a, b]`: what follows the field in rank()."""
        self.expect(",")
        self.expect("[")
        words = [self.take(_WORD, "a word")]
        while not self.sees("]"):
            self.expect(",")
            at = self.at
            words.append(self.take(_WORD, "a word"))
            if words[-1] in words[:-1]:
                raise BadExpression(self.source, at + 1, f"'{words[-1]}' is in the list twice")
        self.expect("]")
        return tuple(words)

    def end(self) -> None:
        if self.at < len(self.source):
            raise BadExpression(self.source, self.at + 1, f"expected the end, met {self._here()}")

    def _skip(self) -> None:
        self.at = _SPACE.match(self.source, self.at).end()  # type: ignore[union-attr]

    def _here(self) -> str:
        return f"'{self.source[self.at]}'" if self.at < len(self.source) else "the end"
