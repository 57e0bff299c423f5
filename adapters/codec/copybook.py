"""COBOL copybook text -> a tree of items: what is declared, before anybody asks where it lies.

What is not supported
(OCCURS DEPENDING ON, SYNC, COMP-1/2, national and edited pictures, COPY) is a CopybookError with its line, never a guess. Levels 66, 77 and
88 describe no bytes of the record and are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from adapters.codec.picture import Picture, picture
from adapters.codec.source import CopybookError, Word, sentences

Usage = Literal["display", "packed", "binary", "native"]
Value = str | Decimal
_USAGES: dict[str, Usage] = {
    "DISPLAY": "display", "COMP-3": "packed", "COMPUTATIONAL-3": "packed", "PACKED-DECIMAL": "packed",
    "COMP": "binary", "COMPUTATIONAL": "binary", "COMP-4": "binary", "COMPUTATIONAL-4": "binary", "BINARY": "binary",
    "COMP-5": "native", "COMPUTATIONAL-5": "native",
}  # fmt: skip
FIGURATIVE = {"SPACE": "SPACES", "SPACES": "SPACES", "ZERO": "ZEROS", "ZEROS": "ZEROS", "ZEROES": "ZEROS", "LOW-VALUE": "LOW-VALUES",
              "LOW-VALUES": "LOW-VALUES", "HIGH-VALUE": "HIGH-VALUES", "HIGH-VALUES": "HIGH-VALUES"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One declared item; a group has `items`, an elementary item its `picture`. A FILLER's name is ''. `figurative` is a VALUE such as
    SPACES; `value` is a literal one: text, or a number for a numeric item."""

    level: int
    name: str
    line: int
    picture: Picture | None = None
    usage: Usage = "display"
    leading: bool = False
    separate: bool = False
    occurs: int | None = None
    redefines: str | None = None
    value: Value | None = None
    figurative: str | None = None
    items: tuple[Item, ...] = ()


def parse(text: str) -> Item:
    """The record of a copybook: its 01, or a nameless group over what stands without one. Raises CopybookError."""
    entries = [entry for sentence in sentences(text) if (entry := _entry(sentence)) is not None]
    if not entries:
        raise CopybookError(1, "there is no record description")
    tops = _tree(entries, None)
    if len(tops) > 1 and any(top.level == 1 for top in tops):
        raise CopybookError(tops[1].line, "a second 01 record: keep one record a copybook")
    if tops[0].level == 1 and tops[0].items and tops[0].occurs is None:
        return tops[0]
    return Item(0, "", 1, items=tops)


@dataclass(slots=True)
class _Entry:
    """A data description entry as it is read; None is 'not said', so that a group's clause can be inherited."""

    level: int
    line: int
    words: list[Word]
    name: str = ""
    picture: Picture | None = None
    usage: Usage | None = None
    sign: tuple[bool, bool] | None = None
    occurs: int | None = None
    redefines: str | None = None
    value: Value | None = None
    figurative: str | None = None
    children: list[_Entry] = field(default_factory=list)

    def next(self, what: str) -> Word:
        if not self.words:
            raise CopybookError(self.line, f"{what} is missing")
        return self.words.pop(0)

    def skip(self, *words: str) -> bool:
        """Drop the next word if it is one of these."""
        if self.words and not self.words[0].quoted and self.words[0].text in words:
            self.words.pop(0)
            return True
        return False


def _entry(words: list[Word]) -> _Entry | None:
    first = words.pop(0)
    if not first.text.isdigit() or not (1 <= int(first.text) <= 49 or int(first.text) in (66, 77, 88)):
        raise CopybookError(first.line, f"expected a level number (01-49, 66, 77, 88), met '{first.text}'")
    if int(first.text) in (66, 77, 88):
        return None
    entry = _Entry(int(first.text), first.line, words)
    if words and not words[0].quoted and words[0].text not in _CLAUSES:
        name = entry.next("a name").text
        entry.name = "" if name == "FILLER" else name
    while entry.words:
        word = entry.next("a clause")
        if word.quoted or word.text not in _CLAUSES:
            raise CopybookError(word.line, f"'{word.text}' is not a clause that is supported here")
        _CLAUSES[word.text](entry, word)
    return entry


def _picture(entry: _Entry, word: Word) -> None:
    entry.skip("IS")
    text = entry.next("the picture")
    try:
        entry.picture = picture(text.text)
    except ValueError as bad:
        raise CopybookError(text.line, str(bad)) from None


def _usage(entry: _Entry, word: Word) -> None:
    if word.text == "USAGE":
        entry.skip("IS")
        word = entry.next("the usage")
    if word.text not in _USAGES:
        raise CopybookError(word.line, f"USAGE {word.text} is not supported")
    entry.usage = _USAGES[word.text]


def _sign(entry: _Entry, word: Word) -> None:
    if word.text == "SIGN":
        entry.skip("IS")
        word = entry.next("LEADING or TRAILING")
    if word.text not in ("LEADING", "TRAILING"):
        raise CopybookError(word.line, f"SIGN must be LEADING or TRAILING, met '{word.text}'")
    separate = entry.skip("SEPARATE")
    entry.skip("CHARACTER")
    entry.sign = (word.text == "LEADING", separate)


