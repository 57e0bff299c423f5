"""A facade under fire: the demo estate in this process, a fault proxy before every back end, `figway serve` over all of it.

The catalogue is the demo's with deadlines of DEADLINE seconds, a pass-through, and systems whose names nobody can look up. The ledger is a
real PostgreSQL. What is asked is compared with the fixtures' own data (`truth.py`).
"""

from __future__ import annotations

import http.client
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from fixtures import odbc
from fixtures.customers import Customer, by_id, everyone
from fixtures.estate import Estate
from fixtures.faults import Proxy
from fixtures.host3270 import Host3270
from tests import postgres
from tests.chaos import extra
from tests.chaos.processes import Counts, counted
from tests.chaos.truth import QUESTIONS
from tests.live import CATALOGUE, Served, serving
from tests.processes import descendants
from wrapper.policy import keys

DEADLINE = 2.0
GRACE = 1.0  # what a call may take on top
GHOST = 3.0  # seconds that the host keeps a cut session's user signed on
SCOPES = (
    "customers:read accounts:read credit:read ledger:read applications:read risk:read customers:write payments:write pii:read health:read"
)
CALLER = keys.Caller("chaos", frozenset(SCOPES.split()), frozenset({"credit-risk"}), {"customer": frozenset({"*"})})
BEHIND = {"corebank": "COREBANK", "drop": "DROP"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as its caller saw it. `slug` is the problem's type, `right` or `wrong` for data, `lost` when the connection broke."""

    status: int
    slug: str
    seconds: float
    body: Any = None
    headers: Mapping[str, str] | None = None

    @property
    def late(self) -> bool:
        return self.seconds > DEADLINE + GRACE


class Rig:
    """Everything up. `estate` is reached into for switches and journals, `proxies` by system name for faults of the line."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        threads: int = 16,
        postgres_store: bool = False,
        deadline: float = DEADLINE,
        seed: int = 1,
        change: Callable[[Path], None] = lambda catalogue: None,
        **environ: str,
    ) -> None:
        """`change` is made to its copy of the catalogue before that is served."""
        self.folder, self.estate, self.dice = folder, Estate(), random.Random(seed)
        self.estate.host = Host3270(ghost_seconds=GHOST)
        self.customers = [by_id()["0000012345"], *everyone()[:150]]
        self._environ = {"FIGWAY_WORKERS": str(workers), "FIGWAY_THREADS": str(threads), "FIGWAY_LOG_LEVEL": "warning", **environ}
        self._postgres_store, self._deadline, self._up, self._change = postgres_store, deadline, ExitStack(), change
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Rig:
        with ExitStack() as up:
            self.ledger = up.enter_context(postgres.cluster())
            odbc.load(self.ledger.psycopg, self.customers)
            up.callback(self.estate.stop)
            settings = self._proxied(dict(self.estate.start()), up)
            state = self._store(settings, up) if self._postgres_store else None
            catalogue = extra.catalogue(CATALOGUE, self.folder / "catalogue", self._deadline)
            shutil.copytree(CATALOGUE.parent / "models", self.folder / "catalogue" / "models")
            self._change(catalogue)
            self.served: Served = up.enter_context(
                serving({**settings, **extra.SETTINGS, **self._environ}, [CALLER], self.folder, catalogue, state=state)
            )
            self._up = up.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._up.close()

    def _proxied(self, settings: dict[str, str], up: ExitStack) -> dict[str, str]:
        places = {
            "corebank": (settings["COREBANK_HOST"], int(settings["COREBANK_PORT"])),
            "drop": (settings["DROP_HOST"], int(settings["DROP_PORT"])),
            "bureau": self._place(settings["BUREAU_URL"]),
            "accounts-api": self._place(settings["ACCOUNTS_URL"]),
            "ledger": (self.ledger.host, self.ledger.port),
        }
        for name, place in places.items():
            self.proxies[name] = up.enter_context(Proxy(place))
        at = {name: proxy.address for name, proxy in self.proxies.items()}
        settings |= {f"{prefix}_PORT": str(at[name][1]) for name, prefix in BEHIND.items()}
        settings["BUREAU_URL"] = f"http://127.0.0.1:{at['bureau'][1]}/credit"
        settings["ACCOUNTS_URL"] = f"http://127.0.0.1:{at['accounts-api'][1]}"
        settings["LEDGER_DSN"] = self.ledger.odbc(at["ledger"])
        return settings

    def _store(self, settings: dict[str, str], up: ExitStack) -> str:
        """A data base of its own in the ledger's cluster, behind the proxy `store`."""
        with psycopg.connect(self.ledger.psycopg, autocommit=True) as owner:
            owner.execute("CREATE DATABASE figway")
        proxy = self.proxies["store"] = up.enter_context(Proxy((self.ledger.host, self.ledger.port)))
        settings["FIGWAY_STATE_KEY"] = str(self.folder / "state.key")
        return f"postgresql://postgres@127.0.0.1:{proxy.address[1]}/figway"

    @staticmethod
    def _place(url: str) -> tuple[str, int]:
        found = re.fullmatch(r"http://([0-9.]+):(\d+).*", url)
        assert found
        return found[1], int(found[2])

    # -- asking

    @contextmanager
    def line(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(*self.served.address, timeout=self._deadline + 15)
        try:
            yield connection
        finally:
            connection.close()

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Seen:
        """One exchange on a connection of its own; what breaks it is `lost`."""
        sent = {"Authorization": f"Bearer {self.served.keys['chaos']}", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        began = time.monotonic()
        with self.line() as line:
            try:
                line.request(method, path, data, sent)
                answer = line.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                return Seen(0, "lost", time.monotonic() - began, type(error).__name__)
        seconds = time.monotonic() - began
        told = json.loads(content) if content and "json" in answer.headers.get("Content-Type", "") else content
        slug = told["type"].rpartition("/")[2] if answer.status >= 400 and isinstance(told, dict) and "type" in told else "answer"
        return Seen(answer.status, slug, seconds, told, {name.lower(): value for name, value in answer.getheaders()})

    def ask(self, name: str, who: Customer | None = None) -> Seen:
        """One read, judged: slug `right` or `wrong` when there are data."""
        question, who = QUESTIONS[name], who or self.dice.choice(self.customers)
        before = question.data(who, self.estate.host.records)  # a row may change the customer while it is asked about
        seen = self.send("GET", question.path(who))
        if seen.status != 200:
            return seen
        right = seen.body["data"] in (before, question.data(who, self.estate.host.records))
        return Seen(200, "right" if right else "wrong", seen.seconds, seen.body, seen.headers)

    def together(self, names: Sequence[str]) -> list[Seen]:
        """All at once."""
        with ThreadPoolExecutor(len(names)) as threads:
            return list(threads.map(self.ask, names))

    def well(self, names: Sequence[str], seconds: float) -> str:
        """'' when all are answered rightly again within `seconds`, by every worker, without a restart; else what was met."""
        until = time.monotonic() + seconds
        while strange := [s for s in self.together(list(names) * 3) if s.slug != "right"] if names else []:
            if time.monotonic() > until or any(s.slug == "wrong" for s in strange):
                return f"{strange[0].status} {strange[0].slug}"
            time.sleep(0.1)
        return ""

    # -- processes

    def pids(self, words: str) -> list[int]:
        """Processes below the supervisor whose command line has these words."""
        return [pid for pid, line in descendants(self.served.pid).items() if words in line]

    def workers(self) -> list[int]:
        """gunicorn's workers: the children of its master."""
        masters = [pid for pid in self.pids("gunicorn") if any(pid == p for p in descendants(self.served.pid))]
        return [pid for pid in masters if any(pid in descendants(other) for other in masters if other != pid)]

    def terminals(self) -> list[int]:
        return self.pids("s3270 ")

    def counts(self) -> Counts:
        """Threads, descriptors, children and zombies of everything below the supervisor."""
        return counted(self.served.pid)
