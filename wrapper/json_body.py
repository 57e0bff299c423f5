"""A request's JSON body, strictly: what two parsers could read in two ways is refused.

Numbers with a point become Decimal, never a float; a name given twice, NaN, and anything but one object are errors.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from wrapper.problems import RequestError

MOST_DIGITS = 1000


class WrongType(RequestError):
    status = 415
    title = "This media type is not understood"


def parse(data: bytes, mimetype: str) -> dict[str, Any]:
    """The body as a dict. Raises RequestError (400) or WrongType (415)."""
    if mimetype != "application/json":
        raise WrongType("send the body as application/json")
    try:
        body = _JSON.decode(data.decode("utf-8"))
        json.dumps(body, ensure_ascii=False, default=str).encode("utf-8")  # half a surrogate pair is no text
    except json.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (UnicodeError, RecursionError):
        raise RequestError("the body is not JSON in UTF-8, or is nested too deeply") from None
    except ValueError as error:
        raise RequestError(f"the body is not acceptable: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object")
    return body


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("a number's exponent is out of all bounds") from None


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(text)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a member twice")
    return made


_JSON = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_object)
