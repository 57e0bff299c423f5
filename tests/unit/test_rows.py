"""Raw records become canonical values, or rows with reasons; nothing is guessed, rounded or shown."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import marshmallow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Reply
from adapters.errors import Misread
from wrapper import convert, functions
from wrapper.operation import Field, ReadRule
from wrapper.rows import Reader
from wrapper.schema import schema


def read(field: Field, raw: Any, **rule: Any) -> Any:
    """One value through a reader: the canonical value, or the reasons of its row."""
    rows = Reader([field], {field.name: ReadRule("RAW", **rule)}).read(Reply(({"RAW": raw},), "test"))
    return rows.good[0][field.name] if rows.good else rows.bad[0].reasons


def amount(**more: Any) -> Field:
    return Field("balance", "decimal", scale=2, **more)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1,234.56", "1234.56"),
        ("      1,234.56-", "-1234.56"),
        ("1,234.56CR", "-1234.56"),
        ("1,234.56 CR", "-1234.56"),
        ("12.00DR", "12.00"),
        ("1,234", "1234.00"),
        ("0.00", "0.00"),
        ("1234567.89", "1234567.89"),
    ],
)
def test_screen_amounts_keep_every_digit_and_their_sign(raw: str, value: str) -> None:
    met = read(amount(), raw, convert="signed_trailing")
    assert met == Decimal(value)
    assert str(met) == value


@pytest.mark.parametrize("raw", ["1,23.45", "1.234,56", "--1", "1-2", "12.345", "£12", "1 234.56", "", "-", "٣٤", "1e5", "NaN"])
def test_an_amount_that_could_mean_two_things_is_refused(raw: str) -> None:
    reasons = read(amount(), raw, convert="signed_trailing")
    assert isinstance(reasons, tuple)
    assert reasons[0].startswith("balance: ")


@given(st.decimals(places=2, min_value=-(10**9), max_value=10**9))
def test_any_amount_survives_the_trip_over_a_screen(value: Decimal) -> None:
    shown = f"{abs(value):,.2f}" + ("-" if value < 0 else "")
    assert read(amount(), shown, convert="signed_trailing") == value


def test_a_float_is_refused_because_it_has_lost_the_amount() -> None:
    assert "decimal number" in read(amount(), 12.5)[0]


def test_digits_beyond_the_scale_are_refused_not_rounded() -> None:
    assert "at most 2 digits" in read(amount(), Decimal("12.345"))[0]
    assert read(amount(), Decimal("12.340")) == Decimal("12.34")


def test_two_digit_years_need_a_window_and_use_it() -> None:
    opened = Field("opened", "date")
    assert read(opened, "491231", convert="yymmdd", window=1950) == date(2049, 12, 31)
    assert read(opened, "500101", convert="yymmdd", window=1950) == date(1950, 1, 1)
    with pytest.raises(ValueError, match="window"):
        read(opened, "500101", convert="yymmdd")


@pytest.mark.parametrize(
    ("convert_by", "raw"), [("yyyymmdd", "20261301"), ("yyyymmdd", "2026-01-01"), ("dd/mm/yyyy", "31/02/2026"), ("iso", "2026-1-1")]
)
def test_a_date_that_does_not_exist_or_fit_is_refused(convert_by: str, raw: str) -> None:
    assert isinstance(read(Field("d", "date"), raw, convert=convert_by), tuple)


def test_dates_in_every_declared_layout() -> None:
    for name, raw in [("yyyymmdd", "20261124"), ("ddmmyyyy", "24112026"), ("dd/mm/yyyy", "24/11/2026"), ("iso", "2026-11-24")]:
        assert read(Field("d", "date"), raw, convert=name) == date(2026, 11, 24)


def test_a_time_without_offset_is_local_only_when_the_file_says_so() -> None:
    when = Field("at", "datetime")
    assert read(when, datetime(2026, 1, 2, 3, 4), convert="iso_local") == datetime(2026, 1, 2, 3, 4)
    assert "offset" in read(when, datetime(2026, 1, 2, 3, 4))[0]


def test_sentinels_and_blanks_are_none_only_where_declared() -> None:
    opened = Field("opened", "date", optional=True)
    assert read(opened, "000000", convert="yymmdd", window=1950, none_when=("000000",)) is None
    assert read(opened, "      ", convert="yymmdd", window=1950) is None
    assert isinstance(read(opened, "000000", convert="yymmdd", window=1950), tuple)
    assert read(Field("name", "string"), "   ") == ("name: missing",)
    assert read(Field("name", "string"), None) == ("name: missing",)
    assert read(Field("since", "date", optional=True), date(1, 1, 1), none_when=("0001-01-01",)) is None


def test_an_unknown_code_is_refused_and_shown_as_its_shape() -> None:
    kind = Field("kind", "string", one_of=("current", "savings"))
    assert read(kind, "CHK", values={"CHK": "current"}) == "current"
    assert read(kind, "XY9", values={"CHK": "current"}) == ("kind: expected one of the codes CHK, met text of the form 'AA9'",)


def test_a_pattern_matches_the_whole_ascii_text() -> None:
    key = Field("id", "string", pattern="[0-9]{10}")
    assert read(key, "0000012345") == "0000012345"
    for bad in ("0000012345\n", "٠٠٠٠٠١٢٣٤٥", "00000123456"):
        assert isinstance(read(key, bad), tuple)


def test_nested_lists_are_read_by_their_own_rules() -> None:
    searches = Field("searches", "list", of=(Field("on", "date"), Field("by", "string")))
    rule = {"of": {"on": ReadRule("Date", "yyyymmdd"), "by": ReadRule("Who")}}
    assert read(searches, [{"Date": "20260101", "Who": "X "}], **rule) == [{"on": date(2026, 1, 1), "by": "X"}]
    assert read(searches, [{"Date": "2026", "Who": "X"}], **rule) == (
        "searches.0.on: expected a date as yyyymmdd, met text of the form '9999'",
    )


def test_every_record_is_either_good_or_bad_with_its_place() -> None:
    reader = Reader([amount()], {"balance": ReadRule("B", "signed_trailing")})
    rows = reader.read(Reply(({"B": "1.00"}, {"B": "?"}, {"B": "3.00"}), "test"))
    assert [row["balance"] for row in rows.good] == [Decimal("1.00"), Decimal("3.00")]
    assert [(bad.index, bad.reasons) for bad in rows.bad] == [
        (1, ("balance: expected an amount like 1,234.56- or 1,234.56CR, met text of the form '?'",))
    ]


def test_dumped_amounts_are_text_and_dates_are_iso() -> None:
    reader = Reader([amount(), Field("d", "date", optional=True)], {})
    assert reader.dump([{"balance": Decimal("1E+3"), "d": None}]) == [{"balance": "1000", "d": None}]
    assert reader.dump([{"balance": Decimal("-0.10"), "d": date(2026, 1, 2)}]) == [{"balance": "-0.10", "d": "2026-01-02"}]


def test_a_request_with_an_unknown_member_inside_a_list_is_refused_and_a_back_ends_record_is_not() -> None:
    payments = Field("payments", "list", of=(Field("amount", "decimal", scale=2), Field("note", "string", optional=True)))
    sent = schema([payments], {}, strict=True)
    assert sent.load({"payments": [{"amount": "1.00"}]}) == {"payments": [{"amount": Decimal("1.00"), "note": None}]}
    for wrong in ({"payments": [{"amount": "1.00", "currency": "USD"}]}, {"payments": []}):
        with pytest.raises(marshmallow.ValidationError):
            sent.load(wrong)
    rows = Reader([payments], {}).read(Reply(({"payments": [{"amount": "1.00", "EXTRA": "x"}]},), "test"))
    assert rows.good[0]["payments"] == [{"amount": Decimal("1.00"), "note": None}]


@pytest.mark.parametrize("bomb", [Decimal("1e3000000"), "9" * 40, Decimal("1e-3000000")])
def test_a_number_with_too_many_digits_is_refused_at_once(bomb: Any) -> None:
    for field in (Field("n", "integer"), Field("n", "decimal", scale=2)):
        assert "at most" in read(field, bomb)[0] or "whole" in read(field, bomb)[0]


def test_thirty_one_digits_are_exact_and_zero_has_no_sign() -> None:
    long = "12345678901234567890123456789.12"
    assert str(read(amount(), long)) == long
    assert str(read(amount(), f"{long}-", convert="signed_trailing")) == f"-{long}"
    assert str(read(amount(), "-0.00")) == "0.00"


def test_a_number_that_is_a_sentinel_is_none_whatever_its_digits() -> None:
    limit = amount(optional=True)
    assert read(limit, Decimal("0.00"), none_when=("0",)) is None
    assert read(limit, Decimal("0.01"), none_when=("0",)) == Decimal("0.01")


def test_a_shape_shows_no_letter_and_no_digit() -> None:
    assert convert.shape("MÜLLER 42-x") == "text of the form 'AAAAAA 99-A'"
    assert convert.shape(12345) == "<int>"
    assert len(convert.shape("9" * 500)) < 64


@functions.pure
def split(records: Any) -> Any:
    """A side that has all balances in one record."""
    return [{"balance": balance} for balance in records[0]["ALL"]]


@functions.pure
def first(records: Any) -> Any:
    """No list."""
    return records[0]


def test_records_are_read_as_a_named_function_makes_them() -> None:
    reader = Reader([amount()], {}, ("tests",), f"py:{__name__}.split")
    rows = reader.read(Reply(({"ALL": ["1.00", "?", "3.00"]},), "new", build="7", pages=2))
    assert [str(row["balance"]) for row in rows.good] == ["1.00", "3.00"]
    assert (rows.bad[0].index, rows.backend, rows.build, rows.pages) == (1, "new", "7", 2)


@pytest.mark.parametrize(
    ("name", "detail"),
    [("split", r"\.split failed: KeyError$"), ("first", r"\.first gave dict where a list of mappings by name was expected$")],
)
def test_a_function_that_fails_or_gives_no_records_is_a_misread_that_names_it(name: str, detail: str) -> None:
    reader = Reader([amount()], {}, ("tests",), f"py:{__name__}.{name}")
    with pytest.raises(Misread, match=detail) as caught:
        reader.read(Reply(({"MUELLER": "1"},), "new"))
    assert caught.value.backend == "new"


def test_a_python_function_needs_the_mark_and_a_listed_package() -> None:
    with pytest.raises(ValueError, match="FIGWAY_PACKAGES"):
        functions.find("py:os.system", ())
    with pytest.raises(ValueError, match="not marked"):
        functions.find("py:os.getcwd", ("os",))
    with pytest.raises(TypeError):
        functions.pure(lambda a, b: a)  # type: ignore[arg-type]
