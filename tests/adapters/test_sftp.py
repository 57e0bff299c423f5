"""The SFTP adapter against asyncssh (two users, one without posix-rename) and a real OpenSSH server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.base import Reply, Ticket
from adapters.errors import (
    BadLogon,
    Conflict,
    DeadlineExceeded,
    Failed,
    Misconfigured,
    Misread,
    Missing,
    OutcomeUnknown,
    PoolExhausted,
    Refused,
    Unavailable,
)
from adapters.sftp.adapter import SftpAdapter
from fixtures import extract
from fixtures.batch import Batch
from fixtures.customers import by_id, everyone
from fixtures.faults import Fault, Proxy
from fixtures.sftp import DropServer
from tests.adapters.conformance import Conformance, Rig
from tests.adapters.drops import Server, compiled
from tests.sshd import Sshd

DAY = date(2026, 11, 23)
ID = "ABCDEFGH0001"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DropServer]:
    with DropServer(tmp_path_factory.mktemp("drop"), business_date=DAY) as server:
        server.batch.stop()
        yield server


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


def at(embedded: DropServer) -> Server:
    return Server(embedded.address, embedded.user, embedded.key, embedded.host_key, embedded.root)


def openssh(sshd: Sshd, root: Path) -> Server:
    for name in ("pay/in", "pay/out", "pay/done"):
        (root / name).mkdir(parents=True)
    return Server(sshd.address, sshd.user, sshd.key, sshd.host_key, root, str(root))


class Lookups(Conformance):
    """The conformance suite over a lookup in the extract."""

    def rig_of(self, server: Server) -> Rig:
        target = compiled("applications.get", server.prefix)

        def check(reply: Reply) -> None:
            assert reply.as_of == DAY.isoformat()
            assert [record["CUST-PRICE"] for record in reply.records] == [Decimal("1631.00")]

        return Rig(server.address, server.open, lambda seconds: server.lookup(seconds, target=target), check)


class TestAsyncsshConforms(Lookups):
    @pytest.fixture
    def rig(self, embedded: DropServer) -> Rig:  # type: ignore[override]
        return self.rig_of(at(embedded))


class TestOpensshConforms(Lookups):
    @pytest.fixture
    def rig(self, sshd: Sshd, tmp_path: Path) -> Rig:  # type: ignore[override]
        server = openssh(sshd, tmp_path)
        extract.write(server.root / "extract", DAY)
        return self.rig_of(server)


@pytest.fixture(params=["asyncssh", "no posix-rename", "openssh"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    if request.param == "openssh":
        return openssh(request.getfixturevalue("sshd"), tmp_path)
    embedded: DropServer = request.getfixturevalue("embedded")
    user, root = (embedded.plain_user, embedded.plain_root) if request.param == "no posix-rename" else (embedded.user, embedded.root)
    for file in root.glob("pay/*/*"):
        file.unlink()
    return Server(embedded.address, user, embedded.key, embedded.host_key, root)


@pytest.fixture
def drop(server: Server) -> Iterator[SftpAdapter]:
    adapter = server.open()
    yield adapter
    adapter.close()


@pytest.fixture
def batch(server: Server) -> Batch:
    """The batch program, run by hand."""
    return Batch(server.root)


def noted(steps: list[str]) -> Callable[[str], None]:
    return steps.append


def soon() -> float:
    return time.monotonic() + 5


def files(server: Server, folder: str) -> set[str]:
    return {file.name for file in (server.root / "pay" / folder).iterdir()}


class TestADrop:
    def test_is_published_paid_answered_and_archived(self, server: Server, drop: SftpAdapter, batch: Batch) -> None:
        ticket, steps = server.ticket(ID, "1.50", "0.00", "99999999999.99"), list[str]()
        assert drop.collect([ticket], soon()) == []
        drop.submit(ticket, noted(steps))
        assert steps == ["renaming", "triggering", "published"]
        assert files(server, "in") == {f"PAY.{ID}.DAT", f"PAY.{ID}.DAT.OK"}
        batch.run()
        assert batch.journal.batches == [(ID, "processed")]
        assert [payment.amount for payment in batch.journal.payments] == [Decimal("1.50"), Decimal("99999999999.99")]
        ((met, reply),) = drop.collect([ticket], soon())
        assert met is ticket
        assert isinstance(reply, Reply)
        assert [(r["RSP-SEQUENCE"], r["RSP-STATUS"], r["RSP-REASON"], r["RSP-AMT"]) for r in reply.records] == [
            (1, "A", "", Decimal("1.50")), (2, "R", "AMNT", Decimal("0.00")), (3, "A", "", Decimal("99999999999.99")),
        ]  # fmt: skip
        drop.archive(ticket, soon())
        drop.archive(ticket, soon())
        assert (files(server, "out"), files(server, "done")) == (set(), {f"PAY.{ID}.RSP", f"PAY.{ID}.RSP.OK"})
        assert drop.collect([ticket], soon()) == []

    def test_a_batch_the_back_end_has_had_is_a_conflict(self, server: Server, drop: SftpAdapter, batch: Batch) -> None:
        ticket = server.ticket(ID, "1.50")
        for _ in range(2):
            drop.submit(ticket, noted([]))
            batch.run()
            answers = drop.collect([ticket], soon())
            drop.archive(ticket, soon())
        assert [(type(answer), answer.backend) for _, answer in answers] == [(Conflict, "drop")]
        assert batch.journal.outcomes(ID) == ["processed", "duplicate"]
        assert len(batch.journal.payments) == 1
        assert files(server, "done") == {f"PAY.{ID}.RSP", f"PAY.{ID}.RSP.OK", f"PAY.{ID}.RSP.1", f"PAY.{ID}.RSP.OK.1"}

    def test_never_overwrites_a_file_of_its_name(self, server: Server, drop: SftpAdapter) -> None:
        there = server.root / "pay" / "in" / f"PAY.{ID}.DAT"
        there.write_bytes(b"not ours")
        steps: list[str] = []
        with pytest.raises(Failed):
            drop.submit(server.ticket(ID, "1.50"), noted(steps))
        assert steps == ["renaming"]
        assert there.read_bytes() == b"not ours"
        assert files(server, "in") == {there.name}

    def test_that_does_not_fit_the_copybook_leaves_nothing_behind(self, server: Server, drop: SftpAdapter) -> None:
        with pytest.raises(Refused, match=r"record 2: PAY-AMT: the number has more than 13 digits"):
            drop.submit(server.ticket(ID, "1", "100000000000"), noted([]))
        with pytest.raises(Refused, match=r"record 1: PAY-DEBTOR-ACCT: 13 characters do not fit"):
            drop.submit(server.ticket(ID, "1", debtor="0001000100011"), noted([]))
        assert files(server, "in") == set()

    @pytest.mark.parametrize("durable", [True, False])
    @pytest.mark.parametrize("dies_at", ["renaming", "triggering", "published"])
    @pytest.mark.parametrize("taken", [True, False])
    def test_survives_a_death_at_any_step_and_is_paid_once(
        self, server: Server, drop: SftpAdapter, batch: Batch, dies_at: str, durable: bool, taken: bool
    ) -> None:
        """The worker dies as it records a step: once it is durable (its act is still to be done), or before (the act before is done)."""
        recorded = [""]

        def record(step: str) -> None:
            if step != dies_at or durable:
                recorded.append(step)
            if step == dies_at:
                raise InterruptedError

        ticket = server.ticket(ID, "1.50", "2.50")
        with pytest.raises(InterruptedError):
            drop.submit(ticket, record)
        if taken:
            batch.run()
        drop.submit(Ticket(ID, server.ticket(ID, "1.50", "2.50").call, recorded[-1]), noted(recorded))
        assert recorded[-1] == "published"
        batch.run()
        assert batch.journal.batches == [(ID, "processed")]
        assert len(batch.journal.payments) == 2
        assert files(server, "in") == set()

    @pytest.mark.parametrize(("step", "there"), [
        ("renaming", []),  # neither the temporary file nor the real one: who took it?
        ("renaming", ["DAT.tmp", "DAT"]),  # both: a server that copies, or another's file
        ("renaming", ["DAT"]),  # of another size
        ("triggering", ["DAT.OK.tmp"]),  # the data is gone and its trigger was never given
        ("painting", []),
    ])  # fmt: skip
    def test_whose_outcome_can_not_be_told_is_unknown(self, server: Server, drop: SftpAdapter, step: str, there: list[str]) -> None:
        for name in there:
            (server.root / "pay" / "in" / f"PAY.{ID}.{name}").write_bytes(b"?")
        with pytest.raises(OutcomeUnknown):
            drop.submit(server.ticket(ID, "1.50", step=step), noted([]))
        assert files(server, "in") == {f"PAY.{ID}.{name}" for name in there}

    def test_cut_off_at_the_rename_is_looked_at_again_at_once(self, server: Server, batch: Batch) -> None:
        with Proxy(server.address) as proxy:
            drop, steps = server.open(proxy.address), list[str]()

            def record(step: str) -> None:
                steps.append(step)
                proxy.set(Fault(refuse=True))
                proxy.clear()

            drop.submit(server.ticket(ID, "1.50"), record)
            drop.close()
        assert steps == ["renaming", "triggering", "published"]
        batch.run()
        assert len(batch.journal.payments) == 1

    def test_whose_server_falls_silent_at_the_rename_is_unknown_in_time_and_found_later(self, server: Server, batch: Batch) -> None:
        with Proxy(server.address) as proxy:
            drop, steps = server.open(proxy.address), list[str]()

            def record(step: str) -> None:
                steps.append(step)
                proxy.set(Fault(mute=0))

            start = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                drop.submit(server.ticket(ID, "1.50", seconds=1.0), record)
            assert time.monotonic() - start < 2.0
            proxy.clear()
            drop.submit(server.ticket(ID, "1.50", step=steps[-1]), noted(steps))
            drop.close()
        assert steps == ["renaming", "triggering", "published"]
        batch.run()
        assert len(batch.journal.payments) == 1


class TestAReply:
    def put(self, server: Server, id: str, text: str, done: bool = True) -> None:
        reply = server.root / "pay" / "out" / f"PAY.{id}.RSP"
        reply.write_bytes(text.encode("cp037"))
        if done:
            reply.with_name(reply.name + ".OK").touch()

    def line(self, id: str) -> str:
        return f"{id}00001A    000000000015{'{'}     "

    def test_is_not_read_before_its_done_file(self, server: Server, drop: SftpAdapter) -> None:
        self.put(server, ID, self.line(ID), done=False)
        assert drop.collect([server.ticket(ID, "1.50")], soon()) == []

    @pytest.mark.parametrize(("text", "words"), [
        ("", "does not consist of records of 40 bytes"),
        ("too short", "does not consist of records of 40 bytes"),
        (f"{ID}0000XA    0000000000150     ", "RSP-SEQUENCE of record 1, byte 12"),
        ("ABCDEFGH000200001A    000000000015{     ", "RSP-BATCH-ID is not the batch's"),
    ])  # fmt: skip
    def test_that_is_not_what_the_copybook_says_fails_its_own_ticket_only(
        self, server: Server, drop: SftpAdapter, text: str, words: str
    ) -> None:
        other = "ABCDEFGH0009"
        self.put(server, ID, text)
        self.put(server, other, self.line(other))
        tickets = [server.ticket(ID, "1.50"), server.ticket(other, "1.50")]
        answers = {ticket.id: answer for ticket, answer in drop.collect(tickets, soon())}
        assert isinstance(answers[ID], Misread)
        assert words in str(answers[ID])
        assert isinstance(answers[other], Reply)

    def test_of_nobody_who_waits_is_left_alone(self, server: Server, drop: SftpAdapter) -> None:
        self.put(server, ID, self.line(ID))
        assert drop.collect([server.ticket("ABCDEFGH0002", "1.50")], soon()) == []
        assert files(server, "out") == {f"PAY.{ID}.RSP", f"PAY.{ID}.RSP.OK"}


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[DropServer]:
    """A server of one's own, to spoil."""
    with DropServer(tmp_path, business_date=DAY) as server:
        yield server


