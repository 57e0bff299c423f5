"""gunicorn's configuration, how a worker begins, serves and ends, and what gunicorn itself says. Its main process: `under_gunicorn.py`.

One thread of a worker, its main one, talks to all callers and never waits for one of them (`wrapper/callers.py`). A request that is whole
is let in (`wrapper/admission.py`) and gets a thread, or is turned away on the spot. So neither a caller that stalls nor a back end that
does can hold more than its own request.

The order at the end: stop accepting, finish what runs, sign off from every system, see that callers get the rest of their answers.

What can't be read as HTTP never reaches the facade; its answer is a problem like any other, and nothing of it is logged: a malformed
request line may hold an API key.
"""

from __future__ import annotations

import mmap
import os
import queue
import secrets
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from wrapper import log, refusal, settings
from wrapper.admission import GRACEFUL, LEAVING, UNFIT, Admission, Class, class_of, classes
from wrapper.assembly import FAULTS
from wrapper.callers import Callers
from wrapper.intake import Line, Outgoing
from wrapper.policy.proxied import PEER
from wrapper.telemetry import NOWHERE
from wrapper.tls import SHAKES, Certificates, Wire

GLANCE = 0.1  # seconds between two looks for callers who have run out of time, and two signs of life: each costs all requests
HELD = (signal.SIGTERM, signal.SIGUSR1)  # until a worker can take them

# gthread only: our back ends block in C and on pipes, where cooperative workers stop as a whole.
worker_class = "wrapper.worker.Worker"
logger_class = "wrapper.worker.Lines"
loglevel = "warning"
graceful_timeout = GRACEFUL + 8  # signing off included
timeout = 30
keepalive = 5
worker_connections = 500  # descriptors stay below 1024: paramiko and psycopg use select()
limit_request_line = limit_request_field_size = 8190
limit_request_fields = 100
sendfile = False  # answers are collected, see Outgoing
control_socket_disable = True
# No header says how a request came, who forwarded it or where the application begins: see policy/proxied.py. X_Y never becomes X-Y.
forwarded_allow_ips = proxy_allow_ips = forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
header_map = "drop"


