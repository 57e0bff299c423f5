"""Plans against written-down screens: what is typed, what is waited for, what is believed. No terminal, no host, no time."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from adapters.errors import (
    AdapterError,
    BadLogon,
    Closed,
    DeadlineExceeded,
    Failed,
    Misread,
    Missing,
    OutcomeUnknown,
    PreconditionFailed,
    Refused,
    Unavailable,
    rules,
)
from adapters.tn3270 import definition
from adapters.tn3270.definition import Field, Graph
from adapters.tn3270.dialogue import Action, Press, Read, Stay, Type, Wait, typeable
from adapters.tn3270.plan import InUse, Outcome, question, sign_on, use
from adapters.tn3270.screen import Screen
from adapters.tn3270.target import Ask, Commit, Target
from tests.unit.test_tn3270_screen import paint

SCREENS = """
- {screen: SIGNON, identify: [{at: [1, 2], text: SGON}],
   fields: {user: {at: [8, 18], length: 8, input: true}, password: {at: [9, 18], length: 8, input: true, hidden: true},
            message: {at: [24, 2], length: 30}}}
- {screen: MENU, identify: [{at: [1, 2], text: MENU}], fields: {option: {at: [18, 18], length: 1, input: true}}}
- {screen: LIST, identify: [{at: [1, 2], text: LIST}], ready: {at: [24, 2], any: [END, MORE]},
   prompt: {at: [24, 2], any: [ENTER]}, reach: {from: MENU, type: {option: "2"}, press: enter}, leave: pf3, again: true,
   fields: {key: {at: [4, 18], length: 4, input: true}, other: {at: [5, 18], length: 4, input: true}, total: {at: [6, 18], length: 3},
            message: {at: [24, 2], length: 30}},
   table: {rows: [8, 10], columns: {id: {at: 4, length: 2}, text: {at: 8, length: 5}}, next: pf8, count: total,
           last_when: {field: message, matches: END}}}
- {screen: CONFIRM, identify: [{at: [1, 2], text: CONF}], reach: {from: LIST, press: enter}, leave: pf3,
   fields: {key: {at: [4, 18], length: 4}, message: {at: [24, 2], length: 30}}}
