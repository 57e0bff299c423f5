"""Enquiries, writes, sign-on and sign-off as walks over screens. Sans-IO: see dialogue.py.

A write has one point of no return, the commit key. Whatever fails before it means that nothing happened; whatever fails after it,
unless the host says why, means that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Record
from adapters.errors import AdapterError, BadLogon, Misread, OutcomeUnknown, PreconditionFailed, Unavailable
from adapters.tn3270.definition import Definition, Edge, Graph, Said, Table, Texts
from adapters.tn3270.dialogue import Dialogue, Press, Read, Stay, Turns, typeable
from adapters.tn3270.screen import Screen, recognise, rows
from adapters.tn3270.target import Target


class InUse(Unavailable):
    """The user is signed on somewhere else."""


@dataclass(frozen=True, slots=True)
class Question:
    """A call's values, checked and rendered, by field."""

    find: Mapping[str, str] = field(repr=False)
    fill: Mapping[str, str] = field(repr=False)
    echo: Mapping[str, str] = field(repr=False)
    expect: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records, whether the session is back where its next use may start, and how many screens the answer took."""

    records: tuple[Record, ...] = field(repr=False)
    clean: bool
    pages: int = 1


def question(target: Target, params: Mapping[str, Any], codepage: str) -> Question:
    """Raises Refused before anything is sent."""
    screen = target.graph.screens[target.screen]
    find, fill = ({} if ask is None else _typed(ask.fill, screen, params, codepage) for ask in (target.find, target.ask))
    expect = {name: text for name, t in target.expect.items() if (text := t.render(params)) is not None}
    return Question(find, fill, {name: t.render(params) or "" for name, t in target.echo.items()}, expect)


def _typed(texts: Texts, screen: Definition, params: Mapping[str, Any], codepage: str) -> dict[str, str]:
    return {name: typeable(screen.fields[name], t.render(params) or "", codepage) for name, t in texts.items()}


def use(target: Target, asked: Question, screen: Screen, acting: Callable[[], None] = lambda: None) -> Turns[Outcome]:
    """One call on a session, from where it rests, `screen`, to where it may rest. Errors that leave it usable say so (`spoils`). `acting`
    is called right before a commit key."""
    talk = Dialogue(target.graph, screen, target.errors)
    yield from talk.look()
    try:
        records = yield from (_write(talk, target, asked, acting) if target.commit else _read(talk, target, asked))
    except AdapterError as error:
        if not error.spoils:
            error.spoils = not (yield from _homeward(talk))
        raise
    return Outcome(records, talk.here.again or (yield from _homeward(talk)), talk.pages)


def _homeward(talk: Dialogue) -> Turns[bool]:
    try:
        yield from talk.go(talk.graph.logon.home)
    except AdapterError:
        return False
    return True


def _read(talk: Dialogue, target: Target, asked: Question) -> Turns[tuple[Record, ...]]:
    yield from talk.go(target.screen)
    if target.ask:
        yield from talk.ask(asked.fill, target.ask.press, target.screen, answer=True)
    _check(talk, target.answer, asked.echo)
    table = target.answer.table
    if not target.max_pages or table is None:
        return (talk.record(),)
    found: list[dict[str, str | None]] = []
    for _ in range(target.max_pages):
        found += _page(talk, table, found)
        if table.last_text in talk.screen.text(talk.here.fields[table.last_field]):
            _count(talk, table, len(found))
            return tuple(found)
        yield from talk.ask({}, table.next, target.screen, answer=True)
        talk.pages += 1
        _check(talk, target.answer, asked.echo)
    raise Misread(f"{target.screen} has more than {target.max_pages} pages")


def _check(talk: Dialogue, answer: Definition, echo: Mapping[str, str]) -> None:
    """Raises Misread for another question's answer, and what a rule makes of this one."""
    if talk.here.name == answer.name:
        for name, text in echo.items():
            if talk.screen.text(answer.fields[name]).strip() != text.strip():
                raise Misread(f"'{name}' of {answer.name} does not show what was asked for")
    said = talk.said()
    if said:
        raise said
    if talk.here.name != answer.name:
        raise talk.elsewhere(answer.name)


