"""What two workers keep of the mainframe's answers, and what becomes of a write whose worker is killed: counted by the host itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fixtures.estate import SESSIONS
from fixtures.faults import Fault, Proxy
from fixtures.host3270 import USERS, Host3270
from tests import needs
from tests.flow.client import Facade, Response
from tests.flow.conftest import EVERYBODY, READS
from tests.live import CATALOGUE, serving
from tests.processes import descendants
from wrapper import cli
from wrapper.policy import keys

WORKERS = 2
CALLERS = (
    keys.Caller("teller", frozenset(f"{READS} customers:write".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("auditor", frozenset(f"{READS} pii:read cache:bypass".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("officer", frozenset({"subjects:erase"})),
)
CHANGES = {
    "customers.get": ("deadline: 8s", "deadline: 8s, cache: {ttl: 10m}"),
    "accounts.list": ("deadline: 8s", "deadline: 2s, cache: {ttl: 1s, stale_if_down: 10m}"),
    "customers.move": ("effect: write", "effect: write\ninvalidates: [customers.get]"),
}


@dataclass(frozen=True)
class World:
    """The facade, the mainframe, and the way to it."""

    facade: Any
    host: Host3270
    line: Proxy
    state: str

    def figway(self, *words: str) -> tuple[int, str]:
        """What a command about this store says, and its exit code."""
        done = CliRunner().invoke(cli.figway, [*words, "--state", self.state])
        return done.exit_code, done.output

    def questions(self) -> int:
        """How often the host was asked about a customer."""
        return self.host.journal.count("key", "CUSTINQ enter")

    def ask(self, path: str, **sent: Any) -> Response:
        response: Response = self.facade.ask(f"GET /v1/customers/{path}", **sent)
        return response

    def move(self, customer: str, line1: str) -> Response:
        body, sent = {"line1": line1, "town": "LEEDS", "postcode": "LS1 4DY"}, {"Idempotency-Key": line1.replace(" ", "-")}
        response: Response = self.facade.ask(f"PUT /v1/customers/{customer}/address", body=body, headers=sent)
        return response

    def commits(self, line1: str) -> int:
        return sum(e.after is not None and e.after.line1 == line1 for e in self.host.journal.entries("commit"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    needs.program("s3270")
    folder = tmp_path_factory.mktemp("kept")
    catalogue = Path(shutil.copytree(CATALOGUE, folder / "catalogue"))
    systems = catalogue / "systems.yaml"
    systems.write_text(systems.read_text().partition("  bureau:")[0])
    for file in (catalogue / "endpoints").glob("*.yaml"):
        if file.stem not in CHANGES:
            file.unlink()
            continue
        text = file.read_text().replace(*CHANGES[file.stem])
        file.write_text(re.sub(r"^(modern|migration):.*\n( .*\n)*", "", text, flags=re.M))
    host = Host3270(ghost_seconds=1.0)
    with Proxy(host.start()) as line:
        settings = {
            "COREBANK_HOST": line.address[0], "COREBANK_PORT": str(line.address[1]), "FIGWAY_WORKERS": str(WORKERS),
            "FIGWAY_MODELS": str(CATALOGUE.parent / "models"),
            **{f"{user.name}_LOGIN": f"{user.name}:{user.password}" for user in USERS[:SESSIONS]},
        }  # fmt: skip
        with serving(settings, CALLERS, folder, catalogue) as served:
            yield World(Facade(served.address, served.keys, None, served.log), host, line, served.state)  # type: ignore[arg-type]
    host.stop()


def test_equal_questions_at_once_are_one_at_the_host_for_each_worker(world: World) -> None:
    world.host.switches.slow = 0.05
    before = world.host.journal.count("key", "CUSTINQ enter")
    with ThreadPoolExecutor(20) as many:
        seen = list(many.map(lambda _: world.ask("0000010001"), range(20)))
    world.host.switches.slow = 0.0
    assert {answer.status for answer in seen} == {200}
    assert len({answer.headers["etag"] for answer in seen}) == 1
    assert 1 <= world.host.journal.count("key", "CUSTINQ enter") - before <= WORKERS


def test_no_worker_shows_the_old_address_once_the_write_has_answered(world: World) -> None:
    customer = "0000010003"
    with ThreadPoolExecutor(8) as many:
        for n in range(3):
            list(many.map(lambda _: world.ask(customer), range(8)))  # now both keep it
            assert world.move(customer, f"{n} NEW STREET").status == 200
            shown = {answer.body["data"]["line1"] for answer in many.map(lambda _: world.ask(customer), range(8))}
            assert shown == {f"{n} NEW STREET"}


def test_an_etag_is_of_what_its_caller_may_see(world: World) -> None:
    path = "0000010001/accounts"
    seen, whole = world.ask(path), world.ask(path, key="auditor")
    assert seen.headers["etag"] != whole.headers["etag"]
    again = world.ask(path, headers={"If-None-Match": f'"other", W/{seen.headers["etag"]}'})
    assert (again.status, again.content, again.headers["etag"]) == (304, b"", seen.headers["etag"])
    assert world.ask(path, key="auditor", headers={"If-None-Match": seen.headers["etag"]}).status == 200
    assert world.ask(path, key=None, headers={"If-None-Match": seen.headers["etag"]}).status == 401


def test_an_erasure_reaches_both_workers_and_all_that_was_kept_and_the_trail_verifies(world: World) -> None:
    customer, line1, person = "0000010005", "5 ERASED STREET", "customer=0000010005"
    asked: list[Response] = []
    with ThreadPoolExecutor(8) as many:

        def all_had_to_ask(within: float) -> None:
            """Each worker has asked the host once, and keeps that."""
            before, end = world.questions(), time.monotonic() + within
            while world.questions() - before < WORKERS:
                assert time.monotonic() < end
                asked.extend(many.map(lambda _: world.ask(customer), range(8)))

        assert world.move(customer, line1).status == 200
        all_had_to_ask(10)
        before = {answer.headers["x-request-id"] for answer in asked}
        code, told = world.figway("audit", "show", "--subject", person)
        assert before <= {json.loads(line).get("request") for line in told.splitlines()}
        body = {"kind": "customer", "value": customer, "why": "case 1"}
        erased = world.facade.ask("POST /subjects/erase", key="officer", body=body)
        end = time.monotonic() + 2
        assert (erased.status, erased.body["erased"]["writes"], erased.body["erased"]["keys"]) == (200, 1, 1)
        assert world.figway("audit", "show", "--subject", person) == (0, "no records\n")
        all_had_to_ask(end - time.monotonic())
    assert {answer.status for answer in asked} == {200}
    commits = world.commits(line1)
    assert (world.move(customer, line1).status, world.commits(line1)) == (410, commits)
    code, told = world.figway("audit", "verify")
    assert (code, "no fault" in told) == (0, True), told
    shown = {json.loads(line).get("request") for line in world.figway("audit", "show", "--subject", person)[1].splitlines()}
    assert shown - {None}
    assert not shown & before  # what came after the erasure is of somebody new


def test_a_write_whose_worker_is_killed_between_commit_and_confirmation_is_found_done(world: World) -> None:
    customer, line1 = "0000010004", "9 KILL STREET"
    assert world.ask(customer).status == 200  # signed on
    workers, world.host.switches.slow = _workers(world), 0.3
    lost = threading.Thread(target=_broken, args=(world, customer, line1))
    lost.start()
    until = time.monotonic() + 10
    while not world.commits(line1) and time.monotonic() < until:
        time.sleep(0.005)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    world.host.switches.slow = 0.0
    lost.join(10)
    until = time.monotonic() + 15
    while (seen := _broken(world, customer, line1)) is None or seen.status != 200:
        assert time.monotonic() < until, seen and seen.body
        time.sleep(0.1)
    assert seen.body["meta"]["settled"] == "by asking"
    assert seen.body["data"]["line1"] == line1
    assert world.ask(customer).body["data"]["line1"] == line1
    assert world.commits(line1) == 1


@pytest.mark.parametrize("fault", [Fault(refuse=True), Fault(mute=0)])
def test_a_host_that_is_down_or_mute_is_stood_in_for_and_it_is_said(world: World, fault: Fault) -> None:
    path, until = "0000012345/accounts", time.monotonic() + 15
    with ThreadPoolExecutor(8) as many:
        while any(answer.status != 200 for answer in many.map(lambda _: world.ask(path), range(8))):
            assert time.monotonic() < until  # ghosts and breakers of what was before
            time.sleep(0.1)
        fresh, began = world.ask(path), time.monotonic()  # both keep it
        world.line.set(fault)
        try:
            time.sleep(max(0.0, began + 1.5 - time.monotonic()))
            began = time.monotonic()
            answer = world.ask(path)
            assert time.monotonic() - began < 3
        finally:
            world.line.clear()
    assert answer.status == 200
    assert answer.body["data"] == fresh.body["data"]
    assert answer.body["meta"]["sources"][0]["stale"] is True
    assert int(answer.headers["age"]) >= 1


def _broken(world: World, customer: str, line1: str) -> Response | None:
    """None when the connection broke."""
    try:
        return world.move(customer, line1)
    except OSError:
        return None


def _workers(world: World) -> list[int]:
    """gunicorn's, of this facade and no other."""
    of_ours = {pid: line for pid, line in descendants(os.getpid()).items() if "gunicorn" in line and _asks(pid, world.line.address[1])}
    return [pid for pid in of_ours if any(pid in descendants(other) for other in of_ours)]


def _asks(pid: int, port: int) -> bool:
    return f"COREBANK_PORT={port}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
