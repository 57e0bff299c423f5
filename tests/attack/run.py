"""Runs attacks, each three ways (whole, its twin, without its control), and says what came of it."""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from fixtures.estate import Estate
from tests.attack.parts import ROOT, Attack, Control, Seen, Site, attempt
from tests.attack.served import Target, served
from tests.attack.suite import MODULES

Way = Literal["attack", "twin", "bare"]
WAYS: tuple[Way, ...] = ("attack", "twin", "bare")
PLACES = 2
CHILD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Job:
    """Attacks that share a process: at this site or none, without this control or whole."""

    site: Site | None
    without: Control | None
    attacks: tuple[Attack, ...]


@dataclass(slots=True)
class Met:
    """What was seen of one attack, by way; `faults` are what should not have come at all."""

    seen: dict[Way, Seen] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def deviations(self) -> list[str]:
        """What was expected and met, where they differ."""
        wrong = list(self.faults)
        for way, got, expected in (
            ("attack", False, "refused"),
            ("twin", True, "the twin gets what it asks for"),
            ("bare", True, "without its control the attack succeeds"),
        ):
            met = self.seen.get(way)  # type: ignore[call-overload]
            if met is None or met.got != got:
                wrong.append(f"expected: {expected}; met: {'nothing' if met is None else met.what}")
        return wrong


def jobs(attacks: Iterable[Attack]) -> list[Job]:
    """Sites first: they take longest."""
    made = []
    for whole in (True, False):
        key = _site if whole else _control
        for _, group in groupby(sorted(attacks, key=key), key):
            those = tuple(group)
            made.append(Job(those[0].site, None if whole else those[0].control, those))
    return sorted(made, key=lambda job: job.site is None)


def _site(attack: Attack) -> tuple[str, str]:
    return ("", MODULES[attack.name]) if attack.site is None else (attack.site.name, "")


def _control(attack: Attack) -> tuple[str, str]:
    return (MODULES[attack.name] if attack.site is None else attack.site.name, attack.control.name)


def run(attacks: Sequence[Attack], say: Callable[[str], None], places: int = PLACES) -> bool:
    """Whether all were refused, their twins not, and all succeed without their controls."""
    began, met = time.monotonic(), {attack.name: Met() for attack in attacks}
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs(attacks):
        waiting.put(job)
    threads = [threading.Thread(target=_work, args=(waiting, met)) for _ in range(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _told(attacks, met, say, time.monotonic() - began)


def _work(waiting: queue.SimpleQueue[Job], met: dict[str, Met]) -> None:
    """Jobs until there is none; an estate of its own from the first served one on."""
    with ExitStack() as up:
        estate: Estate | None = None
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                if job.site is None:
                    _alone(job, met)
                    continue
                if estate is None:
                    estate, settings = (made := Estate()), up.enter_context(made)
                with (
                    tempfile.TemporaryDirectory(prefix="figway-attack-") as folder,
                    served(job.site, job.without, estate, settings, Path(folder)) as target,
                ):
                    _over_the_wire(job, target, met)
            except Exception as error:  # noqa: BLE001 - told with each attack of it
                _failed(job, met, f"{type(error).__name__}: {str(error)[-300:]}")


def _over_the_wire(job: Job, target: Target, met: dict[str, Met]) -> None:
    for attack in job.attacks:
        for way, act in (("bare", attack.attack),) if job.without else (("attack", attack.attack), ("twin", attack.twin)):
            try:
                met[attack.name].seen[way] = attempt(act, target)  # type: ignore[index]
            except Exception as error:  # noqa: BLE001
                met[attack.name].faults.append(f"{way}: {type(error).__name__}: {error}")


def _alone(job: Job, met: dict[str, Met]) -> None:
    for way, which in (("bare", "attack"),) if job.without else (("attack", "attack"), ("twin", "twin")):
        environ = {**os.environ, **(job.without.environment() if job.without else {})}
        argv = [sys.executable, "-m", "tests.attack.child", which, MODULES[job.attacks[0].name], *(attack.name for attack in job.attacks)]
        ended = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=CHILD_SECONDS)
        for line in ended.stdout.splitlines():
            told = json.loads(line)
            if "fault" in told:
                met[told["name"]].faults.append(f"{way}: {told['fault']}")
            else:
                met[told["name"]].seen[way] = Seen(told["got"], told["what"])  # type: ignore[index]
        if ended.returncode:
            _failed(job, met, ended.stderr[-300:])


def _failed(job: Job, met: dict[str, Met], why: str) -> None:
    for attack in job.attacks:
        met[attack.name].faults.append(f"{'without its control' if job.without else 'whole'}: {why}")


def _told(attacks: Sequence[Attack], met: dict[str, Met], say: Callable[[str], None], took: float) -> bool:
    good: Counter[str] = Counter()
    for attack in attacks:
        wrong = met[attack.name].deviations()
        if wrong:
            say(f"{attack.name}: NOT AS IT SHOULD BE ({attack.control.name})")
            for line in wrong:
                say(f"    {line}")
            continue
        good[attack.family] += 1
        seen = met[attack.name].seen
        say(f"{attack.name}: refused ({_line(seen['attack'])}); twin ok; without '{attack.control.name}': {_line(seen['bare'])}")
    say("")
    for name, number in Counter(attack.family for attack in attacks).items():
        say(f"{name:28} {good[name]:3} of {number:3}")
    say(f"in {took:.0f} s")
    say(f"attacks: {good.total()} of {len(attacks)} refused")
    return good.total() == len(attacks)


def _line(seen: Seen) -> str:
    return " ".join(seen.what.split())[:90]


def some(attacks: Sequence[Attack], seed: int, controls: int = 5, each: int = 2) -> list[Attack]:
    """A slice: of so many families in turn a control with some of its attacks, and of one more that needs a server."""
    dice = random.Random(seed)
    chosen: list[Attack] = []
    for over_the_wire, many in ((False, controls), (True, 1)):
        fit = [attack for attack in attacks if (attack.site is not None) is over_the_wire]
        families = list(dict.fromkeys(attack.family for attack in fit))
        for n in range(min(many, len(families))):
            of = [attack for attack in fit if attack.family == families[(seed * many + n) % len(families)]]
            control = dice.choice(of).control
            chosen += [attack for attack in of if attack.control == control][:each]
    return chosen
