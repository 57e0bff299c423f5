"""What a catalogue may say of a 3270 system and its endpoints, and what it compiles to. Screens and logon: see definition.py.

    # an enquiry
    {system: corebank, screen: ACCTLIST, fill: {customer: "{customer_id}"}, press: enter, echo: {customer: "{customer_id}"},
     collect: table, max_pages: 20}               # collect: fields (the default) is one record of the screen's fields

    # a write: `find` brings the thing onto the screen (what it types must be shown again), `expect` compares what is there with what
    # the caller saw (on `screen` after a `find`, else on the commit screen), `fill` and `press` lead to the commit screen, where
    # `echo` must hold; then `commit.press` is the point of no return, after which an output field must say `confirmed`
    {system: corebank, screen: ADDRCHG, find: {fill: {customer: "{customer_id}"}, press: enter}, expect: {line1: "{if_match.line1}"},
     fill: {line1: "{line1}"}, press: enter, echo: {customer: "{customer_id}", line1: "{line1}"},
     commit: {screen: ADDRCNF, press: pf5, confirmed: ADDRESS UPDATED, ask: customers.get}}

A parameter that is absent empties its field; an absent one in `expect` is not compared. `errors` rules look at the fields of the screen
that answers: a rule holds when each of its texts is contained in its field. An answer that shows its echo fields must echo rightly
even when it is an error. `ask` is the facade's: the read by which it finds out what became of a write.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ebcdic  # noqa: F401  (registers code pages that Python lacks)

from adapters.base import BadTarget, Fault, Files
from adapters.blocks import strict
from adapters.errors import ErrorRule, rules
from adapters.template import Template, parse
from adapters.tn3270.check import Path, load, nearest, typed
from adapters.tn3270.definition import KEY, NAME, TEXTS, Definition, Graph, Texts, texts

COUNT = {"type": "integer", "minimum": 1}
DURATION = {"type": "string", "pattern": "^[0-9]+[smh]$"}

SYSTEM: Mapping[str, Any] = strict(
    "host users logon",
    host=NAME,
    port={"type": ["integer", "string"]},
    tls=strict("", verify={"type": "boolean"}, ca=NAME),
    model={"enum": [f"{kind}-{n}" for kind in (3278, 3279) for n in range(2, 6)]},
    codepage={"type": "string", "pattern": "^cp[0-9]{3,4}$"},
    users={"type": "array", "minItems": 1, "items": strict("lu credentials", lu=NAME, credentials=NAME)},
    sessions=strict(
        "",
        min=COUNT,
        max=COUNT,
        idle_logoff=DURATION,
        recycle_after=COUNT,
        keep_alive=strict("every press", every=DURATION, press=KEY),
    ),
    logon=NAME,
)

TARGET: Mapping[str, Any] = strict(
    "screen",
    screen=NAME,
    find=strict("fill", fill=TEXTS, press=KEY),
    fill=TEXTS,
    press=KEY,
    echo=TEXTS,
    collect={"enum": ["fields", "table"]},
    max_pages=COUNT,
    expect=TEXTS,
    commit=strict(
        "screen press",
        screen=NAME,
        press=KEY,
        confirmed=NAME,
        ask={**strict("use", use=NAME, with_=TEXTS, shows=TEXTS), "type": ["string", "object"], "minLength": 1},
    ),
)

Faults = Iterator[tuple[Path, str]]


@dataclass(frozen=True, slots=True)
class Ask:
    """Values for fields, and the key that sends them."""

    fill: Texts
    press: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A write's point of no return."""

    screen: str
    press: str
    confirmed: str


@dataclass(frozen=True, slots=True)
class Target:
    """A compiled block. `ask` is None where reaching the screen is all; `max_pages` is 0 unless a table is collected."""

    graph: Graph
    screen: str
    find: Ask | None
    ask: Ask | None
    echo: Texts
    expect: Texts
    max_pages: int
    commit: Commit | None
    errors: tuple[ErrorRule, ...]

    @property
    def answer(self) -> Definition:
        """The screen that is read: where the ask leads."""
        return self.graph.screens[self.commit.screen if self.commit else self.screen]

    @property
    def uses(self) -> frozenset[str]:
        fills = [ask.fill for ask in (self.find, self.ask) if ask]
        return frozenset().union(*(t.uses for part in (*fills, self.echo, self.expect) for t in part.values()))

    @property
    def gives(self) -> frozenset[str]:
        if self.max_pages and self.answer.table:
            return frozenset(c.name for c in self.answer.table.columns)
        return frozenset(f.name for f in self.answer.fields.values() if not f.hidden)


