"""A seeded slice of `make attack`, through the same code; and whether each control is where the suite says."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests import needs
from tests.attack.parts import ROOT, Edit, Seen
from tests.attack.run import Met, run, some
from tests.attack.suite import ATTACKS

SEED = 3


def test_a_slice_of_the_attacks_is_refused_and_succeeds_without_its_control() -> None:
    needs.program("s3270")
    told: list[str] = []
    chosen = some(ATTACKS, SEED)
    assert run(chosen, told.append), "\n".join(told)
    assert told[-1] == f"attacks: {len(chosen)} of {len(chosen)} refused"


@pytest.mark.parametrize(
    "edit", {edit: None for attack in ATTACKS for edit in attack.control.edits}, ids=lambda edit: f"{edit.module} {edit.text[:40]}"
)
def test_a_control_is_in_its_module_once(edit: Edit) -> None:
    assert edit.file().read_text().count(edit.text) == 1


def test_there_are_so_many_as_the_issue_asks_for_and_every_family_has_a_turn() -> None:
    families = {attack.family for seed in range(40) for attack in some(ATTACKS, seed)}
    assert families == {attack.family for attack in ATTACKS}
    assert len(ATTACKS) >= 150
    assert max(Counter(attack.name for attack in ATTACKS).values()) == 1


def test_the_attacks_that_the_page_about_security_names_are_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    shown_by = [line.split(" | ")[4] for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    named = {name for cell in shown_by for name in re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", cell)}
    assert len(named) > 50
    assert named <= {attack.name for attack in ATTACKS}


def test_an_attack_that_gets_through_a_twin_that_does_not_and_a_control_that_is_none_are_told_of() -> None:
    right = {"attack": Seen(False, "403"), "twin": Seen(True, "200"), "bare": Seen(True, "200")}
    assert Met(right).deviations() == []
    for way, other in (("attack", Seen(True, "through")), ("twin", Seen(False, "not through")), ("bare", Seen(False, "held all the same"))):
        [told] = Met({**right, way: other}).deviations()
        assert told.endswith(other.what)
    assert len(Met({}, ["it broke"]).deviations()) == 4
