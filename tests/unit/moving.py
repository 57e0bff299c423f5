"""A small catalogue that migrates, its evidence and its back ends: for tests of what people do to stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from fixtures.web import Asked, Page, Web
from tests.unit.stores import Time
from wrapper import catalogue as catalogues
from wrapper.migrating import Office
from wrapper.migration.facts import Batch, Epoch, Sample
from wrapper.migration.rules import rules
from wrapper.state.store import Store

SYSTEMS = """
systems:
  old: {kind: http, url: "env:OLD_URL"}
  new: {kind: http, url: "env:NEW_URL"}
"""
READ = """
endpoint: things.get
summary: One thing
owner: us
group: things
route: GET /v1/things/{id}
auth: {scope: things:read, object: {id: "claim:thing"}}
effect: read
request:
  id: {in: path, type: string, pattern: "[0-9]{1,5}"}
response:
  object:
    word: {type: string, pii: other, shown_to: [things:read]}
    at: {type: datetime, optional: true}
legacy: {system: old, path: "/things/{id}"}
modern: {system: new, path: "/things/{id}"}
limits: {deadline: 5s}
migration:
  highest_stage: retired
  promote_when: {parity_at_least: 90%, confidence: 80%, period_at_least: 1m}
  freeze: ["2030-12-20T00:00Z/2031-01-05T00:00Z"]
examples:
  - {request: {id: "1"}, expect: {status: 200}}
"""
WRITE = """
endpoint: things.NAME
summary: Change one thing
owner: us
group: things
route: POST /v1/things/{id}/NAME
auth: {scope: things:write, object: {id: "claim:thing"}}
effect: write
request:
  id: {in: path, type: string, pattern: "[0-9]{1,5}"}
response:
  object: {word: {type: string}}
legacy: {system: old, method: POST, path: "/things/{id}/NAME", idempotency: Idempotency-Key}
modern: {system: new, method: POST, path: "/things/{id}/NAME", idempotency: Idempotency-Key}
limits: {deadline: 5s}
migration: {highest_stage: modern, writes: dual}
examples:
  - {request: {id: "1"}, expect: {status: 200}}
"""


def catalogue(folder: Path) -> Path:
    """things.get, which is compared; things.put and things.drop, writes of its group; things.old, which does not migrate."""
    endpoints = folder / "catalogue" / "endpoints"
    endpoints.mkdir(parents=True)
    (endpoints.parent / "systems.yaml").write_text(SYSTEMS)
    stays = READ.replace("things.get", "things.old").replace("/v1/things", "/v1/old").replace("group: things", "group: others")
    texts = {"get": READ, "old": stays[: stays.index("migration:")] + stays[stays.index("examples:") :]}
    texts["old"] = texts["old"].replace('modern: {system: new, path: "/things/{id}"}\n', "")
    for name, text in {**texts, **{name: WRITE.replace("NAME", name) for name in ("put", "drop")}}.items():
        (endpoints / f"things.{name}.yaml").write_text(text)
    return endpoints.parent


def office(folder: Path, store: Store, clock: Callable[[], float] = time.time) -> Office:
    return Office(catalogues.load(catalogue(folder), folder), store, clock)


def evidence(url: str, of: Office, *, clean: int = 100, differing: int = 0, samples: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Keys of things.get that were compared, over the last two minutes."""
    operation = of.catalogue.operations["things.get"]
    assert operation.migration is not None
    epoch = Epoch(operation.name, "1", operation.hash, str(rules(operation.migration.compare)))
    for ago in (120.0, 0.0):
        batch, keys = Batch(), clean + differing
        for n in range(keys if not ago else 1):
            batch.keys[epoch, "modern", "things", str(n)] = n >= clean
        batch.counts[epoch, "equal"] = clean if not ago else 1
        batch.counts[epoch, "different"] = differing
        batch.samples = [Sample(epoch, kind, shown) for kind, shown in (samples or {}).items()] if not ago else []
        with closing(Store(url, clock=Time(of.clock() - ago).clock)) as store:
            store.record(batch)


class Shelf(Web):
    """A back end: words by id; what is not there is 404."""

    def __init__(self, words: Mapping[str, str]) -> None:
        super().__init__("shelf", self._thing)
        self._words = words
        self.heard: Callable[[str], None] = lambda _target: None

    def _thing(self, asked: Asked) -> Page:
        self.heard(asked.target)
        word = self._words.get(asked.target.removeprefix("/things/"))
        return Page(404, "application/json", b"{}") if word is None else Page(200, "application/json", f'{{"word": "{word}"}}'.encode())
