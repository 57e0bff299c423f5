"""`figway serve` as a process: how it starts, what it says, what HUP, crashes and TERM do to it. Its one back end is an SQLite file."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.flow.shelf import ENDPOINT, SYSTEMS, Running, ended, prepared, serving, start
from tests.processes import descendants, gone
from tests.waiting import until


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("served"), FIGWAY_DRAIN="0", GUNICORN_CMD_ARGS="--reload") as running:
        yield running


def test_it_says_once_when_it_is_ready_and_where(facade: Running) -> None:
    [ready] = facade.told("ready")
    assert facade.told("gunicorn") == []  # its own settings in the environment are not ours
    assert ready["endpoints"] == 1
    assert ready["docs"] == f"http://127.0.0.1:{facade.address[1]}/docs/"
    assert facade.ask("/docs/").status == 200
    assert facade.ask("/v1/things/1").status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("GET /v1/things/1 {key} HTTP/1.1\r\n\r\n", 400),
        ("GET /{key}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n{key}\r\n\r\n", 400),
        ("{key} / HTTP/1.1\r\n\r\n", 400),
        ("GET /{key}" + "x" * 9000 + " HTTP/1.1\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\nX: {key}" + "x" * 9000 + "\r\n\r\n", 431),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: {key}\r\n\r\n", 501),
    ],
)
def test_what_is_not_http_is_a_problem_and_is_not_repeated_anywhere(facade: Running, sent: str, status: int) -> None:
    with socket.create_connection(facade.address, timeout=5) as line:
        line.sendall(sent.replace("{key}", facade.key).encode())
        answer = b"".join(iter(lambda: line.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "application/problem+json" in head
    assert json.loads(body)["status"] == status
    secret = facade.key.rpartition("_")[2]
    assert secret not in answer
    assert secret not in facade.log.read_text()
    until(lambda: facade.told("unreadable")[-1:] and facade.told("unreadable")[-1]["request_id"] == json.loads(body)["request_id"])


def test_hup_serves_what_was_added(facade: Running) -> None:
    jobs = facade.child_of("jobs work")
    (facade.catalogue / "endpoints" / "more.yaml").write_text(ENDPOINT.format(name="more"))
    assert facade.ask("/v1/more/1").status == 404
    facade.hup()
    until(lambda: facade.ask("/v1/more/1").status == 200)
    assert facade.told("catalogue")[-1]["endpoints"] == 2
    until(lambda: jobs not in descendants(facade.child.pid))


def test_a_broken_catalogue_is_refused_with_its_lines_and_the_old_one_stays(facade: Running) -> None:
    broken = facade.catalogue / "endpoints" / "things.yaml"
    good = broken.read_text()
    broken.write_text(good.replace("effect: read", "effect: reed"))
    before = len(facade.told("catalogue"))
    facade.hup()
    until(lambda: len(facade.told("catalogue")) > before)
    [refused] = facade.told("catalogue")[before:]
    assert (refused["level"], refused["outcome"]) == ("error", "refused")
    assert re.match(r"endpoints/things.yaml:\d+: .*reed", refused["fault"])

    worker = facade.child_of("gunicorn")
    os.kill(worker, signal.SIGKILL)  # what replaces it must not load the broken file either
    until(lambda: facade.child_of("gunicorn") != worker)
    assert facade.ask("/v1/things/1").status == 200
    assert facade.child.poll() is None

    broken.write_text(good)
    until(lambda: job_workers(facade))
    old = {facade.child_of("gunicorn"), *job_workers(facade)}
    facade.hup()
    until(lambda: facade.told("catalogue")[-1]["outcome"] == "accepted")
    until(lambda: not old & descendants(facade.child.pid).keys() and job_workers(facade))
    copies = [path.name for path in facade.state.glob("serving-[0-9]/*") if not path.is_symlink()]
    assert len(copies) == 2


def job_workers(facade: Running) -> set[int]:
    """Those that have loaded the catalogue: they count."""
    known = [pid for pid, line in descendants(facade.child.pid).items() if "jobs work" in line]
    return {pid for pid in known if [*facade.state.glob(f"counted-*/gauge_*_{pid}.db")]}


def test_a_worker_that_can_not_start_tries_again_and_ends_nobody(facade: Running) -> None:
    [current] = facade.state.glob("serving-[0-9]/current")
    current.rename(current.with_name("away"))
    for words in ("gunicorn", "jobs work"):
        os.kill(facade.child_of(words), signal.SIGKILL)
    until(lambda: {line["outcome"] for line in facade.told("worker")} == {"not started", "the job worker was killed"})
    assert all("fault" in line for line in facade.told("worker") if line["outcome"] == "not started")  # in words
    current.with_name("away").rename(current)
    assert facade.ask("/v1/things/1").status == 200
    assert facade.child.poll() is None


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_a_server_that_is_killed_ends_all_and_the_log_says_so(server: str, tmp_path: Path) -> None:
    with serving(tmp_path, FIGWAY_SERVER=server) as facade:
        os.kill(facade.children_of(f"under_{server}")[0], signal.SIGKILL)
        assert facade.child.wait(15) == 128 + signal.SIGKILL
        assert facade.told("worker")[-1]["outcome"] == "the server ended by itself"


def kill_a_successor(facade: Running, known: set[int]) -> None:
    """The first worker beyond those that are known, as soon as it is a process."""
    until(lambda: {*facade.children_of("gunicorn")} - known)
    [newest] = {*facade.children_of("gunicorn")} - known
    known.add(newest)
    os.kill(newest, signal.SIGKILL)


def test_successors_that_are_killed_are_replaced_and_meanwhile_the_old_worker_serves(facade: Running) -> None:
    (facade.catalogue / "endpoints" / "late.yaml").write_text(ENDPOINT.format(name="late"))
    known = {*facade.children_of("gunicorn")}
    facade.hup()
    for _ in range(3):
        kill_a_successor(facade, known)
        assert facade.ask("/v1/things/1").status == 200
    until(lambda: facade.ask("/v1/late/1").status == 200)


def test_term_ends_it_also_while_a_successor_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, FIGWAY_DRAIN="0") as facade:
        known = {*facade.children_of("gunicorn")}
        facade.hup()
        kill_a_successor(facade, known)
        facade.child.terminate()
        assert facade.child.wait(10) == 0


def test_a_reference_that_leads_nowhere_is_refused_at_hup(facade: Running) -> None:
    systems = facade.catalogue / "systems.yaml"
    systems.write_text(SYSTEMS.replace("env:SHELF_DSN", "env:NO_SUCH_DSN"))
    before = len(facade.told("catalogue"))
    facade.hup()
    until(lambda: len(facade.told("catalogue")) > before)
    systems.write_text(SYSTEMS)
    assert facade.told("catalogue")[-1]["fault"] == "systems.yaml:4: shelf.dsn: the environment variable NO_SUCH_DSN is not set"
    assert facade.ask("/v1/things/1").status == 200


def test_hup_while_the_store_is_away_is_refused_and_makes_no_other_store(facade: Running) -> None:
    store = facade.state / "state.sqlite"
    before = len(facade.told("catalogue"))
    store.rename(store.with_name("away"))
    facade.hup()
    until(lambda: len(facade.told("catalogue")) > before)
    assert not store.exists()
    store.with_name("away").rename(store)
    assert facade.told("catalogue")[-1]["fault"] == "there is no state store"
    until(lambda: facade.ask("/v1/things/1").status == 200)


def test_its_log_is_json_lines_alone(facade: Running) -> None:
    assert [line for line in facade.log.read_text().splitlines() if not line.startswith("{")] == []


def test_term_says_not_ready_first_then_ends_kept_connections_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, FIGWAY_DRAIN="20") as facade:
        kept = http.client.HTTPConnection(*facade.address, timeout=10)
        assert facade.ask("/v1/things/1", kept).headers.get("Connection") != "close"
        children = descendants(facade.child.pid)
        facade.child.terminate()
        until(lambda: facade.ask("/health/ready").status == 503, 10)
        assert facade.ask("/health/live").status == 200
        last = facade.ask("/v1/things/1", kept)
        assert (last.status, last.headers["Connection"]) == (200, "close")
        kept.close()
        facade.child.terminate()  # the drain need not be waited for
        assert facade.child.wait(10) == 0
        assert gone(children)
        assert list(facade.state.glob("serving-*/")) == []


def test_signals_at_the_start_are_done_when_it_has_started(tmp_path: Path) -> None:
    _, environ = prepared(tmp_path)
    child = start({**environ, "FIGWAY_DRAIN": "0"}, tmp_path / "log")
    until(lambda: list(tmp_path.glob("state/serving-0/1")))
    child.send_signal(signal.SIGHUP)
    child.terminate()
    assert ended(child) == 0
    assert list(tmp_path.glob("state/serving-*/")) == []


def test_a_killed_supervisor_takes_all_with_it_and_the_next_one_starts(tmp_path: Path) -> None:
    with serving(tmp_path) as facade:
        children = descendants(facade.child.pid)
        facade.child.kill()
        facade.child.wait(5)
        assert gone(children, 10)
        next_one = start(facade.environ, facade.log)
        until(lambda: len(facade.told("ready")) == 2)
        next_one.send_signal(signal.SIGINT)
        assert ended(next_one) == 0


def _busy(environ: Mapping[str, str], held: socket.socket) -> Mapping[str, str]:
    return {**environ, "FIGWAY_BIND": f"127.0.0.1:{held.getsockname()[1]}"}


def _broken_state(environ: Mapping[str, str], _held: socket.socket) -> Mapping[str, str]:
    path = Path(environ["FIGWAY_STATE"].removeprefix("sqlite:///"))
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    return environ


def _believing(environ: Mapping[str, str], _held: socket.socket) -> Mapping[str, str]:
    (Path(environ["FIGWAY_CATALOGUE"]) / "access.yaml").write_text("proxy: {networks: [127.0.0.1/32]}")
    return {**environ, "FIGWAY_SERVER": "granian"}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (_believing, r"figway: access\.yaml\.proxy: under granian no proxy is believed; gunicorn can"),
        (_busy, r"figway: can't listen on 127\.0\.0\.1:\d+: Address already in use"),
        (_broken_state, r"figway: .*state\.sqlite: .*"),
        (lambda environ, _: {**environ, "FIGWAY_BIND": "nonsense"}, r"figway: bind must be HOST:PORT, .*'nonsense'"),
        (lambda environ, _: {**environ, "FIGWAY_BIND": "a..b:1"}, r"figway: can't listen on a\.\.b:1: no such name"),
        (
            lambda environ, _: {**environ, "SHELF_DSN": "", "FIGWAY_WORKERS": "3"},
            r"systems\.yaml:4: shelf\.dsn: the environment variable SHELF_DSN is not set",
        ),
        (
            lambda environ, _: {**environ, "FIGWAY_TLS_CERT": "/nowhere.crt", "FIGWAY_TLS_KEY": "/nowhere.key"},
            r"figway: tls_cert /nowhere\.crt, tls_key /nowhere\.key: no such file or directory; .*",
        ),
        (
            lambda environ, _: {**environ, "FIGWAY_TLS_CERT": "c", "FIGWAY_TLS_KEY": "k", "FIGWAY_SERVER": "granian"},
            r"figway: tls_cert: under granian there is no TLS; .*",
        ),
        (lambda environ, _: {**environ, "FIGWAY_CATALOGUE": "/nowhere"}, r"figway: there is no catalogue folder /nowhere"),
    ],
)
def test_what_keeps_it_from_starting_is_one_sentence(
    tmp_path: Path, broken: Callable[[Mapping[str, str], socket.socket], Mapping[str, str]], said: str
) -> None:
    _, environ = prepared(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as held:
        child = start(broken(environ, held), tmp_path / "log")
        assert ended(child) == 1
    [line] = (tmp_path / "log").read_text().splitlines()
    assert re.fullmatch(said, line), line
    assert list(tmp_path.glob("state/serving-*/")) == []
