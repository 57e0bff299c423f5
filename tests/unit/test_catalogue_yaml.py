"""Strict YAML: a reader's eye and the program see the same values, and hostile files end in one clear line."""

from __future__ import annotations

import contextlib
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrapper.catalogue.strict_yaml import DEEPEST, LONGEST, BadYaml, parse


def value(text: str) -> Any:
    return parse(text.encode(), "f.yaml").value


def refusal(data: bytes) -> str:
    with pytest.raises(BadYaml) as caught:
        parse(data, "f.yaml")
    return f"{caught.value.line}: {caught.value.message}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("037", "037"), ("0000012345", "0000012345"), ("NO", "NO"), ("yes", "yes"), ("12:30:45", "12:30:45"), ("2026-12-01", "2026-12-01"),
        ("~", "~"), ("0x1F", "0x1F"), ("1_000", "1_000"), (".5", ".5"), ("+1", "+1"), (".inf", ".inf"), ("True", "True"),
        ("5", 5), ("-5", -5), ("0", 0), ("true", True), ("null", None), ("", None), ('"5"', "5"), ("99.9%", "99.9%"),
        ("0.10", Decimal("0.10")), ("{NO: 1}", {"NO": 1}), ("{1: [a, {b: c}]}", {"1": ["a", {"b": "c"}]}),
    ],
)  # fmt: skip
def test_a_scalar_is_what_json_says_and_text_otherwise(text: str, meant: Any) -> None:
    met = value(f"key: {text}")["key"]
    assert (met, type(met)) == (meant, type(meant))


def test_a_decimal_keeps_its_digits() -> None:
    assert str(value("a: 0.00")["a"]) == "0.00"


def test_every_key_and_item_knows_its_line() -> None:
    document = parse(b"a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "f.yaml")
    assert [document.line(path) for path in [("a",), ("b", 1), ("b", 1, "c"), ("b", 1, "d"), ("b", 1, "gone"), ()]] == [1, 4, 4, 5, 4, 1]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a: 1\nb: 2\na: 3\n", "3: the key 'a' is here twice, first in line 1"),
        (b"a: {b: {c: 1, c: 2}}", "1: the key 'c' is here twice, first in line 1"),
        (b"a: &x 1\nb: *x\n", "1: an anchor (&x) is not allowed; write the value out where it is needed"),
        (b"? [a]\n: 1\n", "1: a key must be a text"),
        (b"a: 1\n: 2\n", "2: not YAML, while parsing a block mapping, did not find expected key (begun in line 1)"),
        (b"%YAML 1.1\n---\na: 1\n", "1: a % directive is not allowed"),
        (b"a: 1\n\xff\n", "2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a: 1\nb: \0\n", "2: the character U+0000 is not allowed"),
        (b'a: "\\0"', "1: an escape makes a character that is not allowed"),
        (b"a: 1e400000000", "1: 1e400000000 is ambiguous: write the number out, or quote it as text"),
        (b"a: " + b"9" * 5000, "1: a number of 5000 characters; 31 are allowed, or quote it as text"),
        (b"a: 'x\n", "2: not YAML, while scanning a quoted scalar, found unexpected end of stream (begun in line 1)"),
        ("a: \u202e1".encode(), "1: the character U+202E is not allowed"),
    ],
)
def test_what_is_not_plain_json_in_yaml_is_refused(data: bytes, told: str) -> None:
    assert refusal(data) == told


BILLION = b"a: &a [x, x, x]\n" + b"".join(b"%c: &%c [*%c, *%c, *%c]\n" % (n, n, n - 1, n - 1, n - 1) for n in range(98, 110))


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000,
        b"{a: " * 60_000,
        b"- " * 100_000,
        b"a: x\n" * 1_000_000,
        BILLION,
        b"? " * 50_000,
        b"\xff\xfea\x00",
        b'"' * 99_999,
    ],
    ids=["flow lists", "flow maps", "block lists", "long", "billion laughs", "keys", "utf-16", "quotes"],
)
def test_a_hostile_file_is_refused_in_one_line_and_at_once(data: bytes) -> None:
    began = time.monotonic()
    assert "\n" not in refusal(data)
    assert time.monotonic() - began < 2


def test_the_bounds_are_exact() -> None:
    deepest = "[" * DEEPEST + "x" + "]" * DEEPEST
    assert value(deepest)
    assert refusal(f"[{deepest}]".encode()) == f"1: nested more than {DEEPEST} deep"
    assert value("#" * (LONGEST - 3) + "\n5") == 5
    assert refusal(b"#" * (LONGEST + 1)) == f"1: the file has {LONGEST + 1} bytes; {LONGEST} are allowed"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcNOyes~0159", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200)
@given(JSON)
def test_json_values_come_back_as_they_were(data: Any) -> None:
    assert value(json.dumps(data)) == data


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text("ab:-[]{},&*!?|>'\"%@#\n\t 01.", max_size=80).map(str.encode))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(BadYaml):
        parse(data, "f.yaml")
