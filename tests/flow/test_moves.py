"""How soon a move is one, on four workers under load, with a cache: a second after the command at most. What a SIGKILL loses: nothing."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flow.moved import MOST, WORKERS, Moved, moving
from tests.waiting import until
from wrapper.migration.decide import Standing
from wrapper.migration.facts import NOTHING, Facts

Told = Callable[[str, object], None]
HALF = Standing("canary", Decimal("0.5"))
WHY = ("--why", "drill")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    with moving(tmp_path_factory.mktemp("moved")) as rig:
        until(lambda: len(rig.facade.children_of("gunicorn")) > WORKERS)
        yield rig


def test_after_a_kill_modern_answers_for_a_second_at_most_and_so_does_the_cache(moved: Moved, record_property: Told) -> None:
    moved.stand(Standing("modern"))
    assert any(call.kept and call.side == "modern" for call in moved.load.since(time.monotonic() - MOST))
    done = moved.figway("kill", "--all", *WHY)
    late, stored = moved.late(done), moved.store.moves("kept", 1)[0].at - time.time() + time.monotonic()
    told = f"{late:.2f} s after `figway migrate kill` had returned, {moved.late(stored):.2f} s after the store had it"
    record_property("measured", f"the last request that modern answered was asked {told}")
    assert late <= MOST


def test_after_a_rollback_every_key_is_back_within_a_second(moved: Moved, record_property: Told) -> None:
    moved.stand(HALF)
    assert {call.side for call in moved.load.since(time.monotonic() - MOST)} == {"legacy", "modern"}
    late = moved.late(moved.figway("rollback", "kept", *WHY), "kept")
    record_property("measured", f"the same {late:.2f} s after `figway migrate rollback`")
    assert late <= MOST


def test_what_goes_back_by_itself_is_back_within_a_second(moved: Moved, record_property: Told) -> None:
    moved.stand(HALF)
    began = time.monotonic()
    moved.new.fault = "html_502"
    until(lambda: moved.store.standings()[1]["things"].standing.stage == "shadow")
    noticed = time.monotonic()
    late = moved.late(noticed, "things")
    moved.new.fault = ""
    errors = sum(call.status != 200 for call in moved.load.since(began) if call.name == "things")
    record_property("measured", f"went back {noticed - began:.1f} s after modern fell ill; the last of {errors} errors {late:.2f} s later")
    assert errors > 0
    assert late <= MOST


def test_with_the_store_away_a_kill_holds_by_the_local_file(moved: Moved, record_property: Told) -> None:
    moved.stand(Standing("modern"))
    file = Path(moved.facade.state / "state.sqlite")
    file.rename(file.with_name("away"))
    try:
        late = moved.late(moved.figway("kill", "--all", *WHY))
    finally:
        file.with_name("away").rename(file)
    record_property("measured", f"the same {late:.2f} s after a kill while the store was away")
    assert late <= MOST
    freed = moved.figway("unkill", "--all")
    until(lambda: {call.side for call in moved.load.since(freed + MOST)} == {"modern"})


class Watch:
    """Somebody who looks at an endpoint's evidence all the time: what has become less from one look to the next."""

    def __init__(self, moved: Moved, name: str) -> None:
        self._moved, self._name, self._stop = moved, name, threading.Event()
        self.looks, self.less = 0, list[str]()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        before: Facts | None = None
        while not self._stop.wait(0.01):
            now = self._moved.store.facts(self._name)
            if now is not None and before is not None:
                pairs = {name: (number, now.counts.get(name, 0)) for name, number in before.counts.items()}
                pairs["keys"] = (before.seen.keys, now.seen.keys)
                self.less += [f"{name}: {old} and then {new}" for name, (old, new) in pairs.items() if new < old]
            before = now
            self.looks += 1

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


def test_sigkill_at_random_moments_loses_no_evidence_and_no_move(moved: Moved, record_property: Told) -> None:
    dice, name, done = random.Random(4), "things", dict[str, int]()
    moved.stand(Standing("legacy"))
    began, before, killed = time.monotonic(), equal(moved, name), 0
    with Watch(moved, name) as watch:
        for number in range(4):
            words = ("kill", name) if number % 2 else ("promote", name, "--to", "shadow")
            command = moved.began(*words, "--why", f"move {number}")
            _, *workers = moved.facade.children_of("gunicorn")  # the first is who makes them
            for victim in dice.sample(workers, 2):
                time.sleep(dice.uniform(0, 0.4))
                with suppress(ProcessLookupError):  # it is one that was killed before
                    os.kill(victim, signal.SIGKILL)
                    killed += 1
            if number == 2:
                command.kill()
            command.communicate(timeout=30)
            done[f"move {number}"] = command.returncode
        moved.stand(Standing("shadow"))
    compared, answered = equal(moved, name) - before, sum(call.name == name for call in moved.load.since(began - MOST))
    looks = f"{watch.looks} looks at the evidence, none of them at less than before"
    record_property("measured", f"{killed} workers and a command killed: {looks}; {compared:.0f} of {answered} answers compared")
    assert killed > 4
    assert not watch.less
    assert watch.looks > 50
    told = {move.why.removeprefix("killed: ") for move in moved.store.moves(name)}
    assert {why for why, code in done.items() if code == 0} <= told
    assert 0 < compared <= answered  # each was counted once


def equal(moved: Moved, name: str) -> float:
    return (moved.store.facts(name) or NOTHING).counts.get("equal", 0.0)
