"""One use of a session, step by step: settle on a screen, type, press, walk the graph. Sans-IO.

Each step is a generator that yields what the terminal shall do and is sent the screen that it led to, so that all of it runs against
written-down screens in a test. What goes wrong at the terminal is thrown in at the yield.

The rules:
1. Nothing is read or typed before a screen is known, unlocked and whole.
2. A screen that still looks as it did when the key was pressed is not an answer: hosts unlock early and paint later (`painted`).
3. What was typed is read back before a key is pressed, and no other input field may have changed. (The terminal may leave the rest of
   the screen unread where the host has sent nothing since: see emulator.py.)
4. Interrupting screens are pressed away wherever they come; a screen that means the end of the session is an error wherever it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from adapters.errors import AdapterError, Closed, DeadlineExceeded, ErrorRule, Failed, Misread, Refused, matching
from adapters.tn3270.definition import Definition, Edge, Field, Graph
from adapters.tn3270.screen import Screen, recognise, record, told, whole


@dataclass(frozen=True, slots=True)
class Read:
    """Look at what is there now."""


@dataclass(frozen=True, slots=True)
class Type:
    """Erase and fill fields: (row, column, text). `shown` is what all input fields then have to show; () where reading the fields alone
    does not tell, and the whole screen is read."""

    entries: tuple[tuple[int, int, str], ...] = field(repr=False)
    shown: tuple[tuple[int, int, str], ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Press:
    """Send a key and wait until the host unlocks the keyboard."""

    key: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until the host changes what is there: `locked` is whether it has yet to unlock the keyboard."""

    locked: bool


@dataclass(frozen=True, slots=True)
class Stay:
    """From here on the answer matters more than the deadline; the screen stays as it is."""


Action = Read | Type | Press | Wait | Stay
T = TypeVar("T")
Turns = Generator[Action, Screen, T]


