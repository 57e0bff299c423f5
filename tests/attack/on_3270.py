"""3270: text that would be keys, orders or other fields, and screens that are not what they look like. A real s3270, a real host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from adapters.errors import Misread
from adapters.tn3270 import target
from adapters.tn3270.definition import Definition
from adapters.tn3270.dialogue import typeable
from adapters.tn3270.screen import Screen, record, told
from fixtures.host3270 import Host3270
from tests.adapters.bank import ADDRESS, BUSY, CATALOGUE, ENQUIRY, LIST, MOVE, SYSTEM, call, opened
from tests.attack.parts import Attack, Control, Seen, attempt, control, same

DIALOGUE, PLAN, SCREEN, EMULATOR = (f"adapters.tn3270.{name}" for name in ("dialogue", "plan", "screen", "emulator"))
PRINTABLE = control("only what can be printed is typed", (DIALOGUE, "if not text.isprintable():", "if False:"))
LENGTH = control("the field's length", (DIALOGUE, "if len(text) > field.length:", "if False:"))
DIGITS = control("numbers into numeric fields", (DIALOGUE, 'if field.numeric and text.strip("0123456789.-"):', "if False:"))
PAGE = control("the host's code page", (DIALOGUE, "text.encode(codepage)", "pass"))
QUOTES = control("quotes are escaped", (EMULATOR, r"""text.replace("\\", r"\u005c").replace('"', r"\u0022")""", "text"))
ECHO = control("the answer shows what was asked", (PLAN, "if talk.screen.text(answer.fields[name]).strip() != text.strip():", "if False:"))
BEFORE = control(
    "no confirmation before the commit", (PLAN, "if _shows(talk, commit.confirmed):\n        raise", "if False:\n        raise")
)
EXPECTED = control(
    "what the caller expects is there", (PLAN, "if talk.screen.text(talk.here.fields[name]).strip() != text.strip():", "if False:")
)
HIDDEN = control(
    "hidden fields stay so",
    (SCREEN, "for name, f in definition.fields.items() if not f.hidden}", "for name, f in definition.fields.items()}"),
)
SHAPES = control("errors show shapes", (SCREEN, "met if Place(place.row, place.column, met) in places else shape(met)", "met"))
PAGES = control("a row comes once", (PLAN, "if len(set(keys)) != len(keys):", "if False:"))

SCREENS = ENQUIRY.graph.screens
LINE1, CUSTOMER = SCREENS["ADDRCHG"].fields["line1"], SCREENS["CUSTINQ"].fields["customer"]
NO_RULES = target.compile(
    {k: v for k, v in CATALOGUE.yaml("endpoints/customers.move.yaml")["legacy"].items() if k != "errors"}, SYSTEM, CATALOGUE
)


def types(text: str, field: Any = LINE1) -> Callable[[Any], Seen]:
    """Got when the text goes to the keyboard."""
    return lambda _: same(typeable(field, text, "cp037"), text)


@contextmanager
def bank() -> Any:
    with Host3270(ghost_seconds=0.1) as host:
        adapter = opened(host.address, ["PASS0001"])
        try:
            yield host, adapter
        finally:
            adapter.close()


def presses(text: str) -> Callable[[Any], Seen]:
    """Got when a name typed into a field made a key of its own go to the host."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            said = attempt(lambda _: Seen(False, str(adapter.call(call(MOVE, "0000010002", **{**ADDRESS, "line1": text})).records)), None)
            keys = [entry.detail for entry in host.journal.entries("key") if entry.detail.startswith("ADDR")]
            planned = ["ADDRCHG enter", "ADDRCHG enter", "ADDRCNF pf5", "ADDRCNF pf3"]
            return Seen(keys != planned, f"keys {keys}; {said.what}")

    return act


def moves(text: str) -> Callable[[Any], Seen]:
    """Got when exactly this text is what the host has afterwards."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            adapter.call(call(MOVE, "0000010002", **{**ADDRESS, "line1": text}))
            (commit,) = host.journal.entries("commit")
            return same(commit.after.line1, text)

    return act


def stale(stale: int) -> Callable[[Any], Seen]:
    """The host answers an enquiry with the previous customer. Got when somebody's data come back under a number that is not theirs."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            adapter.call(call(ENQUIRY, "0000010001"))
            host.switches.stale = stale
            (record,) = adapter.call(call(ENQUIRY, BUSY)).records
            return Seen((record["customer"] != BUSY) == bool(stale), f"asked for {BUSY}, given {record['customer']}")

    return act