@pytest.fixture
def master(lone: DropServer) -> Path:
    return lone.root / "extract" / extract.NAME


@pytest.fixture
def look(lone: DropServer) -> Iterator[Callable[..., Reply]]:
    adapter, target = at(lone).open(), compiled("applications.get")
    yield lambda id="0000012345": adapter.call(at(lone).lookup(5, id, target))
    adapter.close()


class TestALookup:
    def test_tells_the_truth_about_every_kind_of_customer(self, look: Callable[..., Reply], lone: DropServer) -> None:
        everybody = everyone()
        some = [*everybody[:20], *(c for c in everybody if None in (c.home, c.marital, c.job)), everybody[-1]]
        for customer in some:
            (record,) = look(customer.id).records
            met = [record[f"CUST-{name}"] for name in ("SENIORITY", "HOME", "TIME", "AGE", "MARITAL", "JOB", "AMOUNT", "PRICE")]
            assert met == [customer.seniority, customer.home or "", customer.time, customer.age, customer.marital or "",
                           customer.job or "", customer.amount, customer.price]  # fmt: skip
        assert lone.opened[f"/extract/{extract.NAME}"] <= 2

    def test_of_nobody_is_missing_and_of_no_key_refused(self, look: Callable[..., Reply]) -> None:
        with pytest.raises(Missing):
            look("9999999999")
        with pytest.raises(Refused):
            look("99999999999")
        with pytest.raises(Refused):
            look("000001234X")

    def test_by_many_threads_is_one_connection_and_one_download(self, look: Callable[..., Reply], lone: DropServer) -> None:
        with ThreadPoolExecutor(16) as threads:
            replies = list(threads.map(look, [c.id for c in everyone()[:64]]))
        assert [reply.records[0]["CUST-NO"] for reply in replies] == [int(c.id) for c in everyone()[:64]]
        assert lone.opened[f"/extract/{extract.NAME}"] == 1
        assert lone.accepted == 1

    def test_follows_a_new_extract_and_serves_the_old_one_until_it_is_ready(self, look: Callable[..., Reply], master: Path) -> None:
        assert look().as_of == "2026-11-23"
        done = master.with_name(master.name + ".OK")
        done.unlink()
        master.write_bytes(b"half of the next one")
        assert look().as_of == "2026-11-23"
        extract.write(master.parent, date(2026, 11, 24))
        os.utime(master, (0, master.stat().st_mtime + 60))
        assert look().as_of == "2026-11-24"

    def test_sees_an_extract_that_was_written_twice_in_one_second(self, look: Callable[..., Reply], master: Path) -> None:
        """SFTP tells times in whole seconds, and both are equally long."""
        then = master.stat().st_mtime
        assert look().as_of == "2026-11-23"
        extract.write(master.parent, date(2026, 11, 24))
        for file in (master, master.with_name(master.name + ".OK")):
            os.utime(file, (then, then))
        until = time.monotonic() + 5
        while look().as_of != "2026-11-24":
            assert time.monotonic() < until
            time.sleep(0.2)

    def test_before_there_is_a_complete_extract_is_unavailable(self, look: Callable[..., Reply], master: Path) -> None:
        master.with_name(master.name + ".OK").unlink()
        with pytest.raises(Unavailable, match="not complete"):
            look()

    @pytest.mark.parametrize(("spoil", "words"), [
        (lambda data: data[:-1], "left over"),
        (lambda data: data[:-80], "trailer is missing"),
        (lambda data: data[80:], "header is missing"),
        (lambda data: data[:800] + data[880:], "counts 4454 records, it has 4453"),
        (lambda data: data[:160] + data[80:160] + data[240:], "same CUST-NO in two records"),
        (lambda data: data[:160] + data[:80] + data[240:], "record at byte 160 is not of the copybook's kind"),
        (lambda data: data[:9] + b"\xf2\xf0\xf2\xf6\xf1\xf3\xf0\xf1" + data[17:], "no valid business date"),
        (lambda data: b"", "no header and trailer"),
    ])  # fmt: skip
    def test_in_a_broken_extract_is_a_misread(
        self, look: Callable[..., Reply], master: Path, spoil: Callable[[bytes], bytes], words: str
    ) -> None:
        master.write_bytes(spoil(master.read_bytes()))
        with pytest.raises(Misread, match=words):
            look()

    def test_of_a_record_with_a_bad_nibble_names_the_field_and_not_the_value(self, look: Callable[..., Reply], master: Path) -> None:
        data = bytearray(master.read_bytes())
        data[91] = 0xFF
        master.write_bytes(data)
        with pytest.raises(Misread, match=r"CUST-SENIORITY of record 2, byte 91: a nibble of the packed number is not a digit"):
            look("0000010001")
        assert look("0000010002").records[0]["CUST-SENIORITY"] == by_id()["0000010002"].seniority


