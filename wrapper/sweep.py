"""A list of keys compared one after the other by the served facade, for endpoints that see little traffic.

The facade asks both sides, inside what its systems have to spare; here it is only decided which key is next, and when: at most so many at
once, within a window of the day, and later where the facade is busy. What was not asked is told. Knows no store and no catalogue.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from datetime import time as Hour
from typing import Any
from urllib.parse import quote, urlsplit

from wrapper.problems import Invalid, RequestError

AT_ONCE = 16
SECONDS = 75.0  # longer than any endpoint's deadline
SOON = 0.1  # seconds until a facade that is busy is asked again, the first time
PATIENCE = 60.0  # seconds for which a facade that can't be reached is tried again


class Stopped(RequestError):
    """The sweep can't go on; what was done counts."""

    status = 502
    title = "The sweep has stopped"


@dataclass(slots=True)
class Summary:
    """What became of the keys so far. `after`: all up to this key are done, so that is where to go on; `waited`: how often the facade was
    busy; `opens`: when its window does, if it waits for that; `lost`: why the facade can't be reached, `left`: for how many seconds it is
    tried on."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    after: str = ""
    waited: int = 0
    unasked: int = 0
    opens: str = ""
    lost: str = ""
    left: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of this machine's day, over midnight too."""

    begin: Hour
    end: Hour

    def closed(self, now: datetime) -> float:
        """Seconds until it opens; 0 while it is open."""
        here = now.time()
        inside = self.begin <= here < self.end if self.begin < self.end else here >= self.begin or here < self.end
        if inside:
            return 0.0
        opens = now.replace(hour=self.begin.hour, minute=self.begin.minute, second=0, microsecond=0)
        return ((opens if opens > now else opens + timedelta(days=1)) - now).total_seconds()


@dataclass(frozen=True, slots=True)
class Facade:
    """Where to ask, and the key of who asks."""

    url: str
    endpoint: str
    key: str = field(repr=False)
    purpose: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^\s/?#@:]+(:\d{1,5})?(/[^\s?#]*)?", self.url, re.ASCII):
            raise Invalid("the facade's address must be like http://127.0.0.1:8080")

    def line(self) -> http.client.HTTPConnection:
        """A connection, made when it is first used."""
        url = urlsplit(self.url)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        return kind(str(url.hostname), url.port, timeout=SECONDS)

    def ask(self, line: http.client.HTTPConnection, params: Mapping[str, str]) -> tuple[int, float, Mapping[str, Any]]:
        """Status, seconds of Retry-After, body. Raises OSError, HTTPException, ValueError."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        path = f"{urlsplit(self.url).path.rstrip('/')}/migration/{quote(self.endpoint)}/compare"
        line.request(
            "POST", path, json.dumps({"params": params}), {**headers, **({"Figway-Purpose": self.purpose} if self.purpose else {})}
        )
        answer = line.getresponse()
        body, after = json.loads(answer.read()), answer.headers.get("Retry-After", "")
        return answer.status, float(after) if after.isdigit() else 1.0, body


def window(text: str) -> Window:
    """`22:00-05:00`. Raises Invalid."""
    try:
        begin, end = (Hour.fromisoformat(part) for part in text.split("-"))
    except ValueError:
        raise Invalid(f"a window must be like 22:00-05:00, met {text!r}") from None
    if begin == end:
        raise Invalid("a window must be open for a while, and closed for a while")
    return Window(begin, end)


def keys(text: str, names: Sequence[str]) -> list[Mapping[str, str]]:
    """The file's parameters, a line each: of the one that there is, or by the names of the header. Raises Invalid."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    if len(names) != 1 or (header and header == list(names)):
        if set(header) - set(names) or len(set(header)) != len(header) or not header:
            raise Invalid(f"the file's first line must name parameters of the endpoint: {','.join(names)}")
        rows = list(csv.reader(io.StringIO("\n".join(lines[1:]))))
        for number, row in enumerate(rows, 2):
            if len(row) != len(header):
                raise Invalid(f"line {number} has {len(row)} values, and the header has {len(header)}")
        return _some([dict(zip(header, row, strict=True)) for row in rows])
    return _some([{names[0]: line.strip()} for line in lines])


