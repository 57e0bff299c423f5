"""`figway serve`: gunicorn and one job worker under a small supervisor, over a catalogue that has been tried.

What is served is a copy of the catalogue's folder (`wrapper/snapshot.py`). At HUP it is loaded here, as a worker will load it, before any
worker does: a fault is logged and the catalogue before it stays. At the start the first workers try it, so that a start loads it once: one
that can't serve it ends the server (UNFIT), and what is wrong is found here. Edits in the folder are never picked up otherwise. A model
is not copied: its folders are versions and not edited.

TERM and INT: `/health/ready` says 503 and answers close their connections for FIGWAY_DRAIN seconds, in which balancers and clients
with kept-alive connections turn away; then gunicorn stops listening, finishes what runs (30 s at most) and signs off. A client that
still connects at that moment is refused or reset; nothing of its request was read. A second signal cuts the wait short.

The exit code is gunicorn's own. The children die with the supervisor, even when it is killed (PR_SET_PDEATHSIG).

granian may take gunicorn's place: `wrapper/under_granian.py`. It would start a worker that fails again and again, so there the catalogue is
tried here at the start too, while granian imports what it will need; it starts no worker before it is told to.
"""

from __future__ import annotations

import ctypes
import gc
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import click

from wrapper import log
from wrapper.admission import GRACEFUL, LEAVING, UNFIT
from wrapper.audit import acts
from wrapper.audit.anchor import anchoring
from wrapper.audit.anchor import folder as trail_of
from wrapper.ready import is_ready
from wrapper.settings import BadSettings, Settings, address, as_environment
from wrapper.snapshot import Snapshots, own_place, shared_folder
from wrapper.state.store import Store

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SEND_BUFFER = 256 * 1024  # of each connection, in the kernel: what a caller that never reads can hold there
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(settings: Settings) -> int:
    """Runs until told to stop; returns the exit code. Raises what keeps it from starting: assembly.FAULTS."""
    if settings.server == "granian" and find_spec("granian") is None:
        raise BadSettings("granian is not installed: it is an extra (pip install granian); without --server, gunicorn serves")
    if settings.server == "granian" and settings.tls_cert is not None:
        raise BadSettings("tls_cert: under granian there is no TLS; gunicorn has it, or a proxy in front")
    _check_certificates(settings)
    with ExitStack() as held:
        listeners = [held.enter_context(_listening(bind)) for bind in (settings.bind, settings.admin_bind) if bind]
        place = _place(settings)
        counted = shared_folder(place.with_name(place.name.replace("serving", "counted")))
        held.callback(shutil.rmtree, counted or "", ignore_errors=True)
        settings = replace(settings, metrics=counted)
        snapshots = held.enter_context(closing(Snapshots(place, leave_out=(settings.models, place.parent))))
        return _Supervisor(settings, snapshots).run(listeners)


