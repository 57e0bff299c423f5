"""Callers that stall, a back end that stalls, more callers than threads, HUP under load: everybody else gets their answers meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flow.doubtful import BODY, CHUNKED, DOUBTFUL, ONE, PIECES, POST
from tests.flow.shelf import ENDPOINT, SYSTEMS, Running, serving
from tests.processes import descendants, gone
from tests.waiting import until

MUTE = (
    ENDPOINT.split("legacy:")[0]
    + """
legacy: {{system: {name}, path: "/{{id}}"}}
limits: {{deadline: 2s}}
examples:
  - {{request: {{id: "1"}}, expect: {{status: 200}}}}
"""
)
FIND = ENDPOINT.replace("GET /v1/{name}/{{id}}", "POST /v1/{name}").replace("in: path", "in: body")
SILENT = ("mute", "dumb")  # two systems, for one alone never gets all
SEATS = len(SILENT)  # of 10 threads

FILES = {
    "systems.yaml": SYSTEMS + "".join(f"  {name}:\n    kind: http\n    url: env:MUTE_URL\n" for name in SILENT),
    **{f"endpoints/{name}.yaml": MUTE.format(name=name) for name in SILENT},
    "endpoints/find.yaml": FIND.format(name="find"),
}


@pytest.fixture(scope="module")
def mute() -> Iterator[socket.socket]:
    """A back end that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


