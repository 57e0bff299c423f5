"""assemble(settings): the only place where the parts are put together. Whoever tries a catalogue or runs jobs needs this and no Flask."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from functools import partial

from adapters.errors import AdapterError
from scoring.errors import ScoringError
from scoring.store import Store as Models
from wrapper import access, catalogue, log
from wrapper.access import Access
from wrapper.admission import RESERVED
from wrapper.audit.anchor import Anchor, anchoring
from wrapper.audit.anchor import folder as trail_of
from wrapper.audit.purge import Upkeep
from wrapper.audit.trail import Audit
from wrapper.jobs import Runner
from wrapper.metrics import Metrics
from wrapper.operation import Catalogue
from wrapper.pilot import Pilot
from wrapper.policy.quotas import Quotas
from wrapper.privacy import Purge
from wrapper.score import Scorer
from wrapper.service import Service
from wrapper.settings import BadSettings, Settings
from wrapper.state.census import Counted
from wrapper.state.clock import Clock
from wrapper.state.database import BadStore
from wrapper.state.holder import Holder
from wrapper.state.store import Store
from wrapper.systems import Systems
from wrapper.telemetry import Telemetry
from wrapper.tracing import Tracing
from wrapper.units import HOUR

FAULTS = (catalogue.CatalogueError, BadSettings, BadStore, ScoringError, AdapterError)
"""What assemble() and Figway.open() raise for a person to act on."""


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
    access: Access
    settings: Settings
    leaving: threading.Event = field(default_factory=threading.Event)

    def runner(self) -> Runner:
        """The job worker over these parts."""
        pilot = Pilot(self.catalogue, self.store, Clock(), self.telemetry.metrics, self.service.audit.note)
        upkeep = Upkeep(trail_of(self.settings, self.store.folder), self.anchor(), self.access.retention["audit"])
        purge = Purge(self.store, self.service.audit, self.access.retention)
        return Runner(self.service, self.systems, self.store, self._count, pilot, upkeep, purge, secrets.randbelow(int(HOUR)))

    def anchor(self) -> Anchor | None:
        """What anchors the audit trail. Raises BadSettings."""
        return anchoring(self.settings, self.store.folder)

    def _count(self, open: Counted) -> None:
        self.telemetry.metrics.census(open.jobs, open.overdue, open.oldest, open.unknown_writes, open.legs)

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
    files = catalogue.Folder(folder)
    loaded = catalogue.load(files, given.models)
    metrics = Metrics(given.metrics)
    metrics.begin(loaded.systems)
    log.on_lost(partial(metrics.happened, "log_dropped", "figway"))
    store = Store(given.state, given.state_key, patient=patient, events=metrics)
    leases = Holder(store)
    systems = Systems(loaded, given, files, leases, metrics)
    scorer = Scorer(loaded, Models(given.models))
    tracing = Tracing(given.otlp_endpoint, partial(metrics.happened, "spans_lost", "figway")) if given.otlp_endpoint else None
    telemetry = Telemetry(metrics, tracing)
    waiters = max(1, (given.threads - RESERVED) // 2)
    audit = Audit(trail_of(given, store.folder), store, loaded.hash, metrics)
    granted = access.read(loaded.access, given.environ)
    quotas = Quotas(granted, loaded.systems, store, given.workers * given.replicas, metrics)
    service = Service(loaded, systems, store, scorer, given.packages, waiters, telemetry, audit, quotas)
    return Figway(loaded, service, systems, store, leases, scorer, telemetry, granted, given)
