"""Where endpoints stand, as a process knows it, when something is wrong with the store, with threads, or with what was left in a file."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.stores import on_sqlite
from tests.waiting import until
from wrapper import kill_file
from wrapper.migration.decide import Standing
from wrapper.migration.moves import Move
from wrapper.problems import NotReady
from wrapper.standings import AGED, LAST, Standings

MODERN = Standing("modern")


class Stalled:
    """A store that was there once, and then takes its time to say nothing."""

    def __init__(self, folder: Path, there: bool = True, seconds: float = 1.2) -> None:
        self.folder, self.there, self.seconds = folder, there, seconds

    def stages_number(self) -> int:
        time.sleep(self.seconds)
        raise NotReady("the state store does not answer")

    def standings(self) -> tuple[int, dict[str, Move]]:
        if not self.there:
            self.stages_number()
        return 1, {"a": Move("a", 1, 0.0, MODERN, "alice", "", "", "")}


def test_the_kill_file_waits_for_no_store(tmp_path: Path) -> None:
    with closing(Standings(Stalled(tmp_path))) as standings:
        assert standings.of("a") == MODERN
        time.sleep(0.3)  # the thread has begun to ask
        kill_file.write(tmp_path, {"a": "it is wrong"})
        until(lambda: standings.of("a").stage == "legacy", 0.5)


def test_a_process_that_got_no_thread_hears_of_moves_all_the_same(tmp_path: Path) -> None:
    with closing(on_sqlite(tmp_path).open()) as store, closing(Standings(store)) as standings:
        threading.stack_size(1 << 46)  # more than there is
        try:
            assert standings.of("a").stage == "legacy"
            store.move(["a"], MODERN, "alice", "test")
            assert standings.of("a") == MODERN
        finally:
            threading.stack_size(0)
        store.move(["a"], Standing("shadow"), "alice", "test")
        assert standings.of("a").stage == "shadow"
        store.move(["a"], MODERN, "alice", "test")
        until(lambda: standings.of("a") == MODERN, 1)


def test_those_who_begin_together_while_the_store_stalls_do_not_wait_for_each_other(tmp_path: Path) -> None:
    took: list[float] = []

    def ask(standings: Standings) -> None:
        began = time.monotonic()
        with pytest.raises(NotReady):
            standings.of("a")
        took.append(time.monotonic() - began)

    with closing(Standings(Stalled(tmp_path, there=False))) as standings:
        threads = [threading.Thread(target=ask, args=(standings,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(took) == 8
    assert max(took) < 3


@pytest.mark.parametrize(
    "ago, left",
    [
        (AGED + 60, {"a": ["modern", "0", {}]}),
        (0.0, {"a": ["modern", "much", {}]}),
        (0.0, {"a": ["nowhere"]}),
        (0.0, ["a"]),
        (None, {}),
    ],
)
def test_what_was_left_long_ago_or_is_damaged_is_not_gone_by(tmp_path: Path, ago: float | None, left: object) -> None:
    told = {} if ago is None else {"at": time.time() - ago, "standings": left}
    (tmp_path / LAST).write_text(json.dumps(told) if told else "")
    with closing(Standings(Stalled(tmp_path, there=False, seconds=0.0))) as standings, pytest.raises(NotReady, match="not known"):
        standings.of("a")


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (b"", True),
        (b"\n \n", True),
        (b"\xef\xbb\xbfa\r\n", True),
        (b"\xef\xbb\xbf*", True),
        (b"b # a", False),
        (b"# a\n", False),
        (b"a please\n", True),
        (b"b\xff", True),
        (b"b \x1b[2J", True),
        ("b\n".encode("utf-16-le"), True),
    ],
)
def test_a_kill_file_that_is_empty_or_of_any_editor_holds(tmp_path: Path, text: bytes, held: bool) -> None:
    (tmp_path / kill_file.NAME).write_bytes(text)
    assert kill_file.holds(kill_file.read(tmp_path), "a") == held
