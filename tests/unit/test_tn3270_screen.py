"""Screens from ReadBuffer's lines: characters, attributes, recognition, tables, and what may be told of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from adapters.tn3270 import definition
from adapters.tn3270.screen import Screen, parse, recognise, record, rows, shape, told, typed, whole

STATUS = "{lock} F U C(127.0.0.1) I 2 {rows} {columns} 3 20 0x0 0.000"
TITLE = "{screen: TITLE, identify: [{at: [1, 2], text: ABC}], fields: {name: {at: [4, 18], length: 10, input: true}}}"


def status(rows: int = 24, columns: int = 80, lock: str = "U") -> str:
    return STATUS.format(rows=rows, columns=columns, lock=lock)


def buffer(texts: Mapping[tuple[int, int], str], rows: int = 24, columns: int = 80) -> list[bytes]:
    """ReadBuffer(Ascii)'s lines for texts at positions. A text that begins with `_` is an input field's: its attribute comes before it
    and a protected one after it."""
    cells = [["00"] * columns for _ in range(rows)]
    for (row, column), text in texts.items():
        line, at = cells[row - 1], column - 1
        if text.startswith("_"):
            text = text[1:]
            line[at - 1], line[at + len(text)] = "SF(c0=c0)", "SF(c0=f0)"
            text = text.rstrip("_")
        line[at : at + len(text)] = [c.encode().hex() for c in text]
    return [" ".join(line).encode() for line in cells]


def paint(texts: Mapping[tuple[int, int], str], *, locked: bool = False) -> Screen:
    return parse(buffer(texts), status(lock="L" if locked else "U"), {})[0]


def defined(text: str) -> definition.Definition:
    return definition.screen(yaml.safe_load(text))


def test_characters_are_one_cell_each_and_nulls_are_blanks() -> None:
    screen = paint({(2, 3): "MÜLLER [€"})
    assert screen.lines[1][:12] == "  MÜLLER [€ "
    assert all(len(line) == 80 for line in screen.lines)


def test_attributes_take_a_cell_and_colours_take_none() -> None:
    row = b"SF(c0=c0,42=f4) 41 SA(42=f2) 42 SA(42=00) GE(c39c) SF(c0=e0)" + b" 00" * 75
    screen, _ = parse([row, *buffer({})[1:]], status(), {})
    assert screen.lines[0].rstrip() == " ABÜ"
    assert screen.attributes == ((0, 0xC0), (4, 0xE0))


@pytest.mark.parametrize(
    "data",
    [buffer({})[1:], [b"zz" + b" 00" * 79, *buffer({})[1:]], [b"00", *buffer({})[1:]], [b"c3" + b" 00" * 79, *buffer({})[1:]]],
    ids=["row missing", "not hexadecimal", "short row", "not UTF-8"],
)
def test_anything_else_is_an_error(data: list[bytes]) -> None:
    with pytest.raises(ValueError):
        parse(data, status(), {})


def test_typing_is_foretold_within_a_field_and_not_beyond_the_screen() -> None:
    before = paint({(1, 2): "ABC", (4, 18): "_OLD_______", (24, 70): "_LAST"})
    after = typed(before, [(4, 18, "NEW NUMBER")])
    assert after is not None
    assert (after.at(4, 18, 10), after.at(1, 2, 3)) == ("NEW NUMBER", "ABC")
    assert [byte for _, byte in after.attributes] == [0xC1, 0xF0, 0xC0, 0xF0]
    assert typed(before, [(4, 18, "TOO LONG FOR IT")]) is None
    assert typed(paint({(1, 2): "ABC"}), [(1, 2, "X")]) is None  # no fields at all


def test_rows_that_stayed_are_taken_from_before() -> None:
    first, known = parse(buffer({(1, 2): "SAME", (2, 2): "OLD"}), status(), {})
    second, _ = parse(buffer({(1, 2): "SAME", (2, 2): "NEW"}), status(), known)
    assert (first.at(1, 2, 4), first.at(2, 2, 3)) == ("SAME", "OLD")
    assert (second.at(1, 2, 4), second.at(2, 2, 3)) == ("SAME", "NEW")
    assert second.lines[0] is first.lines[0]


def test_a_fields_room_is_up_to_the_next_attribute() -> None:
    screen, field = paint({(4, 18): "_AB________"}), definition.Field("name", 4, 18, 10)
    assert screen.room(field) == 10
    assert screen.room(definition.Field("label", 4, 40, 5)) == 0
    assert paint({}).room(field) == 10


def test_a_screen_is_known_by_all_its_texts_and_the_closer_definition_wins() -> None:
    wide, close = defined(TITLE), defined("{screen: CLOSE, identify: [{at: [1, 2], text: ABC}, {at: [2, 2], text: D}]}")
    assert recognise(paint({(1, 2): "ABC"}), [wide, close]) is wide
    assert recognise(paint({(1, 2): "ABC", (2, 2): "D"}), [wide, close]) is close
    assert recognise(paint({(1, 3): "ABC"}), [wide, close]) is None


def test_a_screen_of_another_size_is_not_known() -> None:
    wide = defined("{screen: WIDE, size: 27x132, identify: [{at: [1, 2], text: ABC}]}")
    assert recognise(paint({(1, 2): "ABC"}), [wide]) is None
    assert recognise(parse(buffer({(1, 2): "ABC"}, 27, 132), status(27, 132), {})[0], [wide]) is wide


def test_an_answer_waits_for_ready_and_a_form_for_ready_or_prompt() -> None:
    screen = defined(
        "{screen: S, identify: [{at: [1, 2], text: ABC}], ready: {at: [24, 2], any: [END, MORE]}, prompt: {at: [24, 2], any: [ENTER]}}"
    )
    seen = {text: paint({(24, 2): text}) for text in ("END", "MORE", "ENTER", "X")}
    assert [text for text in seen if whole(seen[text], screen, answer=True)] == ["END", "MORE"]
    assert [text for text in seen if whole(seen[text], screen, answer=False)] == ["END", "MORE", "ENTER"]
    assert whole(seen["X"], defined(TITLE), answer=True)


def test_a_record_leaves_hidden_fields_out_and_blank_ones_none() -> None:
    screen = defined("""
        {screen: S, identify: [{at: [1, 2], text: ABC}],
         fields: {name: {at: [4, 18], length: 10}, town: {at: [5, 18], length: 5}, password: {at: [6, 18], length: 8, hidden: true}}}""")
    assert record(paint({(4, 18): "  MÜLLER", (6, 18): "SECRET"}), screen) == {"name": "  MÜLLER", "town": None}


def test_a_tables_blank_rows_are_no_rows() -> None:
    table = defined("""
        {screen: S, identify: [{at: [1, 2], text: ABC}], fields: {message: {at: [24, 2], length: 10}},
         table: {rows: [8, 10], columns: {a: {at: 4, length: 2}, b: {at: 8, length: 4}}, next: pf8,
                 last_when: {field: message, matches: END}}}
        """).table
    assert table is not None
    assert rows(paint({(8, 4): "01", (8, 8): "X", (10, 8): "Y", (11, 4): "99"}), table) == [{"a": "01", "b": "X"}, {"a": None, "b": "Y"}]


def test_only_literal_text_of_a_definition_is_told_and_all_else_as_its_shape() -> None:
    both = {"TITLE": defined(TITLE), "OTHER": defined("{screen: OTHER, identify: [{at: [1, 2], text: XYZ}]}")}
    assert told(paint({(1, 2): "XYZ"}), both, ["TITLE"]) == "TITLE has 'ABC' at [1, 2], met 'XYZ'"
    assert told(paint({(1, 2): "J7Ü"}), both, ["TITLE"]) == "TITLE has 'ABC' at [1, 2], met 'A9A'"
    assert shape("MÜLLER 12-34 €") == "AAAAAA 99-99 €"


def test_a_screens_repr_shows_nothing_of_it() -> None:
    assert "MÜLLER" not in repr(paint({(4, 18): "MÜLLER"}))
