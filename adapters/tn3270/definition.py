"""What the files of a `screens/` folder say, as data: screens that are a graph, and how to sign on. No I/O, no terminal.

Positions are [row, column] from 1, as a screen is read aloud; texts match exactly where they are placed.

    # screens/acctlist.yaml: one screen; every file in the folder of the system's logon file is one
    screen: ACCTLIST
    size: 24x80                                   # or 27x132 (needs model 5); 24x80 when left out
    identify:                                     # all must hold before anything is read or typed
      - {at: [1, 2], text: ACLS}
      - {at: [2, 30], text: CUSTOMER ACCOUNTS}
    ready: {at: [24, 2], any: [END OF LIST, MORE]}       # what an answer paints last; left out: identify is enough
    prompt: {at: [24, 2], any: [ENTER CUSTOMER]}         # what an empty form paints last: typing waits for this or for ready
    reach: {from: MENU, type: {option: "2"}, press: enter}   # the edge that leads here; a list when there are several. Home has none
    leave: pf3                                    # leads back towards home
    again: true                                   # may be asked again where it stands; left out: home after every use
    fields:
      customer: {at: [4, 18], length: 10, input: true}   # at is the first character, not the attribute byte
      message: {at: [24, 2], length: 78}          # also: hidden: true (never read), numeric: true (digits, point, sign)
    table:
      rows: [8, 20]                               # first and last screen row
      columns: {account: {at: 4, length: 12}, balance: {at: 40, length: 15}}
      key: account                                # left out: the first column. No key may come twice on the way through the pages
      order: ascending                            # ascending (default), descending or any
      count: total                                # optional: a field that shows how many rows there are in all
      next: pf8
      last_when: {field: message, matches: END OF LIST}   # contained in the field's text

    # screens/logon.yaml: from the connect to home, and what may go wrong on the way (and anywhere)
    home: MENU
    path:                                         # what to do on each screen before home; {user} and {password} are the credential's
      GREET: {type: {command: COREBANK}, press: enter}
      SIGNON: {type: {user: "{user}", password: "{password}"}, press: enter}
    refused: {SIGNON: {message: [PASSWORD NOT VALID, USER REVOKED]}}   # the credential is bad: never tried again
    busy: {SIGNON: {message: [ALREADY SIGNED ON]}}       # this user not now: the next one
    interrupts: {BROADCAST: {press: enter}}       # may appear anywhere and are pressed away
    lost: {ABEND: failed, CLOSED: closed}         # the session is over: failed is a 502, closed a 503
    logoff: {screen: MENU, type: {option: X}, press: enter}

Keys: enter, clear, pf1-pf24, pa1-pa3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.blocks import strict
from adapters.template import Template, parse

KEYS = ("enter", "clear", *(f"pf{n}" for n in range(1, 25)), "pa1", "pa2", "pa3")


def _map(of: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": of}


KEY = {"enum": list(KEYS)}
NAME = {"type": "string", "minLength": 1}
TEXTS = _map({"type": "string"})
_COUNT = {"type": "integer", "minimum": 1}
_FLAG = {"type": "boolean"}
_AT = {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}
_STEP = strict("press", type=TEXTS, press=KEY)
_EDGE = strict("from press", from_=NAME, type=TEXTS, press=KEY)
_NAMES = {"type": "array", "minItems": 1, "items": NAME}
_ANY = strict("at any", at=_AT, any=_NAMES)
_SAID = _map(_map(_NAMES))

SCREEN: Mapping[str, Any] = strict(
    "screen identify",
    screen=NAME,
    size={"enum": ["24x80", "27x132"]},
    identify={"type": "array", "minItems": 1, "items": strict("at text", at=_AT, text=NAME)},
    ready=_ANY,
    prompt=_ANY,
    reach={"if": {"type": "array"}, "then": {"items": _EDGE}, "else": _EDGE},
    leave=KEY,
    again=_FLAG,
    fields=_map(strict("at length", at=_AT, length=_COUNT, input=_FLAG, hidden=_FLAG, numeric=_FLAG)),
    table=strict(
        "rows columns next last_when",
        rows=_AT,
        columns={**_map(strict("at length", at=_COUNT, length=_COUNT)), "minProperties": 1},
        key=NAME,
        order={"enum": ["ascending", "descending", "any"]},
        count=NAME,
        next=KEY,
        last_when=strict("field matches", field=NAME, matches=NAME),
    ),
)

LOGON: Mapping[str, Any] = strict(
    "home path logoff",
    home=NAME,
    path={**_map(_STEP), "minProperties": 1},
    refused=_SAID,
    busy=_SAID,
    interrupts=_map(strict("press", press=KEY)),
    lost=_map({"enum": ["failed", "closed"]}),
    logoff=strict("screen press", screen=NAME, type=TEXTS, press=KEY),
)

Texts = Mapping[str, Template]
Said = Mapping[str, Mapping[str, tuple[str, ...]]]  # screen -> field -> texts, one of which is contained


@dataclass(frozen=True, slots=True)
class Place:
    """A text at a position."""

    row: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A named stretch of one row."""

    name: str
    row: int
    column: int
    length: int
    input: bool = False
    hidden: bool = False
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows `first` to `last` of a screen; `columns` carry row 0. `key` names the column that tells rows apart."""

    first: int
    last: int
    columns: tuple[Field, ...]
    key: str
    order: str
    count: str | None
    next: str
    last_field: str
    last_text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """What to do on screen `source`: type, then press. It leads to `target`, '' where that is not fixed."""

    source: str
    target: str
    type: Texts
    press: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One screen. All of `identify` hold on it; its answer is whole when any of `ready` does, its empty form when any of `prompt`."""

    name: str
    rows: int
    columns: int
    identify: tuple[Place, ...]
    ready: tuple[Place, ...] = ()
    prompt: tuple[Place, ...] = ()
    reach: tuple[Edge, ...] = ()
    leave: str | None = None
    again: bool = False
    fields: Mapping[str, Field] = field(default_factory=dict)
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Logon:
    """The way from the connect to home and out again."""

    home: str
    path: Mapping[str, Edge]
    refused: Said
    busy: Said
    interrupts: Mapping[str, str]
    lost: Mapping[str, str]
    logoff: Edge