- {screen: NEWS, identify: [{at: [1, 2], text: NEWS}]}
- {screen: ABEND, identify: [{at: [1, 2], text: ABND}]}
- {screen: CLOSED, identify: [{at: [1, 2], text: CLSD}]}
"""
LOGON = """
home: MENU
path: {SIGNON: {type: {user: "{user}", password: "{password}"}, press: enter}}
refused: {SIGNON: {message: [NOT VALID]}}
busy: {SIGNON: {message: [ALREADY]}}
interrupts: {NEWS: {press: enter}}
lost: {ABEND: failed, CLOSED: closed}
logoff: {screen: MENU, type: {option: X}, press: enter}
"""
GRAPH = Graph({s["screen"]: definition.screen(s) for s in yaml.safe_load(SCREENS)}, definition.logon(yaml.safe_load(LOGON)))
RULES = rules({"errors": {"not_found": {"when": {"message": "NOT FOUND"}, "status": 404}}})

MENU = paint({(1, 2): "MENU", (18, 18): "_ "})
OPTED = paint({(1, 2): "MENU", (18, 18): "_2"})
NEWS, ABEND, CLOSED, UNKNOWN = (paint({(1, 2): name}) for name in ("NEWS", "ABND", "CLSD", "J7XX"))
LATE, SILENCE = DeadlineExceeded("late"), DeadlineExceeded("silent")
Step = tuple[Action, Screen | AdapterError]


def listing(key: str, message: str, *ids: str, other: str = "", total: str = "") -> Screen:
    texts = {(1, 2): "LIST", (4, 18): f"_{key:_<4}", (5, 18): f"_{other:_<4}", (6, 18): total, (24, 2): message}
    return paint({**texts, **{(8 + n, 4): one for n, one in enumerate(ids)}})


def confirming(key: str, message: str = "PF5") -> Screen:
    return paint({(1, 2): "CONF", (4, 18): key, (24, 2): message})


def typing(*entries: tuple[int, int, str]) -> Type:
    return Type(entries)


FORM = listing("", "ENTER KEY")
TYPED = listing("1234", "ENTER KEY")
KEYED = typing((4, 18, "1234"))
ASKED: list[Step] = [(KEYED, TYPED)]
REACHED: list[Step] = [(typing((18, 18, "2")), OPTED), (Press("enter"), FORM), *ASKED]


def walk(plan: Generator[Action, Screen, Any], steps: list[Step]) -> Any:
    """Run a plan against a script: every action must be the one expected, and is answered by its screen or error."""
    left = list(steps)
    try:
        action = next(plan)
        while True:
            assert left, f"nothing was expected after the script, met {action}"
            expected, answer = left.pop(0)
            assert action == expected, f"expected {expected}, met {action}"
            action = plan.throw(answer) if isinstance(answer, AdapterError) else plan.send(answer)
    except StopIteration as end:
        assert not left, f"not reached: {left[0][0]}"
        return end.value


def target(*, pages: int = 0, commit: bool = False, expect: Mapping[str, str] | None = None) -> Target:
    return Target(
        graph=GRAPH,
        screen="LIST",
        find=None,
        ask=Ask(definition.texts({"key": "{id}"}), "enter"),
        echo=definition.texts({"key": "{id}"}),
        expect=definition.texts(expect or {}),
        max_pages=pages,
        commit=Commit("CONFIRM", "pf5", "DONE") if commit else None,
        errors=RULES,
    )


def ask(steps: list[Step], *, start: Screen = MENU, what: Target | None = None, **params: Any) -> Outcome:
    what = what or target()
    outcome: Outcome = walk(use(what, question(what, {"id": "1234", **params}, "cp037"), start), steps)
    return outcome


def fails(steps: list[Step], kind: type[AdapterError], *, start: Screen = MENU, what: Target | None = None, **params: Any) -> AdapterError:
    with pytest.raises(AdapterError) as met:
        ask(steps, start=start, what=what, **params)
    assert type(met.value) is kind
    return met.value


def test_an_enquiry_walks_the_graph_types_reads_back_presses_and_rests_where_it_may_be_asked_again() -> None:
    outcome = ask([*REACHED, (Press("enter"), listing("1234", "END", total="0"))])
    assert outcome.records == ({"key": "1234", "other": None, "total": "0", "message": "END"},)
    assert outcome.clean


def test_asked_again_it_takes_three_turns_less() -> None:
    before = listing("9999", "END", "01")
    typed = listing("1234", "END", "01")
    ask([(KEYED, typed), (Press("enter"), listing("1234", "END", "02"))], start=before)


def test_an_unlocked_screen_that_still_looks_as_it_was_sent_is_not_an_answer() -> None:
    """The host unlocks early: rows of another customer stand under the number that we have typed ourselves."""
    typed = listing("1234", "END", "66")
    outcome = ask(
        [(KEYED, typed), (Press("enter"), typed), (Wait(False), listing("1234", "END", "02"))], start=listing("9999", "END", "66")
    )
    assert outcome.records[0]["key"] == "1234"
    assert (
        type(fails([(KEYED, typed), (Press("enter"), typed), (Wait(False), LATE)], Misread, start=listing("9999", "END", "66"))) is Misread
    )


def test_the_same_question_again_may_get_the_same_answer_once_the_mark_of_typing_is_gone() -> None:
    same = listing("1234", "END", "01")
    marked = replace(same, attributes=tuple((cell, byte | 1) for cell, byte in same.attributes))
    ask([(KEYED, marked), (Press("enter"), marked), (Wait(False), same)], start=same)
    ask([(KEYED, marked), (Press("enter"), marked)], start=marked)


def test_a_title_is_not_enough_and_a_locked_keyboard_is_waited_for() -> None:
    header, answer = listing("1234", ""), listing("1234", "END")
    locked = paint({(1, 2): "LIST"}, locked=True)
    ask([*REACHED, (Press("enter"), locked), (Wait(True), header), (Wait(False), answer)])
    assert fails([*REACHED, (Press("enter"), header), (Wait(False), SILENCE)], DeadlineExceeded).spoils
    fails([*REACHED, (Press("enter"), locked), (Wait(True), SILENCE)], DeadlineExceeded)


def test_typing_waits_for_the_forms_prompt() -> None:
    bare = listing("", "")
    ask([REACHED[0], (Press("enter"), bare), (Wait(False), FORM), *ASKED, (Press("enter"), listing("1234", "END"))])


@pytest.mark.parametrize(
    "shown",
    [listing("123", "ENTER KEY"), listing("1234", "ENTER KEY", other="4"), MENU],
    ids=["cut short", "spilt into the next field", "another screen"],
)
def test_what_was_typed_must_stand_there_and_nowhere_else_before_a_key_is_pressed(shown: Screen) -> None:
    assert "does not show what was typed" in fails([*REACHED[:-1], (KEYED, shown)], Misread).detail


def test_a_field_that_the_host_protects_or_cuts_short_is_not_typed_into() -> None:
    short = paint({(1, 2): "LIST", (4, 18): "___", (5, 18): "_____", (24, 2): "ENTER"})
    assert "only 2 long" in fails([*REACHED[:-2], (Press("enter"), short)], Misread).detail
    shut = paint({(1, 2): "LIST", (5, 18): "_____", (24, 2): "ENTER"})
    assert "protected" in fails([*REACHED[:-2], (Press("enter"), shut)], Misread).detail


def test_another_customers_answer_is_misread_even_when_it_is_an_error() -> None:
    for message in ("END", "NOT FOUND"):
        error = fails([*REACHED, (Press("enter"), listing("5678", message))], Misread)
        assert error.spoils
        assert "5678" not in error.detail


def test_a_rules_error_goes_home_first_and_keeps_the_session() -> None:
    said = listing("1234", "KEY NOT FOUND")
    assert not fails([*REACHED, (Press("enter"), said), (Press("pf3"), MENU)], Missing).spoils
    assert fails([*REACHED, (Press("enter"), said), (Press("pf3"), LATE)], Missing).spoils


def test_interruptions_are_pressed_away_once_each_wherever_they_come() -> None:
    answer: Step = (Press("enter"), listing("1234", "END"))
    ask([(Press("enter"), MENU), *REACHED, answer], start=NEWS)
    ask([*REACHED, (Press("enter"), NEWS), answer])
    ask([*REACHED, (Press("enter"), NEWS), (Press("enter"), NEWS), (Wait(False), listing("1234", "END"))])


def test_the_end_of_the_session_is_an_error_wherever_it_comes() -> None:
    assert fails([*REACHED, (Press("enter"), ABEND)], Failed).spoils
    assert fails([], Closed, start=CLOSED).spoils


def test_an_unknown_screen_is_told_by_shape_when_the_time_is_up() -> None:
    error = fails([*REACHED, (Press("enter"), UNKNOWN), (Wait(False), LATE)], Misread)
    assert error.detail == "unknown screen: LIST has 'LIST' at [1, 2], met 'A9AA'"


def test_an_edge_that_leads_elsewhere_is_misread() -> None:
    again = paint({(1, 2): "MENU", (18, 18): "_ ", (24, 2): "NOT AUTHORISED"})
    assert fails([REACHED[0], (Press("enter"), again)], Misread).detail == "expected screen LIST, met MENU"


def test_a_session_that_has_strayed_comes_back_by_leaving() -> None:
    ask([(Press("pf3"), MENU), *REACHED, (Press("enter"), listing("1234", "END"))], start=confirming("1"))


TABLE = target(pages=3)


def paged(*pages: Screen) -> list[Step]:
    keys = ["enter", *["pf8"] * len(pages)]
    return [*REACHED, *((Press(key), page) for key, page in zip(keys, pages, strict=False))]


def test_pages_are_collected_until_the_last() -> None:
    pages = paged(listing("1234", "MORE", "01", "02"), listing("1234", "END", "03", total="3"))
    two = ask(pages, what=TABLE)
    assert ([r["id"] for r in two.records], two.pages) == (["01", "02", "03"], 2)
    none = ask(paged(listing("1234", "END", total="0")), what=TABLE)
    assert (none.records, none.pages) == ((), 1)


FIRST = listing("1234", "MORE", "01", "02")
LATER = listing("1234", "MORE", "03")


@pytest.mark.parametrize(
    ("pages", "detail"),
    [
        ([FIRST, listing("1234", "END", "02", "03", total="4")], "came twice"),
        ([FIRST, listing("1234", "END", "04", "03", total="4")], "not ascending"),
        ([FIRST, listing("5678", "END", "03", total="3")], "does not show what was asked for"),
        ([FIRST, listing("1234", "END", "03", total="4")], "'total' says otherwise"),
        ([FIRST, listing("1234", "END", "03", total="?")], "'total' says otherwise"),
        ([FIRST, LATER, listing("1234", "MORE", "04"), listing("1234", "END", "05", total="5")], "more than 3 pages"),
        ([paint({(1, 2): "LIST", (4, 18): "_1234", (24, 2): "END", (8, 8): "X"})], "has no 'id'"),
    ],
)
def test_a_list_that_is_not_whole_and_in_order_is_misread(pages: list[Screen], detail: str) -> None:
    assert detail in fails(paged(*pages), Misread, what=TABLE).detail


def test_a_page_that_does_not_turn_is_misread() -> None:
    assert "still the same" in fails([*paged(FIRST, FIRST), (Wait(False), LATE)], Misread, what=TABLE).detail


WRITE = target(commit=True, expect={"key": "{old}"})
CONFIRMED: list[Step] = [*REACHED, (Press("enter"), confirming("1234"))]


def test_a_write_is_confirmed_and_goes_home() -> None:
    done = confirming("1234", "DONE")
    outcome = ask([*CONFIRMED, (Press("pf5"), done), (Press("pf3"), MENU)], what=WRITE)
    assert outcome.records == ({"key": "1234", "message": "DONE"},)
    assert outcome.clean
    assert not ask([*CONFIRMED, (Press("pf5"), done), (Press("pf3"), LATE)], what=WRITE).clean


def test_a_failed_expectation_commits_nothing_and_keeps_the_session() -> None:
    assert not fails([*CONFIRMED, (Press("pf3"), MENU)], PreconditionFailed, what=WRITE, old="5").spoils


@pytest.mark.parametrize(
    "after",
    [LATE, Unavailable("gone"), ABEND, CLOSED, MENU, confirming("1234", "PERHAPS"), confirming("1234", "dONE"), confirming("9", "DONE")],
    ids=["late", "gone", "abend", "closed", "elsewhere", "unclear", "other case", "of another"],
)
def test_after_the_commit_key_whatever_is_not_a_clear_answer_is_unknown(after: Screen | AdapterError) -> None:
    assert fails([*CONFIRMED, (Press("pf5"), after)], OutcomeUnknown, what=WRITE).spoils


def test_a_confirmation_that_was_there_before_the_commit_key_is_misread_and_the_key_not_pressed() -> None:
    fails([*REACHED, (Press("enter"), confirming("1234", "DONE"))], Misread, what=WRITE)


def test_after_the_commit_key_a_rule_is_a_clear_answer() -> None:
    steps: list[Step] = [*CONFIRMED, (Press("pf5"), confirming("1234", "KEY NOT FOUND")), (Press("pf3"), MENU)]
    fails(steps, Missing, what=WRITE)


def test_an_error_before_the_commit_key_is_only_itself() -> None:
    fails([*REACHED, (Press("enter"), LATE)], DeadlineExceeded, what=WRITE)


SIGNON = paint({(1, 2): "SGON", (8, 18): "_________", (9, 18): "_________"})
SIGNED = paint({(1, 2): "SGON", (8, 18): "_ANNA____", (9, 18): "_SECRET__"})
CREDENTIAL: list[Step] = [(Read(), SIGNON), (Stay(), SIGNON), (typing((8, 18, "ANNA"), (9, 18, "SECRET")), SIGNED)]


def signing(steps: list[Step]) -> None:
    walk(sign_on(GRAPH, "ANNA", "SECRET", "cp037"), steps)


def turned_away(message: str) -> Step:
    return Press("enter"), paint({(1, 2): "SGON", (8, 18): "_ANNA____", (9, 18): "_________", (24, 2): message})


def test_sign_on_ends_at_home() -> None:
    signing([*CREDENTIAL, (Press("enter"), NEWS), (Press("enter"), MENU)])
    signing([(Read(), paint({}, locked=True)), (Wait(True), SIGNON), *CREDENTIAL[1:], (Press("enter"), MENU)])


@pytest.mark.parametrize(("message", "kind"), [("PASSWORD NOT VALID", BadLogon), ("ALREADY SIGNED ON", InUse), ("SOMETHING NEW", BadLogon)])
def test_a_credential_is_typed_once_whatever_the_host_says(message: str, kind: type[AdapterError]) -> None:
    with pytest.raises(kind) as met:
        signing([*CREDENTIAL, turned_away(message)])
    assert "SECRET" not in str(met.value)


def test_actions_do_not_show_what_they_type() -> None:
    assert "SECRET" not in repr(CREDENTIAL[2][0])


@pytest.mark.parametrize(
    ("text", "numeric", "fits"),
    [("1234567890", True, True), ("12345678901", True, False), ("-1.5", True, True), ("12A", True, False), ("", False, True),
     ('"\\n)', False, True), ("MÜLLER [^", False, True), ("€", False, False), ("\n", False, False), ("\x7f", False, False),
     ("\x85", False, False), ("\xad", False, False), ("日", False, False)],
)  # fmt: skip
def test_a_value_fits_its_field_or_is_refused_without_being_shown(text: str, numeric: bool, fits: bool) -> None:
    field = Field("amount", 1, 2, 10, input=True, numeric=numeric)
    if fits:
        assert typeable(field, text, "cp037") == text
        return
    with pytest.raises(Refused) as met:
        typeable(field, text, "cp037")
    assert "amount" in met.value.detail
    assert text not in met.value.detail


def test_the_euro_sign_is_typed_where_the_code_page_has_it() -> None:
    assert typeable(Field("name", 1, 2, 10), "€", "cp1140") == "€"
