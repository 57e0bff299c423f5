"""What an attack is made of: plain data, so that a family reads as a list.

A control is a place in our source, and what stands there when it is away. An attack must not get what it is after; its twin, which asks for
something of the same kind that one may have, must; and with the control away the attack must get it, too: then the control is what held.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.base import BadTarget
from adapters.errors import AdapterError
from adapters.odbc.sql import BadSql
from scoring.errors import ScoringError
from wrapper.catalogue.strict_yaml import BadYaml
from wrapper.problems import RequestError
from wrapper.settings import BadSettings

ROOT = Path(__file__).resolve().parents[2]
HOOK = Path(__file__).with_name("switched_off")
REFUSALS: tuple[type[Exception], ...] = (RequestError, AdapterError, BadYaml, BadSql, BadSettings, BadTarget, ScoringError, ValueError)
"""What our code says no with. Anything else that an attack meets is a fault of ours, or of the attack."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`text`, which `module` has exactly once, and what it says instead."""

    module: str
    text: str
    instead: str

    def file(self) -> Path:
        stem = ROOT / self.module.replace(".", "/")
        return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that is checked. More than one edit where two layers check the same."""

    name: str
    edits: tuple[Edit, ...]

    def environment(self) -> dict[str, str]:
        """For a process that is to run without it."""
        edits = [[edit.module, edit.text, edit.instead] for edit in self.edits]
        return {"FIGWAY_ATTACK_EDITS": json.dumps(edits), "PYTHONPATH": str(HOOK)}


def control(name: str, *edits: tuple[str, str, str]) -> Control:
    return Control(name, tuple(Edit(*edit) for edit in edits))


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether it got what it was after, and what was seen of that."""

    got: bool
    what: str


@dataclass(frozen=True, slots=True)
class Site:
    """A facade to be served: settings beside the demo's, and what is written into its copy of the catalogue, by file."""

    name: str = "demo"
    settings: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


DEMO = Site()


@dataclass(frozen=True, slots=True)
class Attack:
    """`attack` and `twin` are handed a tests.attack.served.Target where there is a `site`, else a folder of their own."""

    name: str
    family: str
    control: Control
    attack: Callable[[Any], Seen]
    twin: Callable[[Any], Seen]
    site: Site | None = None


def attempt(act: Callable[[Any], Seen], target: Any) -> Seen:
    """What came of it; a refusal is one."""
    try:
        return act(target)
    except REFUSALS as error:
        return Seen(False, f"{type(error).__name__}: {str(getattr(error, 'detail', error))[:90]}")


def slow(act: Callable[[], Any], most: float = 1.5) -> Seen:
    """Got when it takes longer than `most` seconds: then it is killed, for which it has a process of its own."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(theirs, attempt(lambda _: Seen(False, f"done: {act()!s:.30}"), None).what.encode()[:200])
        finally:
            os._exit(0)
    os.close(theirs)
    ended = bool(select.select([ours], [], [], most)[0])
    said = os.read(ours, 300).decode(errors="replace") if ended else "killed"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ours)
    return Seen(not ended, f"{said}, bound {most:g} s")


def quick(act: Callable[[], Any], most: float = 1.5) -> Seen:
    """The twin of slow(): done, and in time."""
    began = time.monotonic()
    said = act()
    took = time.monotonic() - began
    return Seen(took <= most, f"{took:.2f} s {said!s:.30}")


def same(met: Any, wanted: Any) -> Seen:
    """Got when what was met is what was wanted."""
    return Seen(met == wanted, f"{met!s:.80}")


def holds(met: Any, wanted: Any) -> Seen:
    """Got when `wanted` is in it."""
    return Seen(wanted in met, f"{met!s:.80}")
