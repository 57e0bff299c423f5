"""A sweep asks for every key once, when it may, goes on where it is told to wait, and says where it stopped."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from fixtures.web import Asked, Page, Web
from tests.waiting import free_port, until
from wrapper.problems import Invalid
from wrapper.sweep import Facade, Stopped, Summary, Sweep, after, keys, window

EQUAL = {"outcome": "equal", "differences": [], "reason": ""}


class Served(Web):
    """A facade that compares as it is told: `says` gives status and body by key."""

    def __init__(self) -> None:
        super().__init__("facade", self._compared)
        self.says: Callable[[str], tuple[int, Any]] = lambda _key: (200, EQUAL)
        self.asked: Counter[str] = Counter()
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def _compared(self, asked: Asked) -> Page:
        assert (asked.method, asked.target, asked.headers["Authorization"]) == ("POST", "/migration/things.get/compare", "Bearer key")
        key = json.loads(asked.body)["params"]["id"]
        with self._lock:
            self.asked[key] += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        status, body = self.says(key)
        with self._lock:
            self.at_once -= 1
        return Page(status, "application/json", json.dumps(body).encode(), {"Retry-After": "0"} if status == 503 else {})


@pytest.fixture
def served() -> Iterator[Served]:
    web = Served()
    host, port = web.start()
    web.url = f"http://{host}:{port}"  # type: ignore[attr-defined]
    yield web
    web.stop()


def rows(count: int) -> list[dict[str, str]]:
    return [{"id": str(n)} for n in range(count)]


def sweep(served: Any, count: int = 20, **more: Any) -> Sweep:
    return Sweep(Facade(served.url, "things.get", "key"), rows(count), **more)


def test_every_key_is_asked_once_and_never_more_of_them_at_once_than_was_said(served: Served) -> None:
    def says(_key: str) -> tuple[int, Any]:
        time.sleep(0.005)
        return 200, EQUAL

    served.says = says
    done = sweep(served, 40, at_once=3).run(lambda _: None)
    assert served.asked == Counter({str(n): 1 for n in range(40)})
    assert (done.outcomes, done.unasked, done.after) == ({"equal": 40}, 0, "39")
    assert 1 < served.most <= 3


def test_outcomes_are_counted_with_their_reasons(served: Served) -> None:
    answers = {
        "0": (200, {"outcome": "different", "differences": ["value object.word", "missing object.at"], "reason": ""}),
        "1": (200, {"outcome": "skipped", "differences": [], "reason": "other business dates"}),
        "2": (422, {"detail": "path id: expected text that matches"}),
    }
    served.says = lambda key: answers.get(key, (200, EQUAL))
    done = sweep(served, 5).run(lambda _: None)
    assert done.outcomes == {"different": 1, "skipped": 1, "refused": 1, "equal": 2}
    assert done.reasons == {
        "different: value object.word": 1, "different: missing object.at": 1, "skipped: other business dates": 1,
        "refused: path id: expected text that matches": 1,
    }  # fmt: skip


def test_a_busy_facade_is_asked_again_for_the_same_key(served: Served) -> None:
    served.says = lambda key: (503, {"detail": "busy"}) if key == "3" and served.asked[key] < 4 else (200, EQUAL)
    done = sweep(served).run(lambda _: None)
    assert (served.asked["3"], done.waited, done.outcomes) == (4, 3, {"equal": 20})


def test_outside_of_its_window_nothing_is_asked(served: Served) -> None:
    hour = datetime(2026, 11, 26, 12, 0)
    run = sweep(served, hours=window("22:00-05:00"), now=lambda: hour)
    told: list[Summary] = []
    thread = threading.Thread(target=lambda: told.append(run.run(lambda _: None)))
    thread.start()
    until(lambda: run.summary.opens == "2026-11-26 22:00")
    assert not served.asked
    hour = datetime(2026, 11, 27, 4, 59)
    thread.join(10)
    assert told[0].outcomes == {"equal": 20}


def test_one_that_is_stopped_says_where_to_go_on_and_leaves_nothing_out(served: Served) -> None:
    run = sweep(served, 50, at_once=2)
    held = threading.Event()

    def says(key: str) -> tuple[int, Any]:
        if key == "7":
            held.wait(5)
        if key == "12":
            run.stop.set()
            held.set()
        return 200, EQUAL

    served.says = says
    done = run.run(lambda _: None)
    assert done.unasked == 50 - sum(done.outcomes.values()) > 30
    rest = after(rows(50), done.after)
    left = {row["id"] for row in rest}
    assert {row["id"] for row in rows(50)} - left <= set(served.asked)
    assert int(rest[0]["id"]) >= 7


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_waiting_does_not_mend_stops_it(served: Served, status: int) -> None:
    served.says = lambda _key: (status, {"detail": "no"})
    with pytest.raises(Stopped, match=f"answered {status}: no"):
        sweep(served).run(lambda _: None)


def test_a_facade_that_restarts_is_waited_for_and_one_that_is_gone_is_not(served: Served) -> None:
    served.fault = "hang_up"
    run = sweep(served, 2)
    thread = threading.Thread(target=run.run, args=(lambda _: None,))
    thread.start()
    until(lambda: sum(served.asked.values()) >= 1)
    served.fault = ""
    thread.join(10)
    assert run.summary.outcomes == {"equal": 2}
    gone = Sweep(Facade(f"http://127.0.0.1:{free_port()}", "things.get", "key"), rows(1), patience=0.0)
    with pytest.raises(Stopped, match="can't be reached"):
        gone.run(lambda _: None)
    assert (gone.summary.lost, gone.summary.left) == ("refused", 0.0)


@pytest.mark.parametrize(
    ("text", "at", "closed"),
    [
        ("22:00-05:00", "23:00", 0), ("22:00-05:00", "04:59", 0), ("22:00-05:00", "05:00", 17 * 3600), ("22:00-05:00", "21:59", 60),
        ("09:00-17:00", "09:00", 0), ("09:00-17:00", "17:00", 16 * 3600), ("09:00-17:00", "08:00", 3600),
    ],
)  # fmt: skip
def test_a_window_may_go_over_midnight(text: str, at: str, closed: int) -> None:
    assert window(text).closed(datetime.fromisoformat(f"2026-11-26T{at}")) == closed


@pytest.mark.parametrize("text", ["22:00", "22:00-22:00", "25:00-05:00", "", "22:00-05:00-06:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        window(text)


def test_keys_are_lines_or_columns_by_the_names_of_their_header() -> None:
    assert keys("1\n\n 2 \n", ["id"]) == [{"id": "1"}, {"id": "2"}]
    assert keys("id\n1\n", ["id"]) == [{"id": "1"}]
    assert keys('from,id\n2026-01-01,1\n"a,b",2\n', ["id", "from"]) == [{"from": "2026-01-01", "id": "1"}, {"from": "a,b", "id": "2"}]
    for text, names in (
        ("1,2\n", ["id", "from"]),
        ("id,from\n1\n", ["id", "from"]),
        ("", ["id", "from"]),
        ("id,id\n1,2\n", ["id", "from"]),
    ):
        with pytest.raises(Invalid):
            keys(text, names)
    assert after(keys("1\n2\n3\n", ["id"]), "1") == [{"id": "2"}, {"id": "3"}]
    with pytest.raises(Invalid, match="--after"):
        after(keys("1\n", ["id"]), "9")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://user:pw@x", "http://x?y", "http://x:99999999", "x:80"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="must be like"):
        Facade(url, "things.get", "key")
