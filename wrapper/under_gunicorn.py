"""gunicorn's main process: it forks workers (`wrapper/worker.py`) and, at HUP, lets a new generation of them take over from the old one.

gunicorn's own reload tells the old workers to go at once, counts them as workers until they have gone, and hears no other signal
meanwhile. Here only the youngest generation counts, so whoever of it dies is replaced; an old worker goes when a new one accepts in its
place, and no sooner. Knows nothing of requests.
"""

from __future__ import annotations

import gc
import re
import signal
import sys
from contextlib import suppress
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.arbiter import Arbiter

from adapters import registry
from wrapper import settings
from wrapper.worker import HELD


class Master(Arbiter):  # type: ignore[misc]
    """`num_workers` that accept, always, as far as that is ours to say."""

    WORKERS: dict[int, Any]
    worker_age: int
    num_workers: int
    _to_go = 0  # the age of the youngest worker that HUP has made an old one

    def start(self) -> None:
        """Import what workers will share, then wait for the supervisor's word; none means the end."""
        gc.disable()  # what is imported is no garbage
        _import_kinds()
        gc.freeze()
        gc.enable()
        if not sys.stdin.buffer.read(1):
            sys.exit(0)
        super().start()

    def handle_hup(self) -> None:
        """All workers so far are old ones; manage_workers() comes next."""
        _import_kinds()
        self._to_go = self.worker_age

    def manage_workers(self) -> None:
        """Start what the youngest generation lacks, and let go which of the old workers it makes up for."""
        young = [worker for worker in self.WORKERS.values() if worker.age > self._to_go]
        for _ in range(self.num_workers - len(young)):
            self.spawn_worker()
        needed = self.num_workers - sum(worker.accepts[0] for worker in young)
        old = {worker.age: pid for pid, worker in self.WORKERS.items() if worker.age <= self._to_go and not worker.told}
        serving = sorted((age for age, pid in old.items() if self.WORKERS[pid].accepts[0]), reverse=True)
        for age in old.keys() - set(serving[: max(needed, 0)]):
            self.WORKERS[old[age]].told = True
            self.kill_worker(old[age], signal.SIGTERM)

    def spawn_worker(self) -> None:
        """A signal to a worker that has no handlers of its own yet would be lost: it takes what is held here when it has them."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Application(WSGIApplication):  # type: ignore[misc]
    def run(self) -> None:
        Master(self).run()


def _import_kinds() -> None:
    """The protocol libraries that the catalogue's systems need, and onnxruntime where there are models; whatever fails here fails, and is
    told, in the worker. Nothing of them is opened before the fork."""
    given = settings.from_environment()
    for file in given.catalogue.parent.glob("*/systems.yaml"):  # the copies, see wrapper/snapshot.py
        kinds: list[str] = []
        with suppress(OSError):  # the next HUP is there already, and this copy has gone
            kinds = re.findall(r"kind:\s*(\w+)", file.read_text(encoding="utf-8", errors="replace"))
        for kind in kinds:
            with suppress(Exception):
                registry.adapter(kind)
    if given.models.is_dir():
        with suppress(Exception):
            import onnxruntime  # noqa: F401


if __name__ == "__main__":
    _Application("%(prog)s [OPTIONS] [APP_MODULE]").run()
