"""The operators' page, held against the code: every metric with its labels, every event of the log, every command that it names."""

from __future__ import annotations

import re

import click
import pytest

from tests.live import ROOT
from wrapper.catalogue import strict_yaml
from wrapper.cli import figway
from wrapper.metrics import HAPPENED, LEVELS, TOOK, Metrics

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TABLE = dict(re.findall(r"^\| `(figway_\w+)` \|([^|]*)\|", PAGE, re.M))
RULES = re.search(r"```yaml\n# prometheus rules\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """Each metric with its labels, after each has been used once."""
    counted = Metrics()
    counted.request("customer", "legacy", 200, 0.1)
    counted.call("core", "customer", "legacy", "ok", 0.1, 0.5)
    counted.decided("m@1", "accepted")
    counted.census({"published": 1}, 0, 0.0, 0, {"pending": 1})
    for name in HAPPENED:
        counted.happened(name, "core")
    for name in LEVELS:
        counted.level(name, "core", 1)
    for name in TOOK:
        counted.took(name, "core", 1)
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(figway_\w+?)(?:_created|_bucket|_sum|_count)?(?:\{(.*)\})? \S+$", counted.page()[0].decode(), re.M):
        found.setdefault(name, set()).update(set(re.findall(r"(\w+)=", labels)) - {"le"})
    return {name: labels for name, labels in found.items() if f"{name}_total" not in found}


def test_every_metric_is_in_the_table_with_its_labels(series: dict[str, set[str]]) -> None:
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in TABLE.items()} == series


def test_the_alerts_are_yaml_over_metrics_that_there_are(series: dict[str, set[str]]) -> None:
    assert RULES is not None
    rules = strict_yaml.parse(RULES[1].encode(), "rules").value["groups"][0]["rules"]
    for rule in rules:
        names = {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"figway_\w+", rule["expr"])}
        assert names, rule
        assert names <= series.keys(), rule
        assert f"`{rule['alert']}`" in PAGE or rule["alert"] in ("FigwayNearDeadline", "FigwayLogDropped")


def test_every_event_of_the_log_is_on_the_page() -> None:
    told = {
        name
        for file in (ROOT / "wrapper").rglob("*.py")
        for name in re.findall(r"""(?:log\.get\(\)\.\w+|say|_apart)\(\s*"([a-z ]+)\"""", file.read_text(encoding="utf-8"))
    }
    assert {"request", "backend", "job", "catalogue"} < told
    assert {name for name in told if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("words", sorted(set(re.findall(r"`figway ((?:[a-z]+(?:-[a-z]+)* ?)+)", PAGE))))
def test_every_command_on_the_page_is_one(words: str) -> None:
    command: click.Command = figway
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
