"""Two endpoints with two sides each, served by four workers under load, for tests of how soon a move is a move. `kept` is cached."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fixtures.web import Asked, Page, Web
from tests.crowd import Crowd
from tests.flow.shelf import Running, serving
from tests.live import ROOT
from tests.waiting import until
from wrapper.migration.decide import Standing
from wrapper.state.store import Store

NAMES = ("things", "kept")
WORKERS = 4
MOST = 1.0  # seconds until a move has reached every worker
_SYSTEMS = """
systems:
  old: {kind: http, url: "env:OLD_URL"}
  new: {kind: http, url: "env:NEW_URL", build: X-Build}
"""
_ENDPOINT = """
endpoint: NAME
summary: One thing
owner: us
group: NAME
route: GET /v1/NAME/{id}
auth: {scope: things:read}
effect: read
request: {id: {in: path, type: string, pattern: "[0-9]{1,5}"}}
response: {object: {word: {type: string}}}
legacy: {system: old, path: "/things/{id}"}
modern: {system: new, path: "/things/{id}"}
limits: {deadline: 5sCACHE}
migration:
  highest_stage: modern
  promote_when: {parity_at_least: 99%, confidence: 95%, period_at_least: 1s}
  roll_back_when: {errors_over: 5%, within: 1m, min_count: 20}
examples:
  - {request: {id: "1"}, expect: {status: 200}}
"""


@dataclass(frozen=True, slots=True)
class Call:
    """When it was asked (monotonic), of which endpoint, its status, which side answered ("" for an error), and whether it was kept."""

    began: float
    name: str
    status: int
    side: str
    kept: bool = False


class Load(Crowd):
    """Clients on kept-alive connections, more than there are workers, that ask both endpoints in turn until the block ends."""

    def __init__(self, address: tuple[str, int], key: str, clients: int = 12) -> None:
        self._address, self._key = address, key
        self.calls: list[Call] = []
        super().__init__(clients)

    def _run(self, number: int) -> None:
        dice, line = random.Random(number), http.client.HTTPConnection(*self._address, timeout=10)
        while not self._stop.is_set():
            for name, things in zip(NAMES, (100_000, 50), strict=True):
                self.calls.append(self._ask(line, name, dice.randrange(things)))
                self._stop.wait(0.01)
        line.close()

    def _ask(self, line: http.client.HTTPConnection, name: str, thing: int) -> Call:
        began = time.monotonic()
        try:
            line.request("GET", f"/v1/{name}/{thing}", headers={"Authorization": f"Bearer {self._key}"})
            answer = line.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException):  # its worker was killed
            line.close()
            return Call(began, name, 0, "")
        side = body["meta"]["sources"][0]["side"] if answer.status == 200 else ""
        return Call(began, name, answer.status, side, answer.headers["Age"] is not None)

    def since(self, moment: float) -> list[Call]:
        return [call for call in self.calls[:] if call.began >= moment]


@dataclass(frozen=True)
class Moved:
    """The facade, its two back ends, its store, and who asks it all the time."""

    facade: Running
    old: Web
    new: Web
    store: Store
    load: Load

    def stand(self, standing: Standing) -> None:
        """Both endpoints are there, on every worker."""
        self.store.move(NAMES, standing, "test", "where it begins")
        moved = time.monotonic()
        until(lambda: len(self.load.since(moved + MOST)) > 50)

    def began(self, *words: str) -> subprocess.Popen[bytes]:
        """`figway migrate`, as somebody types it."""
        argv = [sys.executable, "-m", "wrapper.cli", "migrate", *words]
        return subprocess.Popen(argv, cwd=ROOT, env=self.facade.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def figway(self, *words: str) -> float:
        """The same until it has returned: when that was (monotonic)."""
        running = self.began(*words)
        said, _ = running.communicate(timeout=30)
        assert running.returncode == 0, said.decode()
        return time.monotonic()

    def late(self, moment: float, *names: str) -> float:
        """How long after this moment the last request was asked that legacy did not answer."""
        until(lambda: len(self.load.since(moment + MOST)) > 50)
        heard = [call for call in self.load.since(moment) if call.name in (names or NAMES)]
        assert {call.name for call in heard if call.side == "legacy"} == {*(names or NAMES)}
        return max((call.began - moment for call in heard if call.side != "legacy"), default=0.0)


def _side(word: str) -> Callable[[Asked], Page]:
    return lambda asked: Page(200, "application/json", json.dumps({"word": word}).encode(), {"X-Build": "1"})


@contextmanager
def moving(folder: Path) -> Iterator[Moved]:
    files = {"systems.yaml": _SYSTEMS}
    for name, cache in zip(NAMES, ("", ", cache: {ttl: 60s}"), strict=True):
        files[f"endpoints/{name}.yaml"] = _ENDPOINT.replace("NAME", name).replace("CACHE", cache)
    old, new = Web("old", _side("brick")), Web("new", _side("brick"))
    urls = {f"{web.name.upper()}_URL": "http://{}:{}".format(*web.start()) for web in (old, new)}
    try:
        with (
            serving(folder, files, FIGWAY_WORKERS=str(WORKERS), **urls) as facade,
            closing(Store(facade.environ["FIGWAY_STATE"], there=True)) as store,
            Load(facade.address, facade.key) as load,
        ):
            yield Moved(facade, old, new, store, load)
    finally:
        old.stop()
        new.stop()
