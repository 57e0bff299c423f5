"""The tools of the migration demo: commands run as a person would type them, the callers' answers, what was expected of both.

Knows nothing of stages: the story is demo_migration.py.
"""

from __future__ import annotations

import http.client
import json
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from wrapper import demo_traffic
from wrapper.children import CannotStart, child, pause
from wrapper.demo_traffic import Call
from wrapper.settings import Settings, as_environment
from wrapper.tour import WIDTH

COMMAND_SECONDS = 120.0
INDENT = "    "


class NotAsExpected(Exception):
    """What was expected and is not so; whatever would come after it builds on it."""


@dataclass(slots=True)
class Walk:
    """A facade that is served, and callers that ask it. `keys` are theirs by name."""

    settings: Settings
    address: tuple[str, int]
    folder: Path
    keys: Mapping[str, str] = field(repr=False)
    calls_file: Path
    scene: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def title(self, text: str) -> None:
        self.scene += 1
        first, *more = textwrap.wrap(text, WIDTH - 4)
        click.echo()
        for line in (f"{self.scene:2}. {first}", *(INDENT + line for line in more)):
            click.echo(click.style(line, bold=True))

    def say(self, text: str) -> None:
        """What happens, or what it means."""
        click.echo(textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))

    def expect(self, true: bool, what: str) -> None:
        """Tell it as it is. Raises NotAsExpected."""
        lead, colour = ("ok: ", "green") if true else ("NOT AS EXPECTED: ", "red")
        click.echo(click.style(textwrap.fill(lead + what, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT + "  "), fg=colour))
        if not true:
            raise NotAsExpected(what)

    def figway(self, *words: str, fails: bool = False, most: int = 12, shown: bool = True) -> str:
        """Run a command as a process of its own, as a person would; its output, of which at most so many lines are `shown`. Raises
        NotAsExpected when it ends otherwise."""
        if shown:
            typed = textwrap.wrap(
                "$ figway " + " ".join(map(_quoted, words)), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT + "    "
            )
            click.echo("\n".join(click.style(line, fg="cyan") for line in typed))
        code, text = self._ran(words)
        if bool(code) is not fails:
            self._show("\n".join(text.splitlines()[-most:]), most)
            self.expect(False, f"figway {' '.join(words[:2])} ends with {'an error' if fails else '0'}; it ended with {code}")
        elif shown:
            self._show(text, most)
        return text

    def _ran(self, words: tuple[str, ...]) -> tuple[int, str]:
        said = self.folder / "said"
        with said.open("wb") as out, ExitStack() as own:
            running = child("wrapper.cli", words, as_environment(self.settings), out, own)
            until = time.monotonic() + COMMAND_SECONDS
            while running.poll() is None:
                if time.monotonic() > until:
                    raise CannotStart(f"figway {words[0]} did not end in {COMMAND_SECONDS:g} seconds")
                pause(0.02)
        return running.returncode, said.read_text(encoding="utf-8", errors="replace").rstrip("\n")

    def _show(self, text: str, most: int) -> None:
        lines = text.splitlines()
        for line in lines if len(lines) <= most else [*lines[: most - 2], "...", lines[-1]]:
            hang = " " * (len(line) - len(line.lstrip()) + 2)
            for piece in textwrap.wrap(line, WIDTH - 6, subsequent_indent=hang, break_on_hyphens=False) or [""]:
                click.echo(click.style(f"{INDENT}  {piece}", dim=True))

    def calls(self, since: float = 0.0, consumer: str = "") -> list[Call]:
        return [call for call in demo_traffic.calls(self.calls_file, since) if consumer in ("", call.consumer)]

    def listen(self, seconds: float) -> list[Call]:
        """So long to what callers get from now on, told in a line for each of them."""
        began = time.monotonic()
        pause(seconds)
        heard = self.calls(began)
        for name in sorted({call.consumer for call in heard}, reverse=True):
            click.echo(f"{INDENT}  {name:12} {shares([call for call in heard if call.consumer == name])}")
        return heard

    def until(self, true: Callable[[], object], seconds: float) -> bool:
        """Whether it has come true in time."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            pause(0.1)
        return True

    def ask(self, customer: str, consumer: str, **headers: str) -> tuple[int, Mapping[str, str], Any]:
        """One call on a line of its own: status, headers (lower case), body."""
        sent = {"Authorization": f"Bearer {self.keys[consumer]}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return _exchange(self.address, "GET", demo_traffic.PATH.format(customer), None, sent)

    def switch(self, build: str, **differences: Any) -> None:
        """The modern service becomes another build, with these mistakes: through the door that it has for that."""
        to = urlsplit(self.settings.environ["ACCOUNTS_URL"])
        body = json.dumps({"build": build, "differences": differences})
        status, _, said = _exchange((str(to.hostname), int(to.port or 80)), "PUT", "/switches", body, {})
        if status != 200:
            raise CannotStart(f"the modern service can't be switched: {status} {said}")


def shares(calls: list[Call]) -> str:
    """Who has answered, in a line."""
    failed = sum(call.status == 0 or call.status >= 500 for call in calls)
    modern = sum(call.side == "modern" for call in calls)
    legacy = sum(call.side == "legacy" for call in calls)
    share = f" ({modern / len(calls):.0%})" if modern else ""
    return f"{len(calls)} answers: {legacy} from legacy, {modern} from modern{share}; {failed or 'no'} error{'s' if failed != 1 else ''}"


def _exchange(
    address: tuple[str, int], method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> tuple[int, Mapping[str, str], Any]:
    line = http.client.HTTPConnection(*address, timeout=demo_traffic.SECONDS)
    try:
        line.request(method, path, body, dict(headers))
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return 0, {}, {"title": f"no answer: {type(error).__name__}"}
    finally:
        line.close()


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