def _occurs(entry: _Entry, word: Word) -> None:
    count = entry.next("the number of times")
    if not count.text.isdigit() or int(count.text) < 1:
        raise CopybookError(count.line, f"OCCURS needs a whole number, met '{count.text}'")
    if entry.skip("TO", "DEPENDING"):
        raise CopybookError(word.line, "OCCURS DEPENDING ON is not supported")
    entry.occurs = int(count.text)
    entry.skip("TIMES")
    if entry.skip("TO", "DEPENDING"):
        raise CopybookError(word.line, "OCCURS DEPENDING ON is not supported")
    while entry.skip(*_KEYS):
        while entry.words and entry.words[0].text not in _CLAUSES and entry.words[0].text not in _KEYS:
            entry.next("a name")


def _redefines(entry: _Entry, word: Word) -> None:
    entry.redefines = entry.next("the name that is redefined").text


def _value(entry: _Entry, word: Word) -> None:
    entry.skip("IS", "ARE")
    entry.skip("ALL")
    literal = entry.next("the value")
    if literal.quoted and literal.text[0] not in "'\"":
        raise CopybookError(literal.line, "hexadecimal and national literals are not supported")
    if literal.quoted:
        mark = literal.text[0]
        entry.value = literal.text[1:-1].replace(mark * 2, mark)
    elif literal.text in FIGURATIVE:
        entry.figurative = FIGURATIVE[literal.text]
    elif re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", literal.text):
        entry.value = Decimal(literal.text)
    else:
        raise CopybookError(literal.line, f"VALUE {literal.text} is not a literal")


def _ignored(entry: _Entry, word: Word) -> None:
    """GLOBAL, EXTERNAL: of no consequence to the bytes."""


def _refused(entry: _Entry, word: Word) -> None:
    raise CopybookError(word.line, f"{word.text} is not supported")


_KEYS = ("ASCENDING", "DESCENDING", "INDEXED", "KEY", "IS", "BY")
_UNSUPPORTED = """SYNC SYNCHRONIZED JUST JUSTIFIED BLANK COMP-1 COMP-2 COMPUTATIONAL-1 COMPUTATIONAL-2 INDEX POINTER NATIONAL DISPLAY-1
    GROUP-USAGE DATE PROCEDURE-POINTER FUNCTION-POINTER UTF-8"""
_CLAUSES: dict[str, Callable[[_Entry, Word], None]] = {
    **dict.fromkeys(("PIC", "PICTURE"), _picture),
    **dict.fromkeys(("USAGE", *_USAGES), _usage),
    **dict.fromkeys(("SIGN", "LEADING", "TRAILING"), _sign),
    "OCCURS": _occurs,
    "REDEFINES": _redefines,
    **dict.fromkeys(("VALUE", "VALUES"), _value),
    **dict.fromkeys(("GLOBAL", "EXTERNAL"), _ignored),
    **dict.fromkeys(_UNSUPPORTED.split(), _refused),
}


def _tree(entries: list[_Entry], parent: _Entry | None) -> tuple[Item, ...]:
    """The items at the head of `entries` that belong to `parent`; takes them off the list."""
    items: list[Item] = []
    while entries and (parent is None or entries[0].level > parent.level):
        entry = entries.pop(0)
        if items and entry.level != items[-1].level:
            raise CopybookError(entry.line, f"level {entry.level:02d} stands beside level {items[-1].level:02d}")
        if parent is not None:
            entry.usage, entry.sign = entry.usage or parent.usage, entry.sign or parent.sign
        items.append(_item(entry, _tree(entries, entry)))
    return tuple(items)


def _item(entry: _Entry, items: Sequence[Item]) -> Item:
    shown = entry.name or "FILLER"
    if items and (entry.picture is not None or entry.value is not None or entry.figurative is not None):
        raise CopybookError(entry.line, f"{shown} has items below it and can't have a PICTURE or VALUE of its own")
    if not items and entry.picture is None:
        raise CopybookError(entry.line, f"{shown} has neither a PICTURE nor items below it")
    leading, separate = entry.sign or (False, False)
    usage = entry.usage or "display"
    if entry.picture is not None:
        _agree(entry, entry.picture, usage, shown)
    return Item(entry.level, entry.name, entry.line, entry.picture, usage, leading, separate, entry.occurs, entry.redefines,
                entry.value, entry.figurative, tuple(items))  # fmt: skip


def _agree(entry: _Entry, picture: Picture, usage: Usage, shown: str) -> None:
    """A picture, its usage and its value must be of one sort."""
    if usage != "display" and picture.kind == "text":
        raise CopybookError(entry.line, f"{shown}: a text picture can't be {usage}")
    if usage in ("binary", "native") and picture.digits > 18:
        raise CopybookError(entry.line, f"{shown}: a binary number has at most 18 digits")
    if picture.kind == "number" and entry.figurative not in (None, "ZEROS"):
        raise CopybookError(entry.line, f"{shown}: a number's VALUE can't be {entry.figurative}")
    if isinstance(entry.value, str if picture.kind == "number" else Decimal):
        raise CopybookError(entry.line, f"{shown}: its VALUE is not of the picture's sort")