def unconfirmed(line1: str, later: int) -> Callable[[Any], Seen]:
    """The host turns the commit away; the caller's own text is what a commit is confirmed with. Got when the write counts as done."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            adapter.call(call(ENQUIRY, BUSY))
            asked = call(NO_RULES, "0000010002", **{**ADDRESS, "line1": line1})
            asked = replace(asked, acting=lambda: setattr(host.switches, "try_later", later))
            adapter.call(asked)
            return Seen(host.journal.count("commit") == (0 if later else 1), f"said done, commits: {host.journal.count('commit')}")

    return act


def overwrites(old_line1: str | None) -> Callable[[Any], Seen]:
    """Got when an address was replaced."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            line1 = old_line1 or host.records.find("0000010002").address.line1
            adapter.call(call(MOVE, "0000010002", old_line1=line1, **ADDRESS))
            return Seen(host.journal.count("commit") == 1, "the other clerk's change is overwritten")

    return act


def painted(texts: dict[tuple[int, int], str]) -> Screen:
    lines = [[" "] * 80 for _ in range(24)]
    for (row, column), text in texts.items():
        lines[row - 1][column - 1 : column - 1 + len(text)] = text
    return Screen(24, 80, tuple("".join(line) for line in lines), (), False)


def password(name: str, wanted: str) -> Callable[[Any], Seen]:
    signon: Definition = SCREENS["SIGNON"]
    screen = painted({(8, 18): "FIGW01", (9, 18): "PASS0001"})
    return lambda _: same(record(screen, signon).get(name), wanted)


def error_shows(text: str, wanted: str) -> Callable[[Any], Seen]:
    """What an error says of an unknown screen on which somebody else's name stands where a title is expected."""

    def act(_: Any) -> Seen:
        said = told(painted({(2, 30): text}), SCREENS, ["ADDRCNF"])
        return Seen(wanted in said, said)

    return act


def listed(moving: bool, wanted: int) -> Callable[[Any], Seen]:
    """A list that moves while it is read. Got when it is taken, a row in it twice."""

    def act(_: Any) -> Seen:
        with bank() as (host, adapter):
            host.switches.moving = moving
            try:
                rows = adapter.call(call(LIST, BUSY)).records
            except Misread as error:
                return Seen(False, error.detail)
            keys = [row["account"] for row in rows]
            return Seen(len(keys) - len(set(keys)) >= wanted, f"{len(keys)} rows of {len(set(keys))} accounts")

    return act


def _typed(name: str, by: Control, bad: str, good: str = "1 NEW ROAD", field: Any = LINE1) -> Attack:
    return Attack(name, "3270", by, types(bad, field), types(good, field))


ATTACKS = (
    _typed("3270.newline_is_a_key", PRINTABLE, "1 NEW ROAD\n"),
    _typed("3270.tab_to_the_next_field", PRINTABLE, "1 NEW\tLEEDS"),
    _typed("3270.set_buffer_address", PRINTABLE, "\x11\x40\x40X"),
    _typed("3270.start_field", PRINTABLE, "\x1d\x60X"),
    _typed("3270.erase_unprotected", PRINTABLE, "\x12X"),
    _typed("3270.nul", PRINTABLE, "1\0NEW"),
    _typed("3270.ebcdic_newline", PRINTABLE, "1 NEW\x85ROAD"),
    _typed("3270.ebcdic_dup", PRINTABLE, "1\x1cNEW"),
    _typed("3270.invisible", PRINTABLE, "1\xadNEW"),
    _typed("3270.overflow", LENGTH, "A" * 31, "A" * 30),
    _typed("3270.overflow_of_a_screen", LENGTH, "A" * 1920, "A"),
    _typed("3270.letters_into_a_number", DIGITS, "OR1", "0000012345", CUSTOMER),
    _typed("3270.foreign_letter", PAGE, "1 NEW ROAD €"),
    _typed("3270.look_alike_letter", PAGE, "1 NЕW ROAD"),
    Attack("3270.script_enter", "3270", QUOTES, presses('U1") Enter() String("1'), moves('U1 "Enter"')),
    Attack("3270.script_pf5", "3270", QUOTES, presses('") PF(3) String("'), moves("PF(3)")),
    Attack("3270.script_newline", "3270", QUOTES, presses("A\\nB"), moves("A\\nB")),
    Attack("3270.previous_customer", "3270", ECHO, stale(1), stale(0)),
    Attack("3270.forged_confirmation", "3270", BEFORE, unconfirmed("ADDRESS UPDATED", 1), unconfirmed("1 NEW ROAD", 0)),
    Attack("3270.lost_update", "3270", EXPECTED, overwrites("9 OTHER ROAD"), overwrites(None)),
    Attack("3270.password_field", "3270", HIDDEN, password("password", "PASS0001"), password("user", "FIGW01")),
    Attack(
        "3270.error_quotes_the_screen",
        "3270",
        SHAPES,
        error_shows("SMITH, ANN 1986", "SMITH"),
        error_shows("CONFIRM ADDRESS", "CONFIRM ADDRESS"),
    ),
    Attack("3270.moving_list", "3270", PAGES, listed(True, 1), listed(False, 0)),
)