class Dialogue:
    """`screen` is what is shown and `here` its definition; an answer has come in `pages` of them. `rules` say what its texts mean."""

    here: Definition
    pages = 1

    def __init__(self, graph: Graph, screen: Screen, rules: Sequence[ErrorRule] = ()) -> None:
        self.graph, self.screen, self.rules = graph, screen, rules

    def look(self, *expected: str) -> Turns[None]:
        """Begin: whatever is there becomes a known, whole screen."""
        yield from self._settle(expected or (self.graph.logon.home,), False, lambda: True)

    def ask(self, values: Mapping[str, str], key: str, *expected: str, answer: bool = False) -> Turns[None]:
        """Type, press, and settle on the screen that follows, which may be another than expected."""
        before = self.screen
        if values:
            yield from self._type(values)
        sent = self.screen
        repeated = bool(values) and sent.lines == before.lines and self.here.name in expected
        self.screen = yield Press(key)
        yield from self._settle(expected, answer, lambda: painted(before, sent, self.screen, repeated))

    def go(self, name: str) -> Turns[None]:
        """Walk to a screen: along its route where we are on it, else back towards home first. An edge that leads elsewhere is a Misread."""
        route = {edge.source: edge for edge in self.graph.route(name)}
        for _ in range(2 * len(self.graph.screens)):
            if self.here.name == name:
                return
            edge = route.get(self.here.name)
            if edge:
                yield from self.ask(self._fixed(edge), edge.press, edge.target)
                if self.here.name != edge.target:
                    raise self.said() or self.elsewhere(edge.target)
            elif self.here.leave:
                yield from self.ask({}, self.here.leave, self.graph.logon.home)
            else:
                break
        raise self.elsewhere(name)

    def part(self, edge: Edge) -> Turns[None]:
        """Type and press for the last time."""
        yield from self._type(self._fixed(edge))
        yield Press(edge.press)

    def said(self) -> AdapterError | None:
        """What a rule makes of the screen. The session stays usable: the host has only said no."""
        rule = self._rule(self.here)
        if rule is None:
            return None
        error = rule.error("the host")
        error.spoils = False
        return error

    def record(self) -> dict[str, str | None]:
        return record(self.screen, self.here)

    def elsewhere(self, expected: str) -> Misread:
        return Misread(f"expected screen {expected}, met {self.here.name}")

    def _fixed(self, edge: Edge) -> dict[str, str]:
        return {name: template.render({}) or "" for name, template in edge.type.items()}

    def _rule(self, here: Definition) -> ErrorRule | None:
        told = {name for rule in self.rules for name in rule.when}
        facts = {name: self.screen.text(f) for name, f in here.fields.items() if name in told and not f.hidden}
        return matching(self.rules, facts, contains=True)

    def _settle(self, expected: tuple[str, ...], answer: bool, fresh: Callable[[], bool]) -> Turns[None]:
        signon, pressed_away = self.graph.logon, None
        while True:
            here = recognise(self.screen, self.graph.screens.values())
            if here and here.name in signon.lost:
                raise self._lost(here)
            if here and not self.screen.locked and self.screen.lines != pressed_away and fresh():
                if here.name in signon.interrupts:
                    pressed_away = self.screen.lines
                    self.screen = yield Press(signon.interrupts[here.name])
                    continue
                self.here = here
                if whole(self.screen, here, answer=answer) or (answer and self.said()):  # an error is not followed by rows
                    return
            try:
                self.screen = yield Wait(self.screen.locked)
            except DeadlineExceeded as error:
                raise self._late(here, expected, fresh()) from error

    def _lost(self, here: Definition) -> AdapterError:
        rule = self._rule(here)
        if rule:
            return rule.error("the host")
        if self.graph.logon.lost[here.name] == "closed":
            return Closed(f"the host shows {here.name}")
        return Failed(f"the host shows {here.name}")

    def _late(self, here: Definition | None, expected: tuple[str, ...], fresh: bool) -> AdapterError:
        if self.screen.locked or not any(line.strip() for line in self.screen.lines):
            return DeadlineExceeded("the host did not answer in time")
        if here is None:
            return Misread(f"unknown screen: {told(self.screen, self.graph.screens, expected)}")
        if not fresh:
            return Misread(f"{here.name} was still the same when the time was up")
        return DeadlineExceeded(f"{here.name} was not painted to its end in time: none of its 'ready' texts was seen")

    def _type(self, values: Mapping[str, str]) -> Turns[None]:
        before, here = self.screen, self.here
        for name, text in values.items():
            room = before.room(here.fields[name])
            if room == 0 or room < len(text):
                raise Misread(f"'{name}' of {here.name} is {'protected' if not room else f'only {room} long'} on the host")
        chosen = [here.fields[name] for name in values]
        shown = {f: values.get(f.name, before.text(f)) for f in here.fields.values() if f.input}
        hidden = any(f.hidden for f in shown)
        checks = () if hidden else tuple((f.row, f.column, text.ljust(f.length)) for f, text in shown.items())
        self.screen = yield Type(tuple((f.row, f.column, values[f.name]) for f in chosen), checks)
        for f, text in shown.items():
            if self.screen.text(f) != text.rstrip():
                raise Misread(f"'{f.name}' of {here.name} does not show what was typed")


def painted(before: Screen, sent: Screen, now: Screen, repeated: bool) -> bool:
    """Whether the host has painted since a screen was sent to it. Asked the same again, it may well answer the same, cell by cell: then
    the mark that typing left on the field must be gone. Where typing left no mark (the host sets it itself), it can't be told."""
    if now.lines != sent.lines:
        return True
    return repeated and (now.attributes != sent.attributes or sent.attributes == before.attributes)


def typeable(field: Field, text: str, codepage: str) -> str:
    """The text, if this field can hold it exactly. Raises Refused, which names the field and never the value."""
    if len(text) > field.length:
        raise Refused(f"{field.name}: more than {field.length} characters")
    if not text.isprintable():
        raise Refused(f"{field.name}: holds a control character")
    if field.numeric and text.strip("0123456789.-"):
        raise Refused(f"{field.name}: not a number")
    try:
        text.encode(codepage)
    except UnicodeEncodeError:
        raise Refused(f"{field.name}: holds a character that code page {codepage} has not") from None
    return text