def _listening(bind: str) -> socket.socket:
    """Ours before gunicorn starts, so that a port in use is told at once and in words."""
    host, port = address(bind)
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return listener
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", "no such name")).partition(" (")[0]  # Python adds the address, which was said
        raise BadSettings(f"can't listen on {bind}: {reason}") from None


def _check_certificates(settings: Settings) -> None:
    if settings.tls_cert is not None:
        from wrapper import tls  # late: it takes its time

        tls.context(settings)


def _place(settings: Settings) -> Path:
    """A folder beside the state store that no other supervisor uses; free again when this process ends, however it ends."""
    with closing(Store(settings.state, settings.state_key)) as store:
        if store.folder.resolve() == settings.catalogue.resolve():
            raise BadSettings(f"the state store lies among the catalogue's files in {store.folder}: give it a folder of its own")
        anchoring(settings, store.folder)  # a key that can't be used shows now, and places that can't be written
        if settings.audit_anchor is not None and not settings.audit_anchor.parent.is_dir():
            raise BadSettings(f"audit_anchor {settings.audit_anchor}: its folder is not there; make it, or mount it")
        with acts.alone(trail_of(settings, store.folder), "figway", "start", via="server", bind=settings.bind):
            pass
        place = own_place(store.folder)
        if place is None:
            raise BadSettings(f"no room for the catalogue's copy in {store.folder}: 64 facades use it, or its file system has no locks")
        return place


class _Supervisor:
    def __init__(self, settings: Settings, snapshots: Snapshots) -> None:
        self._settings, self._snapshots = settings, snapshots
        self._environ = as_environment(replace(settings, catalogue=snapshots.current))
        self._environ.pop("GUNICORN_CMD_ARGS", None)  # another application's
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._answered = threading.Event()

    def accept(self, copy: Path) -> None:
        """A copy of the folder becomes what is served, when a worker's own way of starting succeeds with it."""
        gc.disable()  # what is imported and made here is no garbage
        try:
            from wrapper import assembly  # late: gunicorn imports the same meanwhile

            _check_certificates(self._settings)
            with closing(assembly.assemble(replace(self._settings, catalogue=copy, metrics=None, otlp_endpoint=""), patient=True)) as parts:
                parts.store.ping()  # it is there since the start: one that is away is not made anew
                parts.systems.check_references()
                parts.open()
                if parts.access.proxy is not None and self._settings.server == "granian":  # it takes X_Client_Cert for X-Client-Cert
                    raise BadSettings("access.yaml.proxy: under granian no proxy is believed; gunicorn can")
        except BaseException:
            self._snapshots.drop(copy)
            raise
        finally:
            gc.enable()
        self._snapshots.accept(copy)

    def run(self, listeners: Sequence[socket.socket]) -> int:
        """From the first child to the last; `listeners`, that for callers first, are gunicorn's from here on."""
        for number in SIGNALS:
            signal.signal(number, lambda number, _frame: self._signals.put(number))
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        copy = self._snapshots.take(self._settings.catalogue)
        addresses = [listener.getsockname()[:2] for listener in listeners]
        handed = [listener.fileno() for listener in listeners]
        server = self._start("server", _server(self._settings, handed), *handed)
        try:
            self.accept(copy) if self._settings.server == "granian" else self._snapshots.accept(copy)
        except BaseException:
            server.kill()  # it has done nothing yet but import
            server.wait()
            raise
        assert server.stdin is not None
        for listener in listeners:
            listener.close()
        with suppress(BrokenPipeError), server.stdin as word:
            word.write(b"go")
        threading.Thread(target=self._announce, args=addresses, daemon=True).start()
        code = self._stop(told=self._attend())
        if server.returncode == -UNFIT:
            self.accept(self._snapshots.current.resolve())
            raise BadSettings("the server could not start, and what kept it from that is not met any more: start it again")
        return code

    def _attend(self) -> bool:
        """Until somebody says stop (True) or gunicorn ends by itself (False)."""
        while self._children["server"].poll() is None:
            try:
                if self._signals.get(timeout=0.25) != signal.SIGHUP:
                    return True
                self._reload()
            except queue.Empty:
                self._revive()
                self._bury()
        return False

    def _start(self, name: str, argv: Sequence[str], *handed: int) -> subprocess.Popen[bytes]:
        self._started[name] = time.monotonic()
        self._children[name] = subprocess.Popen(  # noqa: S603 - our own interpreter, our own modules
            argv, env=self._environ, stdin=subprocess.PIPE, start_new_session=True, preexec_fn=_in_child, pass_fds=handed
        )
        return self._children[name]

    def _revive(self) -> None:
        """One job worker, always: first when the server has answered, and then not more than once in two seconds."""
        if not self._answered.is_set():
            return
        jobs = self._children.get("jobs")
        if jobs is None or (jobs.poll() is not None and time.monotonic() - self._started["jobs"] > 2):
            if jobs is not None and jobs.returncode < 0 and jobs.returncode != -signal.SIGTERM:  # else it has said why itself
                log.get().warning("worker", outcome="the job worker was killed", code=jobs.returncode)
            self._start("jobs", [sys.executable, "-m", "wrapper.cli", "jobs", "work"])

    def _bury(self) -> None:
        """Orphans of our children come to us and leave no zombie, also where no init does this, as in a container."""
        ours = {child.pid: child for child in self._children.values()}
        with suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in ours:
                    ours[dead.si_pid].poll()
                else:
                    os.waitpid(dead.si_pid, 0)

    def _reload(self) -> None:
        """A new catalogue for new workers, or a log line for each reason why not."""
        from wrapper.catalogue import CatalogueError

        try:
            self.accept(self._snapshots.take(self._settings.catalogue))
        except CatalogueError as error:
            for fault in error.faults:
                log.get().error("catalogue", outcome="refused", fault=str(fault))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the catalogue that is served is not
            log.get().error("catalogue", outcome="refused", fault=str(error), error=type(error).__name__)
        else:
            log.get().info("catalogue", outcome="accepted", endpoints=self._endpoints())
            self._children["server"].send_signal(signal.SIGHUP)
            if "jobs" in self._children:
                self._children["jobs"].terminate()  # and started anew, by _revive

    def _announce(self, callers: tuple[str, int], admin: tuple[str, int] | None = None) -> None:
        """One log line when the first request can be served, and one for the person at the terminal, if there is one."""
        secure = self._settings.tls_cert is not None
        ready = is_ready(*callers, secure)
        self._answered.set()
        if not ready:
            return
        base, endpoints = f"http{'s' * secure}://{_joined(*callers)}", self._endpoints()
        more = {"admin": f"http{'s' * (secure and not ip_address(admin[0]).is_loopback)}://{_joined(*admin)}"} if admin else {}
        log.get().info("ready", address=base, endpoints=endpoints, docs=f"{base}/docs/", **more)
        if os.isatty(1):
            click.echo(f"figway: ready at {base} with {endpoints} endpoint(s), described at {base}/docs/; Ctrl-C stops")

    def _endpoints(self) -> int:
        return len([*self._snapshots.current.glob("endpoints/*.yaml")])

    def _stop(self, told: bool) -> int:
        """USR1, or for granian a file, says that the end is near; then TERM to all, and KILL to whoever is left after the graceful time."""
        server = self._children["server"]
        if told:
            (self._snapshots.current.parent / LEAVING).touch()
            server.send_signal(signal.SIGUSR1)
            with suppress(queue.Empty):
                self._signals.get(timeout=self._settings.drain)
        for child in self._children.values():
            child.terminate()
        until = time.monotonic() + GRACEFUL + 10
        for child in self._children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
            self._end_group(child.pid, until)
        if told and server.returncode in (0, -signal.SIGTERM):
            return 0
        if server.returncode != -UNFIT:
            log.get().error("worker", outcome="the server ended by itself", code=server.returncode)
        return 128 - server.returncode if server.returncode < 0 else server.returncode or 1

    def _end_group(self, group: int, until: float) -> None:
        """What a child has left behind: granian's workers do not see that their main process was killed."""
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
            while time.monotonic() < until:
                self._bury()
                os.killpg(group, 0)
                time.sleep(0.05)
            os.killpg(group, signal.SIGKILL)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _server(settings: Settings, listeners: Sequence[int]) -> list[str]:
    """What depends on the settings; the rest of gunicorn's configuration is in wrapper/worker.py."""
    if settings.server == "granian":
        return [sys.executable, "-m", "wrapper.under_granian", *map(str, listeners)]
    numbers = ["--workers", str(settings.workers), "--threads", str(settings.threads)]
    numbers += [word for listener in listeners for word in ("--bind", f"fd://{listener}")]
    return [sys.executable, "-m", "wrapper.under_gunicorn", "--config", "python:wrapper.worker", *numbers, "wrapper.app:from_environment()"]


def _in_child() -> None:
    """A HUP or USR1 that comes before gunicorn has its handlers must not end it: it loads what is accepted then anyway."""
    die_with_parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def die_with_parent() -> None:
    """For a child between fork and exec: TERM when its parent dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
