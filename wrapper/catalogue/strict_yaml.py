"""YAML as JSON has it: what a reader sees in the file is what the program gets, and every value knows its line.

    true false null 5 -5    as in JSON                    0.10            Decimal, with its digits
    037 0000012345 NO ~     text, as they stand (PyYAML: 31, 5349, False, None)
    12:30:45 2026-01-31     text (PyYAML: 45045, a date)  1e5             refused: write the number out, or quote the text
    (nothing)               null                          any key         text

Keys twice, anchors, aliases, tags, merge keys, directives and second documents are refused, and so is hostile input: what is too
long, too deep, not UTF-8, or carries characters that a reader can't see. One pass over the C parser's events: nothing is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from wrapper.catalogue.found import Path

LONGEST = 262_144  # bytes of one file
DEEPEST = 32
DIGITS = 31
_SPECIAL = re.compile(r"[{}\[\]#]|: .*:")  # what makes a plain value something else
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"true": True, "false": False, "null": None, "": None}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_UNSEEN = re.compile(
    r"[^\t\n\r\x20-\x7e\xa1-\xac\xae-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\ud7ff\uf900-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class BadYaml(Exception):
    """The first thing in a text that strict YAML does not allow; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain dict, list, str, int, Decimal, bool and None, and the line of every key and item."""

    file: str
    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest thing around it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(data: bytes, file: str) -> Document:
    """Raises BadYaml."""
    builder = _Builder(_decoded(data))
    return Document(file, builder.document(), builder.lines)


def _decoded(data: bytes) -> str:
    if len(data) > LONGEST:
        raise BadYaml(1, f"the file has {len(data)} bytes; {LONGEST} are allowed")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadYaml(
            data.count(b"\n", 0, error.start) + 1, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    unseen = _UNSEEN.search(text)
    if unseen:
        raise BadYaml(text.count("\n", 0, unseen.start()) + 1, f"the character U+{ord(unseen[0]):04X} is not allowed")
    return text


class _Builder:
    """One document out of the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.lines: dict[Path, int] = {}

    def document(self) -> Any:
        self._next()  # the stream's start
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        if event.version or event.tags:
            raise _at(event, "a % directive is not allowed")
        value = self._value(self._next(), ())
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise _at(event, "a second document begins here; one file is one document")
        return value

    def _next(self) -> Any:
        try:
            event = next(self._events)
        except yaml.MarkedYAMLError as error:
            raise self._reworded(error) from None
        if isinstance(event, yaml.AliasEvent):
            raise _at(event, f"an alias (*{event.anchor}) is not allowed; write the value out")
        if getattr(event, "anchor", None):
            raise _at(event, f"an anchor (&{event.anchor}) is not allowed; write the value out where it is needed")
        if getattr(event, "tag", None):
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _at(event, f"a tag ({shown}) is not allowed; quote what is meant as text")
        return event

    def _value(self, event: Any, path: Path) -> Any:
        self.lines.setdefault(path, event.start_mark.line + 1)
        if len(path) > DEEPEST:
            raise _at(event, f"nested more than {DEEPEST} deep")
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(path)
            case yaml.SequenceStartEvent():
                return self._sequence(path)
        return _scalar(event)

    def _sequence(self, path: Path) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            made.append(self._value(event, (*path, len(made))))
        return made

    def _mapping(self, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = _key(event)
            if key in made:
                raise _at(event, f"the key '{key}' is here twice, first in line {self.lines[*path, key]}")
            self.lines[*path, key] = event.start_mark.line + 1
            made[key] = None  # the place is taken before the value is read
            made[key] = self._value(self._next(), (*path, key))
        return made

    def _reworded(self, error: yaml.MarkedYAMLError) -> BadYaml:
        mark = error.problem_mark or error.context_mark
        number = mark.line if mark else 0
        lines = self._text.splitlines()
        line = lines[number] if number < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return BadYaml(number + 1, "a tab indents this line; YAML takes spaces only")
        hint = f" (begun in line {error.context_mark.line + 1})" if error.context_mark and error.context_mark.line != number else ""
        if "${" in line:
            hint += "; a secret is written env:NAME, not ${NAME}"
        elif _SPECIAL.search(line):
            hint += "; quote a value that holds { } [ ] : or #"
        return BadYaml(number + 1, ", ".join(said for said in ("not YAML", error.context, error.problem) if said) + hint)


def _key(event: Any) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise _at(event, "a key must be a text")
    key = str(event.value)
    if key == "<<" and event.implicit[0]:
        raise _at(event, "a merge key (<<) is not allowed; write the keys out")
    if not key:
        raise _at(event, "a key is missing here")
    return key


def _scalar(event: Any) -> Any:
    text = str(event.value)
    if not event.implicit[0]:
        if _UNSEEN.search(text):
            raise _at(event, "an escape makes a character that is not allowed")
        return text
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if not number:
        return text
    if number[2]:
        raise _at(event, f"{text[:40]} is ambiguous: write the number out, or quote it as text")
    if len(text) > DIGITS:
        raise _at(event, f"a number of {len(text)} characters; {DIGITS} are allowed, or quote it as text")
    return Decimal(text) if number[1] else int(text)


def _at(event: Any, message: str) -> BadYaml:
    return BadYaml(event.start_mark.line + 1, message)
