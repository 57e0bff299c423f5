"""Bodies: JSON that two parsers read in two ways, numbers that are none or too many, and what a browser sends for a stranger's page."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tests.attack.parts import Attack, Seen, control, same
from wrapper import json_body

BODY, STRICT = "wrapper.json_body", "wrapper.strict_json"
TWICE = control("names once", (STRICT, "if len(made) != len(pairs):", "if False:"))
FINITE = control("no NaN", (STRICT, "parse_constant=_constant, ", ""))
DIGITS = control("digits", (BODY, "if len(text) > MOST_DIGITS:", "if False:"))
OBJECT = control("an object", (BODY, "if not isinstance(body, dict):", "if False:"))
WHOLE_TEXT = control("whole characters", (BODY, 'json.dumps(body, ensure_ascii=False, default=str).encode("utf-8")', "pass"))
MEDIA = control("media type", (BODY, "if not _TYPE.fullmatch(kind) or any(", "if any("))
CHARSET = control("UTF-8 by its header", (BODY, 'any(name.lower() != "utf-8" for', 'any(name.lower() == "?" for'))
CODING = control("no coding", (BODY, 'if coding.lower() not in ("", "identity"):', "if False:"))
DEEP = control("depth", (BODY, "        _check_depth(body)\n", ""))
EXPONENT = control("exponents", (BODY, "if abs(number.adjusted()) <= MOST_DIGITS:", "if True:"))
UTF8 = control("UTF-8", (BODY, 'data.decode("utf-8")', 'data.decode("utf-8", "replace")'))


def parsed(text: str | bytes, kind: str = "application/json", coding: str = "") -> Any:
    return json_body.parse(text.encode() if isinstance(text, str) else text, kind, coding)


def reads(text: str | bytes, wanted: Any, kind: str = "application/json", coding: str = "") -> Any:
    return lambda _: same(parsed(text, kind, coding), wanted)


def deep(levels: int) -> Any:
    return lambda _: Seen(bool(parsed('{"a": ' + "[" * levels + "]" * levels + "}")), f"{levels} levels")


def no_number(text: str) -> Any:
    def act(_: Any) -> Seen:
        met = parsed(text)["amount"]
        return Seen(isinstance(met, float) and met - met != 0, f"the amount is {met}")

    return act


def halved(_: Any) -> Seen:
    met = parsed('{"name": "\\ud800"}')["name"]
    try:
        met.encode()
    except UnicodeEncodeError:
        return Seen(True, "a text that nobody can send on or log")
    return Seen(False, met)


def replaced(_: Any) -> Seen:
    """0xC0 0xAF is '/' to a decoder that takes overlong forms; a facade that replaces it passes on what was never sent."""
    return Seen("\ufffd" in parsed(b'{"name": "..\xc0\xaf"}')["name"], "a text that the caller did not send")


def _twice(name: str, text: str, wanted: Any) -> Attack:
    return Attack(name, "bodies", TWICE, reads(text, wanted), reads(json.dumps({"amount": "1"}), {"amount": "1"}))


def _number(name: str, text: str) -> Attack:
    return Attack(name, "bodies", FINITE, no_number(f'{{"amount": {text}}}'), reads('{"amount": 1.5}', {"amount": Decimal("1.5")}))


def _media(name: str, mimetype: str) -> Attack:
    return Attack(name, "bodies", MEDIA, reads('{"a": 1}', {"a": 1}, mimetype), reads('{"a": 1}', {"a": 1}))


ATTACKS = (
    _twice("body.amount_twice", '{"amount": "1", "amount": "1000"}', {"amount": "1000"}),
    _twice("body.nested_twice", '{"p": {"to": "1", "to": "2"}}', {"p": {"to": "2"}}),
    _twice("body.escaped_twice", '{"to": "1", "t\\u006f": "2"}', {"to": "2"}),
    _number("body.nan", "NaN"),
    _number("body.infinity", "Infinity"),
    _number("body.minus_infinity", "-Infinity"),
    Attack(
        "body.digits",
        "bodies",
        DIGITS,
        lambda _: Seen(parsed(f'{{"n": {"9" * 3000}}}')["n"] > 10**2999, "a number of 3000 digits"),
        lambda _: Seen(parsed(f'{{"n": {"9" * 900}}}')["n"] > 10**899, ""),
    ),
    Attack("body.list", "bodies", OBJECT, reads("[1]", [1]), reads('{"a": [1]}', {"a": [1]})),
    Attack("body.text", "bodies", OBJECT, reads('"scope"', "scope"), reads('{"a": "scope"}', {"a": "scope"})),
    Attack("body.half_a_character", "bodies", WHOLE_TEXT, halved, reads('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"})),
    Attack("body.overlong_utf8", "bodies", UTF8, replaced, reads('{"a": "ü"}', {"a": "ü"})),
    _media("body.as_text", "text/plain"),
    _media("body.as_form", "application/x-www-form-urlencoded"),
    _media("body.as_multipart", "multipart/form-data"),
    _media("body.as_json_of_sorts", "application/json-patch+json"),
    Attack(
        "body.utf7_by_its_header",
        "bodies",
        CHARSET,
        reads('{"a": "+ADw-"}', {"a": "+ADw-"}, "application/json; charset=utf-7"),
        reads('{"a": "+ADw-"}', {"a": "+ADw-"}, 'application/json; charset="UTF-8"'),
    ),
    Attack(
        "body.gzip_by_its_header",
        "bodies",
        CODING,
        reads('{"a": 1}', {"a": 1}, coding="gzip"),
        reads('{"a": 1}', {"a": 1}, coding="identity"),
    ),
    Attack("body.deep", "bodies", DEEP, deep(300), deep(20)),
    Attack(
        "body.exponent",
        "bodies",
        EXPONENT,
        lambda _: Seen(parsed('{"n": 1e999999}')["n"] > 1, "a number of a million digits"),
        lambda _: Seen(parsed('{"n": 1e20}')["n"] > 1, ""),
    ),
)