@pytest.fixture(scope="module")
def facade(mute: socket.socket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Ten threads, and impatient."""
    settings = {"FIGWAY_THREADS": "10", "FIGWAY_PATIENCE": "1", "FIGWAY_ADMIN_BIND": "127.0.0.1:0", "FIGWAY_DRAIN": "0"}
    settings["MUTE_URL"] = f"http://127.0.0.1:{mute.getsockname()[1]}"
    with serving(tmp_path_factory.mktemp("fire"), FILES, **settings) as running:
        yield running


def seconds(running: Running, path: str, port: int) -> float:
    began = time.monotonic()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", path)
    assert line.getresponse().status == 200
    line.close()
    return time.monotonic() - began


def test_what_does_not_fit_is_turned_away_at_once_and_health_answers(facade: Running, mute: socket.socket) -> None:
    admin = int(facade.told("ready")[0]["admin"].rpartition(":")[2])
    with ThreadPoolExecutor(SEATS) as hanging:
        stuck = [hanging.submit(facade.ask, f"/v1/{name}/1") for name in SILENT]
        lines = [mute.accept()[0] for _ in stuck]
        began = time.monotonic()
        shed = facade.ask("/v1/things/1")
        assert time.monotonic() - began < 0.5
        assert (shed.status, shed.headers["Retry-After"], shed.headers["Content-Type"]) == (503, "1", "application/problem+json")
        for port in (facade.address[1], admin):
            assert statistics.median(seconds(facade, "/health/live", port) for _ in range(9)) < 0.05
            assert seconds(facade, "/health/ready", port) < 1
        assert seconds(facade, "/metrics", admin) < 1
        assert not any(call.done() for call in stuck)
        assert [call.result().status for call in stuck] == [504] * SEATS
    for line in lines:
        line.close()
    assert facade.ask("/v1/things/1").status == 200


def test_the_admin_listener_serves_nothing_else(facade: Running) -> None:
    line = http.client.HTTPConnection("127.0.0.1", int(facade.told("ready")[0]["admin"].rpartition(":")[2]), timeout=10)
    line.request("GET", "/v1/things/1", headers={"Authorization": f"Bearer {facade.key}"})
    assert line.getresponse().status == 404
    line.close()


def callers(facade: Running, count: int, sent: str, held: ExitStack, buffer: int = 0) -> list[socket.socket]:
    """So many connections that have sent this and, with a small `buffer`, have read no more than how the answer begins."""
    lines = []
    for _ in range(count):
        line = held.enter_context(socket.socket())
        if buffer:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        line.settimeout(10)
        line.connect(facade.address)
        line.sendall(sent.replace("KEY", facade.key).encode())
        if buffer:
            assert line.recv(12) == b"HTTP/1.1 200"
            until(lambda: facade.ask("/v1/things/1").status == 200)  # its seat is free
        lines.append(line)
    return lines


def statuses(lines: Sequence[socket.socket]) -> set[bytes]:
    return {b"".join(iter(lambda line=line: line.recv(65536), b""))[:12] for line in lines}  # type: ignore[misc]


def test_callers_that_stall_are_cut_and_keep_nobody_waiting(facade: Running) -> None:
    with ExitStack() as held:
        heads = callers(facade, 40, "GET /v1/things/1 HTTP/1.1\r\nHost: figway\r\nAuthorization: Bearer KEY\r\nX-More", held)
        bodies = callers(
            facade, 20, "POST /v1/find HTTP/1.1\r\nHost: figway\r\nAuthorization: Bearer KEY\r\nContent-Length: 99\r\n\r\n{", held
        )
        readers = callers(facade, 10, "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: figway\r\n\r\n", held, buffer=4096)
        for _ in range(20):
            began = time.monotonic()
            assert facade.ask("/v1/things/1").status == 200
            assert time.monotonic() - began < 1
        assert statuses(heads) == statuses(bodies) == {b"HTTP/1.1 408"}
        until(lambda: len(facade.told("cut")) == 10)
        for line in readers:
            with pytest.raises(ConnectionResetError):
                statuses([line])


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (f"{ONE}\r\n{ONE}\r\n{ONE}Connection: close\r\n\r\n", [200, 200, 200]),
        (f"{POST}Content-Length: 11\r\n\r\n{BODY}{ONE}Connection: close\r\n\r\n", [200, 200]),
        (f"{CHUNKED}\r\n{PIECES}0\r\nX-T: 1\r\n\r\n{ONE}Connection: close\r\n\r\n", [200, 200]),
        (f"{CHUNKED}Connection: close\r\n\r\nb\r\n{BODY}\r\n0\r\n\r\n", [200]),
        (f"{ONE}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{ONE}Connection: close\r\n\r\n", [200, 200]),
        (f"{ONE.replace('GET', 'HEAD')}Connection: close\r\n\r\n", [200]),
        (f"{ONE.replace('1.1', '1.0')}\r\n", [200]),
        (f"{POST}Content-Length: 1048577\r\n\r\n{BODY}{ONE}\r\n", [413]),
        (f"{CHUNKED}\r\n100001\r\n{BODY}", [413]),
        (f"{POST}Content-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{ONE}\r\n", [400]),
        (f"{POST}Content-Length: 11\r\nContent-Length: 12\r\n\r\n{BODY}{ONE}\r\n", [400]),
        (f"{CHUNKED}\r\nzz\r\n{ONE}\r\n", [400]),
        (f"{CHUNKED}\r\nb\r\n{BODY}!!0\r\n\r\n{ONE}\r\n", [400]),
        (f"{CHUNKED}\r\n 0b\r\n{BODY}\r\n0\r\n\r\n{ONE}\r\n", [400]),
        (f"{ONE}X: 1\n\n{ONE}\r\n", [400]),
        (f"{ONE}" + f"X: {'x' * 8000}\r\n" * 5, [431]),
    ],
    ids=range(16),
)  # fmt: skip
@pytest.mark.parametrize("piece", [1 << 20, 7])
def test_requests_are_told_apart_however_they_arrive(facade: Running, sent: str, answers: list[int], piece: int) -> None:
    data = sent.replace("KEY", facade.key).encode()
    with socket.create_connection(facade.address, timeout=5) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if piece < len(data) < 2000:
            for at in range(0, len(data), piece):
                line.sendall(data[at : at + piece])
        else:
            line.sendall(data)
        seen = b"".join(iter(lambda: line.recv(65536), b""))
    assert [int(part[:3]) for part in seen.split(b"HTTP/1.")[1:] for part in [part[2:]]] == answers


@pytest.mark.parametrize("sent", DOUBTFUL, ids=range(len(DOUBTFUL)))
def test_what_another_server_could_read_otherwise_is_refused_and_nothing_after_it_is_read(facade: Running, sent: str) -> None:
    with socket.create_connection(facade.address, timeout=5) as line:
        line.sendall((sent + ONE + "\r\n").replace("KEY", facade.key).encode("latin-1"))
        [answer] = b"".join(iter(lambda: line.recv(65536), b"")).split(b"HTTP/1.")[1:]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head[2:5] in (b"400", b"417", b"431", b"501")
    assert b"X-Content-Type-Options: nosniff" in head
    assert json.loads(body)["status"] == int(head[2:5])


def test_who_asks_before_sending_a_body_is_told_to_go_on(facade: Running) -> None:
    with socket.create_connection(facade.address, timeout=5) as line:
        line.sendall(f"{POST}Expect: 100-continue\r\nContent-Length: 11\r\nConnection: close\r\n\r\n".replace("KEY", facade.key).encode())
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(BODY.encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["data"] == {"word": "brick"}


def test_hup_under_load_fails_no_request(facade: Running) -> None:
    over, failures, answered = threading.Event(), [], []

    def load(kept: bool) -> None:
        line = http.client.HTTPConnection(*facade.address, timeout=10)
        while not over.is_set():
            try:
                answer = facade.ask("/v1/things/1", line)
                (answered if answer.status == 200 else failures).append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            if not kept:
                line.close()
        line.close()

    threads = [threading.Thread(target=load, args=(kept,)) for kept in (True, False)]  # as many as there are seats
    for thread in threads:
        thread.start()
    try:
        worker = facade.child_of("gunicorn")
        facade.hup()
        until(lambda: worker not in descendants(facade.child.pid), 20)
        before = len(answered)
        until(lambda: len(answered) > before + 10)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_killed_worker_is_replaced_and_a_killed_gunicorn_ends_it_all(facade: Running) -> None:
    until(lambda: sum("gunicorn" in line for line in descendants(facade.child.pid).values()) == 2, 10)  # nobody of an earlier generation
    children = descendants(facade.child.pid)
    [master, worker] = [pid for pid, line in children.items() if "gunicorn" in line]
    os.kill(worker, signal.SIGKILL)
    until(lambda: facade.ask("/v1/things/1").status == 200)
    children |= descendants(facade.child.pid)
    os.kill(master, signal.SIGKILL)
    assert facade.child.wait(20) != 0
    assert gone(children, 10)


def test_granian_turns_away_measures_and_drains_as_gunicorn_does(mute: socket.socket, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{mute.getsockname()[1]}"
    more = {"FIGWAY_SERVER": "granian", "FIGWAY_THREADS": "10", "FIGWAY_ADMIN_BIND": "127.0.0.1:0", "FIGWAY_DRAIN": "10"}
    with serving(tmp_path, FILES, MUTE_URL=url, **more) as facade, ThreadPoolExecutor(SEATS) as hanging:
        stuck = [hanging.submit(facade.ask, f"/v1/{name}/1") for name in SILENT]
        lines = [mute.accept()[0] for _ in stuck]
        shed = facade.ask("/v1/things/1")
        assert (shed.status, shed.headers["Retry-After"], shed.headers["Content-Type"]) == (503, "1", "application/problem+json")
        assert seconds(facade, "/metrics", int(facade.told("ready")[0]["admin"].rpartition(":")[2])) < 1
        kept = http.client.HTTPConnection(*facade.address, timeout=10)
        assert facade.ask("/health/live", kept).headers["Connection"] is None
        facade.hup()
        until(lambda: facade.ask("/health/live", kept).headers["Connection"] == "close")
        kept.close()
        children = descendants(facade.child.pid)
        facade.child.terminate()
        until(lambda: facade.ask("/health/ready").status == 503)
        assert facade.ask("/health/live").status == 200
        facade.child.terminate()  # the drain need not be waited for
        assert [call.result().status for call in stuck] == [504] * SEATS
        assert facade.child.wait(10) == 0
        assert gone(children)
    for line in lines:
        line.close()
