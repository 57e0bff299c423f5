"""The generated functions say what marshmallow says: the same good rows, the same bad ones for the same reasons, the same dumps."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Reply
from wrapper import compiled, convert
from wrapper.operation import Field, ReadRule
from wrapper.rows import BadRow, Reader, sentences
from wrapper.schema import NO_RULE, flat, schema

SCALARS = ("string", "integer", "decimal", "boolean", "date", "datetime")
TEXTS = [
    "", " ", "A", "AB1 ", " AB1", "0000012345", "Y", "N", "true", "CHK", "SAV", "a\tb", "é\xa0x", "a\x00",
    "0", "0.00", "-0.00", "12", "12.5",
    "12.50", "1,234.56-", "1,234.56CR", "9" * 31, "9" * 40, "1." + "0" * 40, "0." + "0" * 35, "1e5", "NaN", "260230", "491231", "20261124",
    "24112026", "24/11/2026", "2026-11-24", "2026-11-24T09:30:00", "2026-11-24T09:30:00+01:00", "0001-01-01",
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, False, 0, 7, -3, 10**40, 1.5, Decimal("0"), Decimal("-0.00"), Decimal("12.50"), Decimal("12.500"), Decimal("12.505"),
    Decimal("1E+3"), Decimal("1E-3000000"), Decimal("Infinity"), date(2026, 11, 24), date(1, 1, 1), datetime(2026, 11, 24, 9, 30),
    datetime(2026, 11, 24, 9, 30, tzinfo=UTC), [], {}, ["x"], b"x",
]  # fmt: skip
values = st.sampled_from([*TEXTS, *OTHERS]) | st.text(max_size=6) | st.decimals(allow_nan=False) | st.integers() | st.dates().map(str)


@st.composite
def contracts(draw: st.DrawFn, depth: int = 2) -> tuple[tuple[Field, ...], dict[str, ReadRule]]:
    """Some fields and how one side reads them."""
    fields, rules = [], dict[str, ReadRule]()
    for n in range(draw(st.integers(1, 4))):
        name = f"f{n}"
        if depth and draw(st.integers(0, 3)) == 0:
            of, inner = draw(contracts(depth=depth - 1))
            most = draw(st.sampled_from([None, 1]))
            fields.append(Field(name, draw(st.sampled_from(["list", "object"])), draw(st.booleans()), most=most, of=of))
            rules[name] = ReadRule(name, of=inner)
            continue
        fields.append(draw(scalar(name)))
        if draw(st.booleans()):
            rules[name] = draw(rule(name))
    return tuple(fields), rules


@cache
def scalar(name: str) -> st.SearchStrategy[Field]:
    def maybe(*of: Any) -> st.SearchStrategy[Any]:
        return st.sampled_from([None, *of])

    return st.builds(
        Field, st.just(name), st.sampled_from(SCALARS), optional=st.booleans(), scale=maybe(0, 2, 40), min_length=maybe(1, 3),
        max_length=maybe(2, 12), pattern=maybe("[0-9]{10}", "[A-Z0-9]+", "AB1"), one_of=st.sampled_from([(), ("AB1", "current")]),
        minimum=maybe(Decimal(0)), maximum=maybe(Decimal("12.5")),
    )  # fmt: skip


@cache
def rule(name: str) -> st.SearchStrategy[ReadRule]:
    return st.builds(
        ReadRule, st.sampled_from([name, "RAW", "Deep/Raw"]), st.sampled_from([None, "yymmdd", *convert.NAMED]),
        st.sampled_from([None, {"CHK": "current", "7": "12.50", "Y": ""}]),
        st.lists(st.sampled_from(["", "0", "0.00", "000000", "0001-01-01", "None", "CHK"]), max_size=2).map(tuple), window=st.just(1950),
    )  # fmt: skip


@st.composite
def records(draw: st.DrawFn, fields: tuple[Field, ...], rules: dict[str, ReadRule]) -> dict[str, Any]:
    """What may come for them: often right in kind, sometimes anything."""
    record: dict[str, Any] = {"more": 1} if draw(st.integers(0, 9)) == 0 else {}
    for field in fields:
        at = rules[field.name].raw if field.name in rules else field.name
        if draw(st.integers(0, 9)) == 0:
            continue
        made = values
        if field.of:
            inner = records(field.of, dict(rules.get(field.name, NO_RULE).of))
            made = inner if field.type == "object" else st.lists(inner, max_size=2)
        record |= {"Deep": {"Raw": draw(made)}} if at == "Deep/Raw" else {at: draw(made)}
    return record


@given(st.data())
@settings(max_examples=100)
def test_reading_and_dumping_are_marshmallows(data: st.DataObject) -> None:
    fields, rules = data.draw(contracts())
    replied = tuple(data.draw(st.lists(records(fields, rules), max_size=4)))
    plain = schema(fields, rules)
    good, reasons = [], dict[Any, Any]()
    try:
        good = plain.load([flat(record, fields, rules) for record in replied], many=True)
    except ma.ValidationError as error:
        reasons = dict(error.messages_dict)
        good = [row for n, row in enumerate(error.valid_data or []) if n not in reasons]
    reader = Reader(fields, rules)
    rows = reader.read(Reply(replied, "test"))
    assert repr(rows.good) == repr(tuple(good))  # the digits of a decimal and the order of fields, too
    assert rows.bad == tuple(BadRow(int(n), tuple(sentences(why))) for n, why in sorted(reasons.items()))
    assert repr(reader.dump(rows.good)) == repr(plain.dump(good, many=True))
    json.dumps(reader.dump(rows.good))


@given(st.data())
@settings(max_examples=100)
def test_what_a_request_may_hold_is_what_marshmallow_takes(data: st.DataObject) -> None:
    fields, _ = data.draw(contracts())
    sent = data.draw(records(fields, {}))
    plain = schema(fields, {}, strict=True)
    try:
        loaded = compiled.loader(plain, strict=True)(sent)
    except Exception:  # noqa: BLE001
        return  # marshmallow is asked, whatever it was
    assert repr(loaded) == repr(plain.load(sent))


@given(st.data())
@settings(max_examples=60)
def test_a_row_of_anything_is_dumped_as_marshmallow_would(data: st.DataObject) -> None:
    fields, rules = data.draw(contracts())
    row = {field.name: data.draw(values) for field in fields}
    plain = schema(fields, rules)
    try:
        dumped = compiled.dumper(plain)(row)
    except Exception:  # noqa: BLE001
        return
    assert repr(dumped) == repr(plain.dump(row))


def test_good_records_of_every_kind_need_no_marshmallow() -> None:
    fields = (
        Field("id", "string", pattern="[0-9]{3}"), Field("n", "integer", minimum=Decimal(1)), Field("amount", "decimal", scale=2),
        Field("on", "date", optional=True), Field("at", "datetime"), Field("yes", "boolean"), Field("kind", "string", one_of=("current",)),
        Field("list", "list", of=(Field("x", "decimal", scale=1),)), Field("object", "object", of=(Field("y", "string"),)),
    )  # fmt: skip
    rules = {"kind": ReadRule("K", values={"CHK": "current"}), "on": ReadRule("ON", "yymmdd", window=1950, none_when=("000000",))}
    made = schema(fields, rules)
    record = {
        "id": "123", "n": "4", "amount": "12.50", "ON": "000000", "at": "2026-11-24T09:30:00Z", "yes": True, "K": "CHK ",
        "list": [{"x": "0.5"}], "object": {"y": "z"},
    }  # fmt: skip
    row = compiled.loader(made)(record)
    dumped = compiled.dumper(made)(row)
    assert dumped == made.dump(row)
    assert list(dumped) == [field.name for field in fields]
    assert dumped["list"] == [{"x": "0.5"}]


def test_an_unknown_name_is_never_passed_by_the_fast_way() -> None:
    load = compiled.loader(schema([Field("a", "string", optional=True)], {}, strict=True), strict=True)
    assert load({}) == {"a": None}
    with pytest.raises(compiled.Doubt):
        load({"b": "x"})


def test_no_text_of_a_catalogue_is_executed() -> None:
    hostile = '"]; import os #'
    fields = (Field(hostile, "string", one_of=(hostile,)), Field("d", "decimal", scale=2))
    made = schema(fields, {hostile: ReadRule(hostile, values={hostile: hostile}, none_when=(hostile, "0"))})
    load, dump = compiled.loader(made), compiled.dumper(made)
    assert "os" not in load.source + dump.source  # type: ignore[attr-defined]
    assert dump({hostile: "x", "d": Decimal("1.00")}) == {hostile: "x", "d": "1.00"}