class Worker(ThreadWorker):  # type: ignore[misc]
    """Loads the facade after the fork, serves, and signs off from every system at its end.

    `accepts`: whether it does, for gunicorn's main process. `told`: there, whether it was told to go."""

    alive: bool
    wsgi: Any
    told = False
    _parts: Any = None
    _certificates: Certificates | None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.accepts = mmap.mmap(-1, 1)  # shared with the worker
        self._looks = 0.0
        limits = classes(self.cfg.threads)
        self._admission = Admission(limits)
        self._crews = {name: Crew(f"figway-{name}", limit, self._answer) for name, limit in limits.items()}

    def get_thread_pool(self) -> Any:
        """gunicorn's own pool queues what it has no thread for, unseen: nothing is ever given to it."""
        return _NoPool()

    def load_wsgi(self) -> None:
        """One of the first tries the catalogue, and ends the server when it can't be served. Another one that can't load tries again: it is
        the state store or a file system that is away."""
        given, first = settings.from_environment(), self.age <= self.cfg.workers
        while True:
            try:
                super().load_wsgi()
                self._certificates = Certificates(given) if given.tls_cert is not None else None
                if first:
                    self.wsgi.extensions["figway"].systems.check_references()
                break
            except Exception as error:
                if first and not isinstance(error, FAULTS):
                    raise
                if first:
                    with suppress(ProcessLookupError):  # another one was quicker
                        os.kill(self.ppid, UNFIT)
                    sys.exit(0)
                said = {"fault": str(error)} if isinstance(error, FAULTS) else {}  # any other's text may be a customer's
                log.get().error("worker", outcome="not started", exc_info=error, **said)
            self.notify()
            time.sleep(1)
            if not (self.alive and self.is_parent_alive()):
                sys.exit(0)
        self._facade, self._parts = self.wsgi, self.wsgi.extensions["figway"]
        if (given.catalogue.parent / LEAVING).exists():
            self.handle_usr1(signal.SIGUSR1, None)  # it was said before we could hear it
        self.wsgi = self._apps
        self._callers = Callers(self.cfg, self.poller, self, given.patience, self.worker_connections, self._certificates)
        self._plain = {listener for listener in self.sockets[1:] if ip_address(listener.getsockname()[0]).is_loopback}

    def _apps(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        sock: Outgoing = environ["gunicorn.socket"]
        if isinstance(sock.wire, Wire):
            environ["wsgi.url_scheme"] = "https"
            if sock.wire.peer is not None:
                environ[PEER] = sock.wire.peer
        app = self._facade.extensions["figway.admin"] if sock.admin else self._facade
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    def init_signals(self) -> None:
        """Here it can take signals that it has got before."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)

    def init_process(self) -> None:
        """All of a worker's life."""
        try:
            super().init_process()
        finally:
            if self._parts is not None:
                self._parts.close()

    def run(self) -> None:
        """See the order in the module's docstring."""
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        for name in ("live", "ready"):
            self._crews[name].grow()  # while there is a thread to be had
        self.set_accept_enabled(True)
        self.accepts[0] = 1
        os.kill(self.ppid, signal.SIGCHLD)  # have it looked at
        while self.alive and self.is_parent_alive():
            self.set_accept_enabled(True)
            self._turn()
        self.alive = False
        self._accept_rest()
        self.set_accept_enabled(False)
        self._callers.stop()
        until = time.monotonic() + GRACEFUL
        self._turn_while(("idle", "head", "body", "served"), until)
        self._parts.close()
        self._turn_while(("served", "taking", "closing"), until)

    def _turn(self) -> None:
        """What callers and threads have for us within half a second; a look at the clock now and then."""
        now = time.monotonic()
        if self._certificates is not None:
            self._certificates.left = SHAKES
        if now >= self._looks:
            self._looks = now + GLANCE
            self.notify()
            self._callers.expire()
        self.wait_for_and_dispatch_events(0.5)

    def _turn_while(self, states: Any, until: float) -> None:
        while self._callers.any(*states) and time.monotonic() < until:
            self._turn()

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """The supervisor is about to stop: not ready any more, and each connection ends with its next answer."""
        if self._parts is not None:
            self._parts.leaving.set()
        self.max_keepalived = 0

    def accept(self, listener: Any) -> bool:
        """The next caller of a listener; the second listener, if there is one, is that for health, metrics and admin."""
        try:
            return self._callers.accept(listener, listener is not self.sockets[0], listener in self._plain)
        except OSError:  # no descriptor is left
            self.set_accept_enabled(False)  # for a turn
            time.sleep(0.01)  # or it goes round and round until one comes free
            return False

    def _accept_rest(self) -> None:
        """Who has connected is not reset: the kernel has said yes in our name."""
        for listener in self.sockets:
            while self.accept(listener):
                pass

    def serve(self, line: Line) -> bool:
        """See callers.Server."""
        line.awaits = class_of(line.request.path, line.sock.admin)
        inside = self._admission.enter(line.awaits)
        if inside and not self._crews[line.awaits].give(line, inside):
            self._admission.leave(line.awaits)
            return False
        return inside > 0

    def _answer(self, line: Line) -> None:
        """One request, in a thread of its own."""
        kept = False
        try:
            line.read_body()
            kept = self.handle_request(line.request, line)
        except StopIteration:  # gunicorn: it failed when a part of it had gone
            pass
        except Exception as error:  # noqa: BLE001 - it ends here, and is told
            self.explain(line, error)
        self._admission.leave(line.awaits)  # before the caller has the answer and may ask for more
        line.sock.flush()
        self.method_queue.defer(self._callers.served, line, kept)

    def explain(self, line: Line, error: Exception) -> None:
        """A problem for what could not be read or let in, or what failed outside of the facade."""
        status, trace = refusal.status(error), secrets.token_hex(8)
        event = "shed" if status == HTTPStatus.SERVICE_UNAVAILABLE else "unreadable"
        log.get().warning(event, status=int(status), error=type(error).__name__, request_id=trace)
        if self._parts is not None:
            self._parts.telemetry.metrics.request(NOWHERE, "", status.value, 0.0)
        with suppress(OSError):  # it has gone
            head_only = line.request is not None and line.request.method == "HEAD"
            line.sock.sendall(refusal.answer(status, getattr(error, "said", ""), trace, isinstance(line.wire, Wire), head_only))


class Crew:
    """Threads that serve one class of requests, started as they are needed. Few requests ever wait for one: see admission."""

    def __init__(self, name: str, limit: Class, answer: Callable[[Line], None]) -> None:
        self._name, self._size, self._answer = name, limit.threads, answer
        self._threads = 0
        self._given: queue.SimpleQueue[Line] = queue.SimpleQueue()

    def give(self, line: Line, inside: int) -> bool:
        """`inside`: how many requests of this class there are, with this one. False: it takes one more thread, and none is to be had."""
        if self._threads < min(inside, self._size) and not self.grow():
            return False
        self._given.put(line)
        return True

    def grow(self) -> bool:
        """Whether there is one more thread."""
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{self._threads + 1}", daemon=True).start()
        except RuntimeError:
            return False
        self._threads += 1
        return True

    def _run(self) -> None:
        while True:
            self._answer(self._given.get())


class _NoPool:
    def shutdown(self, wait: bool = True) -> None:
        pass


class Lines(Logger):  # type: ignore[misc]
    """gunicorn's own log, as JSON lines like ours. An error is told by its kind and place: what its message quotes may be a customer's."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        log.configure("info")  # gunicorn's main process has no other
        self.error_log.handlers[:] = [log.Library(trusted=True)]
