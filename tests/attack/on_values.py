"""Parameters: members that nobody asked for, text that only begins as it should, digits that are none, patterns that take for ever."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.attack.parts import Attack, Control, Seen, control, quick, same, slow
from tests.unit.small import operation
from wrapper.operation import Field, Param
from wrapper.params import Params
from wrapper.request import Given

SCHEMA, CONVERT = "wrapper.schema", "wrapper.convert"
WHOLE = (SCHEMA, ").compile(pattern).fullmatch", ").compile(pattern).match")
PRINTED = (SCHEMA, "if control(value):", "if False:")
NAMES = control("only declared names", (SCHEMA, "unknown=ma.RAISE", "unknown=ma.INCLUDE"))
PATTERN = control("the whole text matches", WHOLE)
LINE = control("the whole text matches, and no control characters", WHOLE, PRINTED)
PRINTABLE = control("no control characters", PRINTED)
RE2 = control("RE2", (SCHEMA, "(re if _COUNTED.fullmatch(pattern) else re2)", "re"))
ASCII = control("ASCII digits", (CONVERT, r'_PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)', r'_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")'))
NUMBER = control("the whole number matches", (CONVERT, "case str() if _PLAIN.fullmatch(bare", "case str() if _PLAIN.match(bare"))
BOOLEAN = control("a boolean is no number", (CONVERT, "case bool() | float():", "case float():"))
EXPONENT = control("digits of a number", (CONVERT, "if abs(number.adjusted()) > DIGITS:", "if False:"))
MOST = control("longest list", (SCHEMA, "if self.spec.most is not None and len(value) > self.spec.most:", "if False:"))
LONGEST = control("longest text", (SCHEMA, "if field.max_length is not None and len(value) > field.max_length:", "if False:"))
LEAST = control("minimum", (SCHEMA, "if field.minimum is not None and value < field.minimum:", "if False:"))
GREATEST = control("maximum", (SCHEMA, "if field.maximum is not None and value > field.maximum:", "if False:"))
WORDS = control("one of the words", (SCHEMA, "if field.one_of and value not in field.one_of:", "if False:"))
EXACT = control("nothing is rounded", (SCHEMA, "if exact != value:", "if False:"))
EMPTY = control("not empty", (SCHEMA, "if not value and not field.optional and field.min_length is None:", "if False:"))
TYPED = control(
    "a text is a text",
    (
        CONVERT,
        'if not isinstance(value, str):\n        raise ValueError(f"expected text',
        'if not isinstance(value, str):\n        return value\n        raise ValueError(f"expected text',
    ),
    (SCHEMA, "if not ok:", "if False:"),
)

NAME = Field("name", "string")
PAYMENT = Field("payments", "list", most=3, of=(NAME, Field("amount", "decimal", scale=2, minimum=Decimal("0.01"), maximum=Decimal(1000))))


def loaded(field: Field, value: Any, **others: Any) -> Any:
    """What a body with this value is loaded as."""
    params = Params(operation(params=(Param("body", field),)))
    return params.load(Given({}, {}, {}, {field.name: value, **others}))


def takes(field: Field, value: Any, wanted: Any = None) -> Callable[[Any], Seen]:
    """Got when the value is taken, as it is or as `wanted`."""
    return lambda _: same(loaded(field, value)[field.name], value if wanted is None else wanted)


def _text(name: str, by: Control, field: Field, bad: str, good: str) -> Attack:
    return Attack(name, "values", by, takes(field, bad), takes(field, good))


CUSTOMER, DIGITS = Field("id", "string", pattern="[0-9]{10}"), Field("id", "string", pattern=r"\d{10}")
AMOUNT = Field("amount", "decimal", scale=2, minimum=Decimal("0.01"), maximum=Decimal(1000))
COUNT = Field("count", "integer")
ROLE = Field("role", "string", one_of=("reader", "writer"))
LATIN, ARABIC, WIDE, DEVANAGARI = "0000012345", "٠٠٠٠٠١٢٣٤٥", "０００００１２３４５", "०००००१२३४५"


def _extra(name: str, act: Callable[[Any], Seen]) -> Attack:
    return Attack(name, "mass assignment", NAMES, act, takes(NAME, "ANN"))


def _slow(name: str, pattern: str, text: str) -> Attack:
    field = Field("text", "string", pattern=pattern)
    return Attack(
        name, "backtracking", RE2, lambda _: slow(lambda: loaded(field, text)), lambda _: quick(lambda: loaded(field, text[:8] + "b"))
    )


def _payments(count: int) -> list[dict[str, Any]]:
    return [{"name": "ANN", "amount": Decimal("1.00")}] * count


def _nested(value: Any) -> Seen:
    return Seen(
        loaded(PAYMENT, [{"name": "ANN", "amount": Decimal("1.00"), "approved": value}])["payments"][0]["approved"] is value,
        "approved came in",
    )


ATTACKS = (
    _extra("assign.member", lambda _: same(loaded(NAME, "ANN", role="operator").get("role"), "operator")),
    _extra("assign.read_only_field", lambda _: same(loaded(NAME, "ANN", balance=Decimal("1e6")).get("balance"), Decimal("1e6"))),
    _extra("assign.internal_name", lambda _: same(loaded(NAME, "ANN", _sa_instance_state="x").get("_sa_instance_state"), "x")),
    _extra("assign.prototype", lambda _: same(loaded(NAME, "ANN", __proto__={"admin": True}).get("__proto__"), {"admin": True})),
    _extra("assign.nested", lambda _: _nested(True)),
    _extra(
        "assign.misspelt_filter", lambda _: same(Params(operation()).load(Given({"id": "7"}, {"custmer": "1"}, {}, {})).get("custmer"), "1")
    ),
    _text("pattern.more_at_the_end", PATTERN, CUSTOMER, f"{LATIN}6", LATIN),
    _text("pattern.sql_at_the_end", PATTERN, CUSTOMER, f"{LATIN}' OR '1'='1", LATIN),
    _text("pattern.path_at_the_end", PATTERN, CUSTOMER, f"{LATIN}/../9", LATIN),
    _text("pattern.trailing_newline", LINE, CUSTOMER, f"{LATIN}\n", LATIN),
    _text("pattern.trailing_nul", LINE, CUSTOMER, f"{LATIN}\0", LATIN),
    _text("pattern.crlf_and_header", LINE, CUSTOMER, f"{LATIN}\r\nX-Admin: 1", LATIN),
    _text("pattern.arabic_digits", RE2, DIGITS, ARABIC, LATIN),
    _text("pattern.wide_digits", RE2, DIGITS, WIDE, LATIN),
    _text("pattern.devanagari_digits", RE2, DIGITS, DEVANAGARI, LATIN),
    _slow("backtrack.nested_plus", "(a+)+b", "a" * 40),
    _slow("backtrack.alternatives", "(a|aa)+b", "a" * 60),
    _slow("backtrack.words", r"(\w+ ?)*b", "a" * 40 + "!"),
    _slow("backtrack.many_stars", "a*a*a*a*a*a*a*a*b", "a" * 60),
    _text("text.newline", PRINTABLE, NAME, "ANN\nBOB", "ANN BOB"),
    _text("text.nul", PRINTABLE, NAME, "ANN\0.txt", "ANN .txt"),
    _text("text.escape", PRINTABLE, NAME, "\x1b[2J", "[2J"),
    _text("text.delete", PRINTABLE, NAME, "ANN\x7f", "ANN"),
    _text("text.too_long", LONGEST, Field("name", "string", max_length=30), "A" * 5000, "A" * 30),
    _text("text.empty", EMPTY, NAME, "", "A"),
    _text("text.other_word", WORDS, ROLE, "operator", "reader"),
    _text("text.word_in_capitals", WORDS, ROLE, "WRITER", "writer"),
    Attack("text.operator_object", "values", TYPED, takes(NAME, {"$gt": ""}), takes(NAME, "$gt")),
    Attack("text.list", "values", TYPED, takes(NAME, ["ANN"]), takes(NAME, "ANN")),
    Attack("number.arabic_digits", "values", ASCII, takes(COUNT, "١٢", 12), takes(COUNT, "12", 12)),
    Attack("number.underscore", "values", NUMBER, takes(COUNT, "1_000", 1000), takes(COUNT, "1000", 1000)),
    Attack("number.trailing_newline", "values", NUMBER, takes(COUNT, "12\n", 12), takes(COUNT, "12", 12)),
    Attack("number.exponent_text", "values", NUMBER, takes(COUNT, "1e3", 1000), takes(COUNT, "1000", 1000)),
    Attack("number.true", "values", BOOLEAN, takes(COUNT, True, 1), takes(COUNT, 1)),
    Attack(
        "number.exponent_bomb",
        "values",
        EXPONENT,
        lambda _: slow(lambda: loaded(COUNT, Decimal("1e20000000"))),
        lambda _: quick(lambda: loaded(COUNT, Decimal("1e20"))),
    ),
    Attack("amount.negative", "values", LEAST, takes(AMOUNT, Decimal("-5.00")), takes(AMOUNT, Decimal("5.00"))),
    Attack("amount.zero", "values", LEAST, takes(AMOUNT, Decimal("0.00")), takes(AMOUNT, Decimal("0.01"))),
    Attack("amount.over_the_limit", "values", GREATEST, takes(AMOUNT, Decimal("1000.01")), takes(AMOUNT, Decimal("1000.00"))),
    Attack(
        "amount.slices_of_a_penny", "values", EXACT, takes(AMOUNT, Decimal("10.006"), Decimal("10.01")), takes(AMOUNT, Decimal("10.01"))
    ),
    Attack(
        "list.too_long",
        "values",
        MOST,
        lambda _: same(len(loaded(PAYMENT, _payments(4000))["payments"]), 4000),
        lambda _: same(len(loaded(PAYMENT, _payments(3))["payments"]), 3),
    ),
)
