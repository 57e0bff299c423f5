"""Records: byte-exact probes, round trips of anything that fits, and refusals that never show the value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.codec import copybook, ebcdic, layout
from adapters.codec.numeric import Unfit, pack, unpack, unzone, zone
from adapters.codec.record import DecodeError, EncodeError, RecordCodec, compile_record


def one(clauses: str, codepage: str = "cp037", **blank: Any) -> RecordCodec:
    """A record of one field F."""
    return compile_record(layout.lay_out(copybook.parse(f"       01 R.\n           05 F {clauses}.\n")), codepage, blank)


PROBES: list[tuple[str, Any, str]] = [
    ("PIC X(4)", "AB", "c1c24040"),
    ("PIC X(2)", "", "4040"),
    ("PIC 9(3)", 7, "f0f0f7"),
    ("PIC S9(3)", 7, "f0f0c7"),
    ("PIC S9(3)", -7, "f0f0d7"),
    ("PIC S9(3) SIGN LEADING", -123, "d1f2f3"),
    ("PIC S9(3) SIGN LEADING SEPARATE", -123, "60f1f2f3"),
    ("PIC S9(3) SIGN TRAILING SEPARATE", 123, "f1f2f34e"),
    ("PIC S9(3)V99", Decimal("-1.05"), "f0f0f1f0d5"),
    ("PIC 9(3) COMP-3", 123, "123f"),
    ("PIC S9(3) COMP-3", 123, "123c"),
    ("PIC S9(4) PACKED-DECIMAL", -1234, "01234d"),
    ("PIC S9(5)V99 COMP-3", Decimal("12345.67"), "1234567c"),
    ("PIC S9(4) COMP", -1, "ffff"),
    ("PIC 9(4) COMP", 9999, "270f"),
    ("PIC S9(9) COMP", 1, "00000001"),
    ("PIC S9(10)V9(2) COMP", Decimal("-0.01"), "ffffffffffffffff"),
    ("PIC S9(4) COMP-5", 32767, "7fff"),
    ("PIC 9(2)PP", 1200, "f1f2"),
    ("PIC VPP99", Decimal("0.0012"), "f1f2"),
    ("PIC 9 OCCURS 3", [1, 2, 3], "f1f2f3"),
    ("OCCURS 2. 10 A PIC X. 10 B PIC 9", [{"A": "X", "B": 1}, {"A": "Y", "B": 2}], "e7f1e8f2"),
]


@pytest.mark.parametrize(("clauses", "value", "raw"), PROBES)
def test_bytes_are_exact_both_ways(clauses: str, value: Any, raw: str) -> None:
    codec = one(clauses)
    assert codec.encode({"F": value}).hex() == raw
    assert codec.decode(bytes.fromhex(raw)) == {"F": value}
    assert codec.length == len(raw) // 2


@pytest.mark.parametrize(("clauses", "raw", "value"), [
    ("PIC S9(3)", "f1f2f3", 123),  # zone F is plus
    ("PIC S9(3) COMP-3", "123f", 123),
    ("PIC 9(3) COMP-3", "123c", 123),
    ("PIC S9(3) COMP-3", "000d", 0),
    ("PIC X(4)", "00c14040", "\0A"),
])  # fmt: skip
def test_other_forms_are_read_too(clauses: str, raw: str, value: Any) -> None:
    assert one(clauses).decode(bytes.fromhex(raw)) == {"F": value}


@pytest.mark.parametrize(("clauses", "raw", "words"), [
    ("PIC 9(3)", "f1f2c3", "not a digit"),
    ("PIC 9(3)", "f1f2fa", "not a digit"),
    ("PIC 9(3)", "404040", "not a digit"),
    ("PIC 9(3)", "000000", "not a digit"),
    ("PIC S9(3)", "f1c2c3", "not a digit"),
    ("PIC S9(3)", "f1f2e3", "sign"),
    ("PIC S9(3)", "404040", "sign"),
    ("PIC S9(3) SIGN LEADING SEPARATE", "40f1f2f3", "neither"),
    ("PIC S9(3) SIGN LEADING SEPARATE", "60f1f2c3", "not a digit"),
    ("PIC S9(3) COMP-3", "1a3c", "not a digit"),
    ("PIC S9(3) COMP-3", "1234", "no valid sign"),
    ("PIC S9(3) COMP-3", "123a", "no valid sign"),
    ("PIC 9(3) COMP-3", "123d", "no valid sign"),
    ("PIC S9(4) COMP-3", "91234c", "more than its 4 digits"),
    ("PIC S9(3) COMP-3", "4040", "no valid sign"),
    ("PIC 9(4) COMP", "2710", "more than its 4 digits"),
    ("PIC X(4)", "c1c2c3", "expected 4 bytes, met 3"),
])  # fmt: skip
def test_bytes_that_are_no_such_value_are_refused_with_their_place(clauses: str, raw: str, words: str) -> None:
    with pytest.raises(DecodeError, match=words) as met:
        one(clauses).decode(b"\xff" * 10 + bytes.fromhex(raw), 3, 10)
    assert (met.value.record, met.value.offset) == (3, 10)


def test_a_fault_in_a_table_names_the_byte() -> None:
    codec = one("OCCURS 2. 10 A PIC X. 10 B PIC 9")
    with pytest.raises(DecodeError) as met:
        codec.decode(bytes.fromhex("e7f1e8c2"), 2, 0)
    assert (met.value.field, met.value.offset) == ("B", 3)


@pytest.mark.parametrize(("clauses", "value", "words"), [
    ("PIC X(3)", "ABCD", "4 characters do not fit into 3"),
    ("PIC X(3)", "€", "does not exist in cp037"),
    ("PIC X(3)", 5, "expected text"),
    ("PIC 9(3)", 1000, "more than 3 digits"),
    ("PIC 9(3)", -1, "no sign"),
    ("PIC 9(3)", Decimal("1.5"), "digits after the point"),
    ("PIC 9(3)", 1.5, "met float"),
    ("PIC 9(3)", True, "met bool"),
    ("PIC 9(3)", None, "no value"),
    ("PIC 9(3)", " 12", "text that is none"),
    ("PIC 9(3)", "١٢", "text that is none"),
    ("PIC 9(3)", "12\n", "text that is none"),
    ("PIC 9(3)", Decimal("NaN"), "not finite"),
    ("PIC 9(3)", Decimal("1E+999999"), "too many digits"),
    ("PIC S9(3)V99 COMP-3", Decimal("1.001"), "more than 2 digits after"),
    ("PIC S9(3)V99 COMP-3", Decimal("1E-999999"), "more than 2 digits after"),
    ("PIC S9(3)V99 COMP-3", Decimal("1000"), "more than 5 digits"),
    ("PIC S9(4) COMP", 10000, "more than 4 digits"),
    ("PIC S9(4) COMP-5", 32768, "2 signed bytes"),
    ("PIC 9(4) COMP-5", -1, "unsigned"),
    ("PIC 9(2)PP", 1250, "multiple of 100"),
    ("PIC 9 OCCURS 3", [1, 2], "a list of 3"),
    ("OCCURS 1. 10 A PIC X", [{"A": "X", "Z": 1}], "no such field"),
])  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_and_not_shown(clauses: str, value: Any, words: str) -> None:
    with pytest.raises(EncodeError, match=words) as met:
        one(clauses).encode({"F": value})
    assert not isinstance(value, str) or value not in str(met.value)


def test_every_named_field_needs_a_value_and_no_other_may_be_given() -> None:
    codec = one("PIC X")
    with pytest.raises(EncodeError, match="F: has no value"):
        codec.encode({})
    with pytest.raises(EncodeError, match="G: the copybook has no such field"):
        codec.encode({"F": "A", "G": "B"})


def test_blank_numbers_are_none_only_where_it_is_said() -> None:
    codec = one("PIC 9(3)", F=["SPACES", "LOW-VALUES"])
    assert codec.decode(b"\x40\x40\x40") == codec.decode(b"\0\0\0") == {"F": None}
    assert codec.encode({"F": None}) == b"\x40\x40\x40"
    with pytest.raises(DecodeError):
        codec.decode(b"\x40\x40\xf1")
    with pytest.raises(DecodeError):
        codec.decode(b"\x40\x40\0")
    with pytest.raises(ValueError, match="numbers there"):
        one("PIC 9(4) COMP", F=["SPACES"])


def test_fillers_and_values_are_filled_in() -> None:
    text = "       01 R.\n  05 A PIC X(2) VALUE 'HD'.\n  05 FILLER PIC X(2).\n"
    text += "  05 FILLER PIC 9(2) COMP-3.\n  05 B PIC 9(2) VALUE ZERO.\n  05 FILLER PIC X VALUE LOW-VALUE.\n"
    codec = compile_record(layout.lay_out(copybook.parse(text)), "cp037")
    assert codec.encode({}).hex() == "c8c44040000ff0f000"
    assert codec.constants == {"A": "HD", "B": 0}
    assert codec.decode(codec.encode({"A": "XY"})) == {"A": "XY", "B": 0}


def test_a_key_can_be_found_by_its_bytes() -> None:
    codec = one("PIC 9(10)")
    assert codec.where("F") == slice(0, 10)
    assert codec.field_bytes("F", "0000012345") == codec.encode({"F": 12345})
    with pytest.raises(EncodeError):
        codec.field_bytes("F", "12345678901")


@pytest.mark.parametrize("name", sorted(ebcdic.CODEPAGES))
def test_digits_and_signs_are_the_same_in_every_code_page(name: str) -> None:
    assert ebcdic.code_page(name).encode("0123456789+-") == bytes.fromhex("f0f1f2f3f4f5f6f7f8f94e60")


def test_code_pages_differ_where_it_hurts() -> None:
    assert one("PIC X(3)", "cp037").encode({"F": "[^Ü"}).hex() == "bab0fc"
    assert one("PIC X(3)", "cp1047").encode({"F": "[^Ü"}).hex() == "ad5ffc"
    with pytest.raises(ValueError, match="not an EBCDIC code page"):
        one("PIC X", "latin-1")


@pytest.mark.parametrize(("name", "raw"), [("cp290", "57"), ("cp420", "53"), ("cp424", "70"), ("cp833", "fe"), ("cp875", "dc")])
def test_a_byte_that_means_nothing_is_refused_not_replaced(name: str, raw: str) -> None:
    with pytest.raises(DecodeError, match="no character"):
        one("PIC X", name).decode(bytes.fromhex(raw))
    with pytest.raises(EncodeError):
        one("PIC X", name).encode({"F": "\ufffd"})


NUMBERS = st.tuples(st.integers(1, 31), st.booleans()).flatmap(
    lambda d: st.tuples(st.just(d[0]), st.just(d[1]), st.integers(-(10 ** d[0]) + 1 if d[1] else 0, 10 ** d[0] - 1))
)


@given(NUMBERS)
def test_packed_round_trip(number: tuple[int, bool, int]) -> None:
    digits, signed, value = number
    assert unpack(pack(value, digits, signed), digits, signed) == value


@given(NUMBERS, st.booleans(), st.booleans())
def test_zoned_round_trip(number: tuple[int, bool, int], leading: bool, separate: bool) -> None:
    digits, signed, value = number
    assert (
        unzone(zone(value, digits, signed=signed, leading=leading, separate=separate), signed=signed, leading=leading, separate=separate)
        == value
    )


@given(st.binary(min_size=3, max_size=3))
def test_any_three_bytes_are_the_number_they_mean_or_refused(raw: bytes) -> None:
    """Nothing that decodes may encode to another number."""
    for read, write in (
        (lambda b: unpack(b, 5, True), lambda n: pack(n, 5, True)),
        (lambda b: unzone(b, signed=True), lambda n: zone(n, 3, signed=True)),
    ):
        try:
            value = read(raw)
        except Unfit:
            continue
        assert read(write(value)) == value


EVERYTHING = """
       01 R.
         05 T PIC X(6).
         05 Z PIC S9(5)V99.
         05 P PIC S9(9)V99 COMP-3.
         05 B PIC S9(9) COMP.
         05 N PIC 9(18) COMP-5.
         05 G OCCURS 2.
           10 L PIC S9(3) SIGN LEADING SEPARATE.
           10 M PIC X(2) OCCURS 2.
"""
TEXT = st.text(st.characters(codec="cp037", exclude_characters=" "), max_size=2)
LINE = st.fixed_dictionaries({"L": st.integers(-999, 999), "M": st.tuples(TEXT, TEXT).map(list)})


@given(st.fixed_dictionaries({
    "T": TEXT,
    "Z": st.decimals(-99999, 99999, places=2),
    "P": st.decimals(-999999999, 999999999, places=2),
    "B": st.integers(-999999999, 999999999),
    "N": st.integers(0, 2**64 - 1),
    "G": st.tuples(LINE, LINE).map(list),
}))  # fmt: skip
def test_whole_records_round_trip(values: dict[str, Any]) -> None:
    codec = compile_record(layout.lay_out(copybook.parse(EVERYTHING)), "cp037")
    assert codec.decode(codec.encode(values)) == values
