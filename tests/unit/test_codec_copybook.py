"""Copybooks: what is read, how long it is (against GnuCOBOL where it is installed), and what is refused with its line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapters.codec import copybook, layout
from adapters.codec.layout import Layout, Table
from adapters.codec.record import compile_record
from adapters.codec.source import CopybookError
from tests import needs

COPYBOOKS = Path(__file__).parents[2] / "fixtures" / "catalogue" / "copybooks"

ORACLE = """
       01  REC.
           05  A PIC X(5).
           05  B PIC S9(7)V99 COMP-3.
           05  C PIC 9(4) COMP-3.
           05  D PIC S9(4) COMP.
           05  E PIC S9(5) BINARY.
           05  F PIC S9(10) COMP-4.
           05  G PIC S9(3) SIGN LEADING SEPARATE.
           05  H PIC S9(3) SIGN TRAILING.
           05  I PIC 9(2)PP.
           05  J PIC VPP99.
           05  K OCCURS 3.
               10 L PIC X(2).
               10 M PIC 9(3) COMP-3 OCCURS 2.
           05  N PIC X(4).
           05  O REDEFINES N PIC X(2).
           05  P USAGE COMP-3.
               10 Q PIC S9(9).
               10 R PIC S9(2)V9(8).
           05  S PIC S9(5) COMP-5.
