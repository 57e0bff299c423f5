"""Copybook text -> sentences of words with their lines: columns, comments, quotes and periods, and no COBOL beyond them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FIXED = re.compile(r"(?:\s{6}|\S{6})[ */\-Dd]|\s{0,6}$")
_LISTING = ("EJECT", "SKIP1", "SKIP2", "SKIP3")
_WORD = re.compile(
    r"""\s*(?:([XNGZ]?(?:'(?:[^']|'')*'|"(?:[^"]|"")*"))   # a literal
        |([^\s,;.'"]+(?:[.,][^\s,;.'"]+)*)                # a word, a number, a picture
        |(\.)(?=\s|$)                                     # the end of an entry
        |[,;](?=\s|$))""",
    re.IGNORECASE | re.VERBOSE,
)


class CopybookError(ValueError):
    """A copybook that can't be used, and the line that says so."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line, self.message = line, message


@dataclass(frozen=True, slots=True)
class Word:
    """A word in capitals, or a literal as it is written."""

    text: str
    line: int
    quoted: bool = False


def sentences(text: str) -> Iterator[list[Word]]:
    """The entries, each without its period."""
    words: list[Word] = []
    for number, code in _lines(text):
        at = 0
        while code[at:].strip():
            met = _WORD.match(code, at)
            if met is None:
                raise CopybookError(number, f"can't be read from column {at + 1} of the code on")
            at = met.end()
            if met[1]:
                words.append(Word(met[1], number, quoted=True))
            elif met[2]:
                words.append(Word(met[2].upper(), number))
            elif met[3] and words:
                yield words
                words = []
    if words:
        raise CopybookError(words[0].line, "the entry has no period at its end")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines of code with their numbers, without sequence columns and comments. Fixed form when every line can be."""
    lines = [(n, line.expandtabs(8).rstrip()) for n, line in enumerate(text.splitlines(), 1)]
    lines = [(n, line) for n, line in lines if not line.lstrip().startswith("*")]
    fixed = all(_FIXED.match(line) for _, line in lines)
    for number, line in lines:
        mark, code = (line[6:7], line[7:72]) if fixed else (" ", line)
        if mark in ("*", "/", "D", "d"):
            continue
        if mark == "-":
            raise CopybookError(number, "continuation lines are not supported: write the entry without one")
        code = code.split("*>")[0].rstrip()
        if code and code.strip().rstrip(".").upper() not in _LISTING:
            yield number, code
