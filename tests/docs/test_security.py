"""The pages about security and incidents, held against the code: files, tests, commands, metrics, alerts and settings that they name are
there, and the tables by framework are the table of controls turned round. The attacks are looked at in tests/attack.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping

import click
import pytest

from tests.live import ROOT
from wrapper.cli import figway
from wrapper.settings import NAMES

PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("security.md", "incident-runbook.md")}
BOTH = "\n".join(PAGES.values())
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGES["security.md"].splitlines() if re.match(r"\| \d+ \|", line)
]
FRAMEWORKS = {
    "OWASP API": [str(n) for n in range(1, 11)],
    "SOC 2": [*(f"CC6.{n}" for n in range(1, 9)), *(f"CC7.{n}" for n in range(1, 6)), "CC8.1"],
    "GDPR": ["5", "15", "17", "22", "25", "30", "32", "33"],
    "HIPAA": ["308(a)(1)(ii)(D)", *(f"312({letter})" for letter in "abcde")],
    "EU AI Act": ["9", "10", "11", "12", "13", "14", "15", "26", "86"],
}
"""In the order of their columns, with what each has to have a row of."""


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def listed(cell: str) -> list[str]:
    return [each for each in cell.split(", ") if each]


def test_the_controls_are_numbered() -> None:
    assert [row[0] for row in ROWS] == [str(n) for n in range(1, len(ROWS) + 1)]
    assert {len(row) for row in ROWS} == {5 + len(FRAMEWORKS)}


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_where_a_control_is_and_the_test_that_shows_it_are_there(row: list[str]) -> None:
    where, tests = named(row[3]), [each for each in named(row[4]) if "/" in each]
    assert where
    assert tests
    assert [path for path in where if not (ROOT / path).is_file()] == []
    for node in tests:
        file, _, test = node.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), node


@pytest.mark.parametrize(("column", "framework"), [*enumerate(FRAMEWORKS, 5)])
def test_a_framework_has_the_controls_that_name_it(column: int, framework: str) -> None:
    controls: Mapping[str, list[str]] = defaultdict(list)
    for row in ROWS:
        for article in listed(row[column]):
            controls[article].append(row[0])
    section = re.search(rf"^### {framework}.*?$(.*?)^##", PAGES["security.md"], re.M | re.S)
    assert section is not None
    said = {
        first.removeprefix("API"): listed(numbers)
        for first, numbers in re.findall(r"^\| (\S*\d\S*) [^|]*\| ([^|]*?) ?\|", section[1], re.M)
    }
    assert said == {article: controls[article] for article in FRAMEWORKS[framework]}
    assert set(controls) <= set(FRAMEWORKS[framework])


def commands() -> Iterator[str]:
    """What is typed, from code spans and consoles, as far as it is a command of ours."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", BOTH, flags=re.M | re.S)) + re.findall(r"^\$ (.*)$", BOTH, re.M)
    for span in spans:
        for part in re.split(r"\s*(?:\\?\||;|<|2>)", span):
            if found := re.search(r"(?:^|\s)figway ([a-z].*)", part):
                yield found[1]


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_is_one_and_takes_what_it_is_given(line: str) -> None:
    command: click.Command = figway
    words = shlex.split(line)
    while isinstance(command, click.Group) and words:
        command = command.commands[words.pop(0)]
    given, beyond, _ = command.make_parser(click.Context(command)).parse_args([*words])
    assert beyond == []
    if words:  # else it is only spoken of
        missing = [
            param.name for param in command.params if param.required and not isinstance(given.get(str(param.name)), str | tuple | list)
        ]
        assert missing == []


def test_metrics_and_alerts_are_those_of_the_operators_page() -> None:
    metrics = set(re.findall(r"^\| `(figway_\w+)`", OPERATIONS, re.M))
    assert set(re.findall(r"\bfigway_\w+", BOTH)) <= metrics
    alerts = set(re.findall(r"- alert: (\w+)", OPERATIONS))
    assert set(re.findall(r"\bFigway[A-Z]\w+", BOTH)) <= alerts


def test_settings_and_targets_of_make_are_there() -> None:
    settings = {f"FIGWAY_{name.upper()}" for name in NAMES}
    assert set(re.findall(r"\bFIGWAY_\w+", BOTH)) <= settings
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"`make (\w+)", BOTH)) <= targets


@pytest.mark.parametrize("name", list(PAGES))
def test_every_link_leads_somewhere(name: str) -> None:
    for file, part in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", PAGES[name]):
        text = (ROOT / "docs" / (file or name)).read_text(encoding="utf-8")
        headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)}
        assert not part or part in headings, f"{file}#{part}"