@dataclass(frozen=True, slots=True)
class Graph:
    """All screens of a system."""

    screens: Mapping[str, Definition]
    logon: Logon

    def route(self, name: str) -> tuple[Edge, ...]:
        """The edges from home to a screen, the fewest that do; () for home itself and for what can't be reached."""
        ways: dict[str, tuple[Edge, ...]] = {self.logon.home: ()}
        ahead = [self.logon.home]
        while ahead and name not in ways:
            here = ahead.pop(0)
            for screen in self.screens.values():
                for edge in screen.reach:
                    if edge.source == here and screen.name not in ways:
                        ways[screen.name] = (*ways[here], edge)
                        ahead.append(screen.name)
        return ways.get(name, ())


def screen(raw: Mapping[str, Any]) -> Definition:
    """A schema-valid screen file. Raises ValueError for a bad template."""
    rows, columns = map(int, raw.get("size", "24x80").split("x"))
    reach = raw.get("reach", [])
    return Definition(
        name=raw["screen"],
        rows=rows,
        columns=columns,
        identify=tuple(_place(p["at"], p["text"]) for p in raw["identify"]),
        ready=_any(raw.get("ready")),
        prompt=_any(raw.get("prompt")),
        reach=tuple(edge(e, e["from"], raw["screen"]) for e in ([reach] if isinstance(reach, Mapping) else reach)),
        leave=raw.get("leave"),
        again=raw.get("again", False),
        fields={name: _field(name, f) for name, f in raw.get("fields", {}).items()},
        table=_table(raw["table"]) if "table" in raw else None,
    )


def edge(raw: Mapping[str, Any], source: str, target: str = "") -> Edge:
    return Edge(source, target, texts(raw.get("type", {})), raw["press"])


def texts(raw: Mapping[str, str]) -> Texts:
    """Field -> template. Raises ValueError."""
    return {name: parse(text) for name, text in raw.items()}


def _place(at: tuple[int, int], text: str) -> Place:
    row, column = at
    return Place(row, column, text)


def _any(raw: Mapping[str, Any] | None) -> tuple[Place, ...]:
    return tuple(_place(raw["at"], text) for text in raw["any"]) if raw else ()


def _field(name: str, raw: Mapping[str, Any]) -> Field:
    row, column = raw["at"]
    return Field(name, row, column, raw["length"], raw.get("input", False), raw.get("hidden", False), raw.get("numeric", False))


def _table(raw: Mapping[str, Any]) -> Table:
    first, last = raw["rows"]
    columns = tuple(Field(name, 0, c["at"], c["length"]) for name, c in raw["columns"].items())
    key, order = raw.get("key", columns[0].name), raw.get("order", "ascending")
    end = raw["last_when"]
    return Table(first, last, columns, key, order, raw.get("count"), raw["next"], end["field"], end["matches"])


def logon(raw: Mapping[str, Any]) -> Logon:
    """A schema-valid logon file. Raises ValueError for a bad template."""
    return Logon(
        home=raw["home"],
        path={name: edge(step, name) for name, step in raw["path"].items()},
        refused=_said(raw.get("refused", {})),
        busy=_said(raw.get("busy", {})),
        interrupts={name: step["press"] for name, step in raw.get("interrupts", {}).items()},
        lost=dict(raw.get("lost", {})),
        logoff=edge(raw["logoff"], raw["logoff"]["screen"]),
    )


def _said(raw: Mapping[str, Mapping[str, list[str]]]) -> Said:
    return {screen: {field: tuple(texts) for field, texts in fields.items()} for screen, fields in raw.items()}