class TestOneConnection:
    def test_a_caller_out_of_time_does_not_take_the_others_down(self, lone: DropServer) -> None:
        with Proxy(lone.address) as proxy, ThreadPoolExecutor(1) as thread:
            adapter = at(lone).open(proxy.address)
            adapter.probe(5)
            proxy.set(Fault(latency=0.4))
            other = thread.submit(adapter.probe, 5)
            time.sleep(0.05)
            with pytest.raises(DeadlineExceeded):
                adapter.probe(0.1)
            other.result(5)
            proxy.clear()
            assert lone.accepted == 1
            adapter.probe(5)
            adapter.close()
        assert lone.accepted == 2  # the connection of the time-out was given up

    def test_has_no_more_callers_at_once_than_it_may(self, lone: DropServer) -> None:
        with Proxy(lone.address) as proxy, ThreadPoolExecutor(1) as thread:
            adapter = at(lone).open(proxy.address, pool={"max": 1})
            adapter.probe(5)
            proxy.set(Fault(latency=0.4))
            other = thread.submit(adapter.probe, 5)
            time.sleep(0.05)
            with pytest.raises(PoolExhausted):
                adapter.probe(0.1)
            other.result(5)
            adapter.close()


class TestLoggingOn:
    def test_to_a_server_with_another_host_key_is_our_misconfiguration(self, embedded: DropServer, lone: DropServer) -> None:
        adapter = at(embedded).open(host_key=lone.host_key)
        with pytest.raises(Misconfigured, match="host key is not the pinned one"):
            adapter.probe(5)
        adapter.close()

    @pytest.mark.parametrize("which", ["asyncssh", "openssh"])
    def test_with_a_key_that_is_not_known_is_a_bad_logon(
        self, which: str, lone: DropServer, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        server = (
            at(request.getfixturevalue("embedded")) if which == "asyncssh" else openssh(request.getfixturevalue("sshd"), tmp_path / "x")
        )
        adapter = server.open(key=lone.key)
        with pytest.raises(BadLogon) as met:
            adapter.probe(5)
        assert (met.value.backend, met.value.status) == ("drop", 502)
        adapter.close()

    @pytest.mark.parametrize("setting", ["key", "host_key", "port"])
    def test_settings_that_are_none_are_told_without_showing_them(self, setting: str, embedded: DropServer) -> None:
        with pytest.raises(Misconfigured) as met:
            at(embedded).open(**{setting: "seCret"})
        assert "seCret" not in str(met.value)
