"""create_app(settings): the only place where the parts are put together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial

from flask import Flask, request

from scoring.store import Store as Models
from wrapper import admin, catalogue, http, log, settings
from wrapper.admission import RESERVED
from wrapper.edge import Facade
from wrapper.jobs import Runner
from wrapper.metrics import Metrics
from wrapper.operation import Catalogue
from wrapper.problems import NotReady
from wrapper.score import Scorer
from wrapper.service import Service
from wrapper.settings import Settings
from wrapper.state.census import Counted
from wrapper.state.holder import Holder
from wrapper.state.store import Store
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry
from wrapper.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Figway:
    """One process's live parts. `leaving` says that this process is about to stop; close() signs off everywhere."""

    catalogue: Catalogue
    service: Service
    systems: Systems
    store: Store
    leases: Holder
    scorer: Scorer
    telemetry: Telemetry
    leaving: threading.Event = field(default_factory=threading.Event)

    def runner(self) -> Runner:
        """The job worker over these parts."""
        return Runner(self.service, self.systems, self.store, self._count)

    def _count(self, open: Counted) -> None:
        self.telemetry.metrics.census(open.jobs, open.overdue, open.oldest, open.unknown_writes)

    def open(self) -> None:
        """Every system opened and every model loaded: what is wrong shows at start. Raises BadSettings, AdapterError or ScoringError."""
        self.systems.open_all()
        self.scorer.warm(self.catalogue)

    def close(self) -> None:
        self.service.close()
        self.systems.close()
        self.leases.close()
        self.store.close()
        if self.telemetry.tracing is not None:
            self.telemetry.tracing.close()


def assemble(given: Settings, patient: bool = False) -> Figway:
    """Raises CatalogueError, BadSettings, BadStore or a ScoringError: whoever starts Figway sees what is wrong at once.

    A `patient` process begins while the state store is away."""
    folder = given.catalogue.resolve()  # `serve` switches a link: this process stays with the folder that it leads to now
    loaded = catalogue.load(folder, given.models)
    metrics = Metrics(given.metrics)
    log.on_lost(partial(metrics.happened, "log_dropped", "figway"))
    store = Store(given.state, given.state_key, patient=patient, events=metrics)
    leases = Holder(store)
    systems = Systems(loaded, given, catalogue.Folder(folder), leases, metrics)
    scorer = Scorer(loaded, Models(given.models))
    tracing = Tracing(given.otlp_endpoint, partial(metrics.happened, "spans_lost", "figway")) if given.otlp_endpoint else None
    telemetry = Telemetry(metrics, tracing)
    waiters = max(1, (given.threads - RESERVED) // 2)
    service = Service(loaded, systems, store, scorer, given.packages, waiters, telemetry)
    return Figway(loaded, service, systems, store, leases, scorer, telemetry)


def create_app(given: Settings) -> Flask:
    """The WSGI application. Made in the worker, after the fork: sessions, sockets and threads must not be inherited."""
    log.configure(given.log_level)
    parts = assemble(given, patient=True)
    if parts.telemetry.tracing is not None:
        log.configure(given.log_level, parts.telemetry.tracing.ids)
    parts.open()
    app = Facade("figway")
    http.install(app, parts.service, parts.systems, parts.store, parts.telemetry)
    app.extensions["figway"] = parts
    app.extensions["figway.admin"] = admin.create(app, {"/metrics": parts.telemetry.metrics.page})

    @app.before_request
    def _leave() -> None:
        if parts.leaving.is_set() and request.endpoint == "health.ready":
            raise NotReady("the facade is about to stop")

    return app


def from_environment() -> Flask:
    """What gunicorn calls: `wrapper.app:from_environment()`."""
    return create_app(settings.from_environment())