def _page(talk: Dialogue, table: Table, before: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    """The rows of this page. Raises Misread when a key is missing, comes again or is out of order."""
    page = rows(talk.screen, table)
    keys = [row[table.key] or "" for row in (*before, *page)]
    if not all(keys):
        raise Misread(f"a row of {talk.here.name} has no '{table.key}'")
    if len(set(keys)) != len(keys):
        raise Misread(f"a row of {talk.here.name} came twice: its list changed while it was read")
    if table.order != "any" and keys != sorted(keys, reverse=table.order == "descending"):
        raise Misread(f"the rows of {talk.here.name} are not {table.order} by '{table.key}'")
    return page


def _count(talk: Dialogue, table: Table, found: int) -> None:
    if table.count is not None:
        said = talk.screen.text(talk.here.fields[table.count]).strip()
        if not said.isdecimal() or int(said) != found:
            raise Misread(f"{talk.here.name} listed {found} rows, and '{table.count}' says otherwise")


def _write(talk: Dialogue, target: Target, asked: Question, acting: Callable[[], None]) -> Turns[tuple[Record, ...]]:
    commit, screen, answer = target.commit, target.graph.screens[target.screen], target.answer
    assert commit is not None
    yield from talk.go(target.screen)
    if target.find:
        yield from talk.ask(asked.find, target.find.press, target.screen, answer=True)
        _check(talk, screen, asked.find)
        _expect(talk, asked)
    if target.ask:
        yield from talk.ask(asked.fill, target.ask.press, answer.name, answer=True)
    _check(talk, answer, asked.echo)
    if not target.find:
        _expect(talk, asked)
    if _shows(talk, commit.confirmed):
        raise Misread(f"{answer.name} shows the confirmation of a write before {commit.press} was sent")
    shown = talk.record()
    acting()
    try:
        yield from talk.ask({}, commit.press, answer.name, answer=True)
    except AdapterError as error:
        raise OutcomeUnknown(f"{commit.press} was sent on {answer.name}, and then: {error.detail}") from error
    said = talk.said()
    if said:
        raise said
    if not _shows(talk, commit.confirmed):
        raise OutcomeUnknown(f"{commit.press} was sent on {answer.name}, and {talk.here.name} does not confirm it")
    if talk.here.name != answer.name:
        return (shown,)
    try:
        _check(talk, answer, asked.echo)
    except Misread as error:
        raise OutcomeUnknown(f"{commit.press} was sent on {answer.name}, and what it confirms is something else: {error.detail}") from error
    return (talk.record(),)


def _shows(talk: Dialogue, text: str) -> bool:
    """Whether any field that the host alone writes holds the text."""
    return any(text in talk.screen.text(f) for f in talk.here.fields.values() if not f.input and not f.hidden)


def _expect(talk: Dialogue, asked: Question) -> None:
    for name, text in asked.expect.items():
        if talk.screen.text(talk.here.fields[name]).strip() != text.strip():
            raise PreconditionFailed(f"{name} is not what the caller expected")


def sign_on(graph: Graph, user: str, password: str, codepage: str) -> Turns[None]:
    """From a fresh connection to home. No screen is answered twice, so that a bad credential is counted once at the host.
    Raises BadLogon, InUse, and Refused for a credential that can't be typed."""
    talk, signon = Dialogue(graph, (yield Read())), graph.logon
    params = {"user": user, "password": password}
    answered: set[str] = set()
    yield from talk.look(*signon.path)
    while (name := talk.here.name) != signon.home:
        step = signon.path.get(name)
        if step is None or name in answered:
            raise _stopped(talk, step)
        answered.add(name)
        if _tells(step):
            yield Stay()  # a refusal that nobody sees would be tried again
        yield from talk.ask(_typed(step.type, talk.here, params, codepage), step.press, signon.home, *signon.path)


def _stopped(talk: Dialogue, step: Edge | None) -> AdapterError:
    """Why a sign-on went no further. A credential that was refused for a reason we do not know is bad, to be on the safe side."""
    name, signon = talk.here.name, talk.graph.logon
    if _says(talk, signon.busy):
        return InUse(f"{name} says that the user is signed on elsewhere")
    if _says(talk, signon.refused) or (step and _tells(step)):
        return BadLogon(f"{name} does not accept the credential")
    return talk.elsewhere(signon.home)


def _tells(step: Edge) -> bool:
    return any("password" in template.uses for template in step.type.values())


def _says(talk: Dialogue, said: Said) -> bool:
    record = talk.record()
    return any(text in (record.get(name) or "") for name, texts in said.get(talk.here.name, {}).items() for text in texts)


def rests(graph: Graph, screen: Screen) -> bool:
    """Whether a session that shows this is still signed on, as far as can be seen."""
    here = recognise(screen, graph.screens.values())
    return here is None or here.name not in {*graph.logon.path, *graph.logon.lost}


def greet(graph: Graph) -> Turns[None]:
    """See that the host shows where a sign-on would begin."""
    yield from Dialogue(graph, (yield Read())).look(*graph.logon.path)


def keep_awake(graph: Graph, key: str) -> Turns[None]:
    """Something that the host counts as use: a key at home, whatever it answers."""
    talk = Dialogue(graph, (yield Read()))
    yield from talk.look()
    yield from talk.go(graph.logon.home)
    talk.screen = yield Press(key)
    yield from talk.look()


def sign_off(graph: Graph) -> Turns[None]:
    """From wherever it rests to the end. What the host shows then is of no interest."""
    talk = Dialogue(graph, (yield Read()))
    yield from talk.look()
    yield from talk.go(graph.logon.logoff.source)
    yield from talk.part(graph.logon.logoff)