"""


def of(text: str, *views: str) -> Layout:
    return layout.lay_out(copybook.parse(text), views)


def cobol(folder: Path, data: str, statements: list[str]) -> bytes:
    """What a COBOL program over this data displays."""
    cobc = needs.program("cobc")
    lines = ["IDENTIFICATION DIVISION.", "PROGRAM-ID. ORACLE.", "DATA DIVISION.", "WORKING-STORAGE SECTION."]
    text = [*lines, data, "PROCEDURE DIVISION.", *statements, "STOP RUN."]
    program = folder / "oracle.cob"
    program.write_text("".join(f"       {line}\n" for line in text))
    subprocess.run([cobc, "-x", "-std=ibm", "-o", folder / "oracle", program], check=True, cwd=folder, timeout=60)
    return subprocess.check_output([folder / "oracle"])


def test_lengths_are_gnucobols(tmp_path: Path) -> None:
    names = ("REC", *"ABCDEFGHIJKLMNOPQRS")
    told = dict(zip(names, map(int, cobol(tmp_path, ORACLE, [f"    DISPLAY LENGTH OF {n}." for n in names]).split()), strict=True))
    ours = of(ORACLE)
    assert ours.length == told["REC"]
    table = next(part for part in ours.parts if isinstance(part, Table))
    met = {part.name: part.length for part in (*ours.parts, *table.parts)}
    assert met == {name: told[name] for name in met}
    assert set(met) == set("ABCDEFGHIJKLMNQRS")


def test_packed_and_binary_bytes_are_gnucobols(tmp_path: Path) -> None:
    """Its zoned digits are ASCII here, so only what is the same on every machine is asked."""
    fields = [("PIC S9(7)V99 COMP-3", "-1234.56"), ("PIC 9(4) COMP-3", "1234"), ("PIC S9(3) COMP-3", "0"), ("PIC S9(4) COMP", "-300"),
              ("PIC 9(9) BINARY", "123456789"), ("PIC S9(13)V99 COMP", "-0.01")]  # fmt: skip
    data = "01 REC.\n" + "\n".join(f"           05 F{n} {clauses} VALUE {value}." for n, (clauses, value) in enumerate(fields))
    codec = compile_record(of(f"       {data}\n"), "cp037")
    assert codec.encode({}) == cobol(tmp_path, data, ["    DISPLAY REC WITH NO ADVANCING."])


@pytest.mark.parametrize(
    "text",
    [
        "       01 R.\n         05 A PIC X(3).\n         05 B PIC 9(2).\n",
        ("000100 01 R.\n000200* a comment\n000300   05 A PIC X(3).\n" + "000400   05 B PIC 9(2).".ljust(72) + "IDENT001\n"),
        "01 R.\n05 A PIC X(3). *> a comment\n05 B PIC 9(2).\n",
        "\t01\tR.\n\t05\tA\tPIC\tX(3).\n\t05\tB\tPIC\t99.\n",
        "       05 A PICTURE IS XXX.\n       05 B USAGE IS DISPLAY PICTURE 99 VALUE IS 7.\n",
        "       01 R. 05 A PIC X(3). 05 B\n           PIC 9(2).\n",
        "       01 R.\n  05 A PIC X(3).\n  88 YES VALUE 'Y' 'Z'.\n  05 B PIC 9(2).\n  66 C RENAMES A.\n  77 D PIC X.\n",
        "       01 R.\n       EJECT\n         05 G.\n           10 A PIC X(3).\n           10 B PIC 9(2).\n",
    ],
)
def test_every_way_to_write_it_is_the_same_record(text: str) -> None:
    met = of(text)
    assert [(p.name, p.offset, p.length) for p in met.parts] == [("A", 0, 3), ("B", 3, 2)]
    assert met.length == 5


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("       01 R.\n         05 N PIC 9.\n         05 T OCCURS 1 TO 5 DEPENDING ON N PIC X.\n", 3, "DEPENDING"),
        ("       01 R.\n         05 A PIC S9(4) COMP SYNC.\n", 2, "SYNC is not supported"),
        ("       01 R.\n         05 A COMP-1.\n", 2, "COMP-1"),
        ("       01 R.\n         05 A PIC ZZ9.99.\n", 2, "PICTURE ZZ9.99"),
        ("       01 R.\n         05 A PIC N(4).\n", 2, "national"),
        ("       01 R.\n         05 A.\n         05 B PIC X.\n", 2, "neither a PICTURE nor items"),
        ("       01 R.\n         05 A PIC X.\n           10 B PIC X.\n", 2, "items below it"),
        ("       01 R.\n         05 A PIC X.\n       03 B PIC X.\n", 3, "level 03 stands beside level 05"),
        ("       01 R.\n         05 A PIC X.\n         05 A PIC X.\n", 3, "declared twice"),
        ("       01 R.\n         05 A PIC X\n", 2, "no period"),
        ("       01 R.\n         05 A PIC X VALUE 5.\n", 2, "VALUE"),
        ("       01 R.\n         05 A PIC X(3) COMP-3.\n", 2, "text picture"),
        ("       01 R.\n         05 A PIC 9(32).\n", 2, "31 digits"),
        ("       01 R.\n         05 A PIC X.\n         05 B PIC X.\n         05 C REDEFINES A PIC X.\n", 4, "right before"),
        ("       COPY OTHER.\n", 1, "level number"),
        ("       01 R.\n         05 A PIC X(5) VALUE 'A LONG\n      -    'ER ONE'.\n", 2, "can't be read"),
        ("       01 R PIC X.\n       01 S PIC X.\n", 2, "second 01"),
        ("", 1, "no record"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(CopybookError) as met:
        of(text)
    assert met.value.line == line
    assert words in met.value.message


def test_a_name_used_in_two_groups_is_qualified() -> None:
    met = of("       01 R.\n         05 G. 10 A PIC X. 10 B PIC X.\n         05 H. 10 A PIC X.\n")
    assert [p.name for p in met.parts] == ["A OF G", "B", "A OF H"]


def test_a_redefinition_is_read_only_when_it_is_chosen_and_the_area_is_its_longest() -> None:
    text = "       01 R.\n  05 A PIC X(4).\n  05 B REDEFINES A.\n  10 C PIC 9(3).\n  10 D PIC 9(3).\n  05 E PIC X.\n"
    assert [(p.name, p.offset) for p in of(text).parts] == [("A", 0), ("E", 6)]
    assert [(p.name, p.offset) for p in of(text, "B").parts] == [("C", 0), ("D", 3), ("E", 6)]
    with pytest.raises(CopybookError, match="no item named X"):
        of(text, "X")