def calls(system: Mapping[str, Any]) -> int:
    """See base.TargetModule."""
    most: int = min(system.get("sessions", {}).get("max", len(system["users"])), len(system["users"]))
    return most


def compile(block: Mapping[str, Any], system: Mapping[str, Any], files: Files) -> Target:
    """See base.TargetModule."""
    graph = load(files, system["logon"])
    faults = [Fault(path, message) for path, message in _block(block, system, graph)]
    faults += [Fault(("systems", block.get("system", ""), *path), m, "systems.yaml") for path, m in _system(system)]
    if faults:
        raise BadTarget(faults)
    commit = block.get("commit")
    return Target(
        graph=graph,
        screen=block["screen"],
        find=_ask(block.get("find")),
        ask=_ask(block),
        echo=texts(block.get("echo", {})),
        expect=texts(block.get("expect", {})),
        max_pages=block["max_pages"] if block.get("collect") == "table" else 0,
        commit=Commit(commit["screen"], commit["press"], commit["confirmed"]) if commit else None,
        errors=rules(block),
    )


def _ask(block: Mapping[str, Any] | None) -> Ask | None:
    if block is None or not block.keys() & {"fill", "press"}:
        return None
    return Ask(texts(block.get("fill", {})), block.get("press", "enter"))


def _system(system: Mapping[str, Any]) -> Faults:
    try:
        codecs.lookup(system.get("codepage", "cp037"))
    except LookupError:
        yield ("codepage",), f"unknown code page '{system['codepage']}'"


def _block(block: Mapping[str, Any], system: Mapping[str, Any], graph: Graph) -> Faults:
    """Faults of a legacy block against its screens."""
    named: dict[Path, str] = {("screen",): block["screen"]}
    if "commit" in block:
        named["commit", "screen"] = block["commit"]["screen"]
    unknown = [(path, nearest("screen", name, graph.screens)) for path, name in named.items() if name not in graph.screens]
    yield from unknown
    if unknown:
        return
    screen, answer = graph.screens[block["screen"]], graph.screens[block.get("commit", block)["screen"]]
    if screen.name != graph.logon.home and not graph.route(screen.name):
        yield ("screen",), f"{screen.name} can't be reached from home, {graph.logon.home}"
    for path, defined in zip(named, (screen, answer), strict=False):
        if defined.columns == 132 and not system.get("model", "3279-2").endswith("-5"):
            yield path, f"{defined.name} is a 27x132 screen: the system needs a model 5 terminal, not {system.get('model', '3279-2')}"
    yield from _fields(block, screen, answer)
    yield from _collects(block, answer)
    yield from _errors(block, graph)


def _fields(block: Mapping[str, Any], screen: Definition, answer: Definition) -> Faults:
    find = block.get("find", {}).get("fill", {})
    yield from typed(find, screen, ("find", "fill"))
    yield from typed(block.get("fill", {}), screen, ("fill",))
    for key, defined in (("echo", answer), ("expect", screen if find else answer)):
        for name in block.get(key, {}):
            if name not in defined.fields:
                yield (key, name), nearest(f"field of {defined.name}", name, defined.fields)
            elif defined.fields[name].hidden:
                yield (key, name), f"'{name}' of {defined.name} is hidden and is never read"
    keyed = False
    for path, some in ((("find", "fill"), find), *(((key,), block.get(key, {})) for key in ("fill", "echo", "expect"))):
        for name, source in some.items():
            template = _template(source)
            if isinstance(template, str):
                yield (*path, name), template
            elif path[-1] == "fill":
                keyed = keyed or bool(template.uses)
    if keyed and not block.get("echo"):
        yield ("fill",), "an ask with a key needs 'echo': the answer must show what was asked for"


def _template(source: str) -> Template | str:
    """The template, or what is wrong with it."""
    try:
        return parse(source)
    except ValueError as error:
        return str(error)


def _collects(block: Mapping[str, Any], answer: Definition) -> Faults:
    commit = block.get("commit")
    if block.get("collect") == "table":
        if answer.table is None:
            yield ("collect",), f"{answer.name} has no table"
        if "max_pages" not in block:
            yield ("collect",), "a table needs 'max_pages'"
        if commit:
            yield ("collect",), "a write collects no table"
    if commit and "confirmed" not in commit:
        yield ("commit",), "needs 'confirmed': the text that says that the write was done"
    if not commit and block.get("expect"):
        yield ("expect",), "is for writes: it needs 'commit'"


def _errors(block: Mapping[str, Any], graph: Graph) -> Faults:
    known = {name for screen in graph.screens.values() for name in screen.fields}
    for rule, body in block.get("errors", {}).items():
        for field in body.get("when", {}):
            if field not in known:
                yield ("errors", rule, "when", field), nearest("field", field, known)
