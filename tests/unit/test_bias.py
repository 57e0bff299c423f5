"""Whether groups are treated alike, measured: the numbers, what is judged, and the page that shows it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from scoring.bias import Group, Share, groups
from wrapper.cli import figway

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model-bias.md").read_text(encoding="utf-8")


def people(name: str, declined_bad: int, approved_bad: int, declined_good: int, approved_good: int) -> list[tuple[str, float, bool]]:
    return [
        *[(name, 0.9, True)] * declined_bad, *[(name, 0.1, True)] * approved_bad,
        *[(name, 0.9, False)] * declined_good, *[(name, 0.1, False)] * approved_good,
    ]  # fmt: skip


def measured(*everybody: list[tuple[str, float, bool]]) -> dict[str, Group]:
    names, scores, bad = zip(*(one for each in everybody for one in each), strict=True)
    return {group.name: group for group in groups(names, scores, bad, 0.5)}


def test_rates_ratio_and_calibration_are_counted_by_group() -> None:
    found = measured(people("north", 20, 10, 10, 60), people("south", 30, 10, 40, 20))
    north, south = found["north"], found["south"]
    assert (north.approved, north.true_positives, north.false_positives, north.bad) == (
        Share(70, 100), Share(20, 30), Share(10, 70), Share(30, 100),
    )  # fmt: skip
    assert (north.ratio, north.ratio_interval) == (1.0, (1.0, 1.0))
    assert south.ratio == pytest.approx(30 / 70)
    assert south.mean_score == pytest.approx(0.66)
    assert south.findings == ("approved less than four fifths as often", "the scores are too high")
    assert north.findings == ()


def test_intervals_are_wilsons_and_katzs() -> None:
    assert Share(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Share(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share(0, 0).interval is None
    south = measured(people("north", 20, 10, 10, 60), people("south", 30, 10, 40, 20))["south"]
    assert south.ratio_interval == pytest.approx((0.30943, 0.59359), abs=1e-5)


def test_a_group_that_is_too_small_is_shown_and_not_judged_and_no_other_is_held_against_it() -> None:
    found = measured(people("many", 20, 10, 10, 60), people("few", 0, 9, 0, 100))
    assert found["few"].approved.value == 1.0
    assert (found["few"].ratio, found["few"].judged) == (None, False)
    assert "too small to judge" in found["few"].findings[0]
    assert found["many"].ratio == 1.0


def test_nobody_approved_is_a_ratio_of_nought() -> None:
    found = measured(people("north", 20, 10, 10, 60), people("south", 20, 0, 20, 0))
    assert found["south"].ratio == 0.0


def test_the_page_shows_what_the_command_prints() -> None:
    shown = re.search(r"^\$ \./figway ([^\n]*)\n(.*?)^```", PAGE, re.M | re.S)
    assert shown is not None
    words = [word.replace("fixtures/", f"{ROOT}/fixtures/") for word in shlex.split(shown[1])]
    catalogue = ["--catalogue", str(ROOT / "fixtures" / "catalogue")]
    done = CliRunner().invoke(figway, [*words, *catalogue])
    assert done.output == shown[2]
    told = json.loads(CliRunner().invoke(figway, [*words, *catalogue, "--json"]).output)
    young = told["groups"]["age"]["below 25"]
    assert (told["rows"], young["n"], young["ratio"]["value"]) == (1113, 147, pytest.approx(0.756, abs=0.001))
    assert told["groups"]["marital"]["widow"]["judged"] is False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--by", "height"], "the model has no feature height"),
        (["--by", "age:x"], "bands are written like"),
        (["--outcome", "Ends=bad"], "the data have no column Ends"),
    ],
)
def test_what_is_not_there_is_told(change: list[str], said: str) -> None:
    words = ["model", "bias", "default-risk@1", "--data", str(ROOT / "fixtures/data/credit_data.csv"), "--decision", "0.5", "--unseen", "7"]
    words += ["--catalogue", str(ROOT / "fixtures/catalogue"), "--outcome", "Status=bad", "--by", "marital"]
    done = CliRunner().invoke(figway, [*words, *change])
    assert done.exit_code != 0
    assert said in done.output
