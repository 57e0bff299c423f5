"""The page about identity: its commands are commands, with these options. Its programs run in tests/flow/test_oauth.py."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from tests.live import ROOT
from wrapper.cli import figway

PAGE = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`figway ([^`]+)`", PAGE))))
def test_every_command_on_the_page_is_one_and_has_these_options(line: str) -> None:
    command: click.Command = figway
    words = shlex.split(line)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    has = {option for param in command.params for option in param.opts}
    assert {word for word in words if word.startswith("--")} <= has