def _some(rows: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
    if not rows:
        raise Invalid("the file has no keys")
    return rows


def name_of(params: Mapping[str, str]) -> str:
    """A key as --after takes it: its values, as the file has them."""
    return ",".join(params.values())


def after(rows: Sequence[Mapping[str, str]], last: str) -> Sequence[Mapping[str, str]]:
    """What comes behind the key `last`. Raises Invalid when it is not there."""
    for number, params in enumerate(rows):
        if name_of(params) == last:
            return rows[number + 1 :]
    raise Invalid("the key of --after is not in the file")


class Sweep:
    """One run over some keys, by as many threads as there are keys under way. `stop` ends it after these."""

    def __init__(
        self,
        facade: Facade,
        rows: Sequence[Mapping[str, str]],
        at_once: int = 2,
        hours: Window | None = None,
        now: Callable[[], datetime] = datetime.now,
        patience: float = PATIENCE,
    ) -> None:
        if not 1 <= at_once <= AT_ONCE:
            raise Invalid(f"from 1 to {AT_ONCE} keys are compared at once, met {at_once}")
        self._facade, self._rows, self._at_once, self._hours, self._now = facade, rows, at_once, hours, now
        self._patience = patience
        self._next, self._before, self._done = 0, 0, set[int]()  # the next key to ask, the first that is not done, those behind it that are
        self._lock = threading.Lock()
        self._fault: RequestError | None = None
        self.stop = threading.Event()
        self.summary = Summary(unasked=len(rows))

    def run(self, tell: Callable[[Summary], None]) -> Summary:
        """All of the keys; `tell` is called about every second. Raises Stopped; the summary holds in any case."""
        threads = [threading.Thread(target=self._work, name=f"figway-sweep-{n}", daemon=True) for n in range(self._at_once)]
        try:
            for thread in threads:
                thread.start()
            told = time.monotonic()
            while any(thread.is_alive() for thread in threads):
                self.stop.wait(0.05)
                if time.monotonic() - told >= 1:
                    told = time.monotonic()
                    tell(self.summary)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(SECONDS)  # what each asks has a time-out
        if self._fault is not None:
            raise self._fault
        return self.summary

    def _work(self) -> None:
        line = self._facade.line()
        try:
            while (number := self._take()) is not None:
                if (said := self._ask(line, self._rows[number])) is not None:
                    self._count(number, *said)
        except RequestError as error:
            self._fault = error
            self.stop.set()
        finally:
            line.close()

    def _take(self) -> int | None:
        """The next key, when the window is open."""
        while not self.stop.is_set():
            closed = self._hours.closed(self._now()) if self._hours else 0.0
            with self._lock:
                self.summary.opens = f"{self._now() + timedelta(seconds=closed):%Y-%m-%d %H:%M}" if closed else ""
                if self._next == len(self._rows):
                    return None
                if not closed:
                    self._next += 1
                    return self._next - 1
            self.stop.wait(min(closed, 1.0))
        return None

    def _count(self, number: int, outcome: str, reasons: Sequence[str]) -> None:
        with self._lock:
            told = self.summary
            told.outcomes[outcome] += 1
            told.reasons.update(f"{outcome}: {reason}" for reason in reasons)
            told.unasked -= 1
            self._done.add(number)
            while self._before in self._done:
                self._done.remove(self._before)
                told.after = name_of(self._rows[self._before])
                self._before += 1

    def _ask(self, line: http.client.HTTPConnection, params: Mapping[str, str]) -> tuple[str, Sequence[str]] | None:
        """The outcome for one key and its reasons; None when it was stopped before there was one."""
        lost, soon = time.monotonic() + self._patience, SOON
        while not self.stop.is_set():
            try:
                status, after, body = self._facade.ask(line, params)
            except (OSError, http.client.HTTPException, ValueError) as error:
                line.close()
                why = "refused" if isinstance(error, ConnectionRefusedError) else type(error).__name__
                with self._lock:
                    self.summary.lost, self.summary.left = why, max(lost - time.monotonic(), 0.0)
                if time.monotonic() > lost:
                    raise Stopped(f"the facade at {self._facade.url} can't be reached ({why})") from None
                self.stop.wait(1.0)
                continue
            self.summary.lost = ""
            if status == 200:
                return str(body.get("outcome")), [*body.get("differences", ()), *filter(None, [body.get("reason")])]
            if status == 422:
                return "refused", [str(body.get("detail"))]
            if status != 503:
                raise Stopped(f"the facade answered {status}: {body.get('detail', '')}")
            lost = time.monotonic() + self._patience
            with self._lock:
                self.summary.waited += 1
            line.close()  # another worker may have a place to spare: each has sessions of its own
            self.stop.wait(min(after, soon))  # no header can say less than a second, and places are soon free
            soon *= 2
        return None
