"""A store that is down, full, locked, stalled, moved or damaged: a 503 within three seconds, reads where they can be had, no restart."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from adapters.errors import PoolExhausted
from fixtures.faults import Fault, Proxy
from tests.postgres import Cluster
from tests.unit.stores import Place, on_postgres, on_sqlite
from tests.waiting import until
from wrapper.migration.facts import Batch
from wrapper.policy.keys import Caller
from wrapper.problems import NotReady, Unsure
from wrapper.state.database import BadStore
from wrapper.state.holder import Holder
from wrapper.state.postgres import Postgres
from wrapper.state.records import WriteId
from wrapper.state.sqlite import network_file_system
from wrapper.state.store import Store

WRITE = WriteId("alice", "payments.create", "key-1")
BOUND = 3.3


def not_ready(act: Callable[[], object]) -> None:
    """It can't be done, which is said in time."""
    began = time.monotonic()
    with pytest.raises(NotReady) as met:
        act()
    assert time.monotonic() - began < BOUND
    assert "secret" not in str(met.value)


def all_told(act: Callable[[], object]) -> bool:
    """Whether 32 threads that try it together are all refused, and in time."""
    took: list[float] = []

    def refused() -> None:
        began = time.monotonic()
        with suppress(NotReady):
            act()
            return
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=refused) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) == 32 and max(took) < BOUND


def works(store: Store, name: str = "again") -> None:
    write = WriteId("alice", "payments.create", name)
    assert store.reserve(write, {}, 30).state == "new"
    store.settle(write, {"status": 200})
    assert store.reserve(write, {}, 30).answer == {"status": 200}
    store.ping()


@pytest.fixture
def known(store: Store) -> str:
    """A key's id."""
    return store.issue(Caller("alice")).split("_")[1]


def test_while_another_holds_the_store_reads_go_on_and_all_who_write_are_told_in_time(store: Store, place: Place, known: str) -> None:
    if place.url.startswith("sqlite"):
        other: sqlite3.Connection | psycopg.Connection = sqlite3.connect(place.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    else:
        other = psycopg.connect(place.url)
        other.execute("LOCK TABLE writes, figway IN EXCLUSIVE MODE")
    with closing(other):
        assert store.key(known) is not None
        assert all_told(lambda: store.reserve(WRITE, {}, 30))
        assert store.key(known) is not None
        other.rollback()
    works(store)


def test_a_full_store_takes_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with closing(on_sqlite(tmp_path).open()) as store:
        with store._db.transaction() as tx:
            tx.execute("PRAGMA max_page_count=1")  # as many as there are
        filled = 0
        with suppress(NotReady):
            for filled in range(200):
                store.reserve(write := WriteId("a", "b", str(filled)), {}, 60)
                store.add_job(write, f"JOB{filled}", {"x": "y" * 500}, "", 60)
        assert 0 < filled < 199
        not_ready(lambda: store.add_job(WRITE, "ONE MORE", {"x": "y" * 9000}, "", 60))
        assert store.job("JOB0") is not None
        assert store.job("ONE MORE") is None
        with store._db.transaction() as tx:
            tx.execute("PRAGMA max_page_count=100000")
        works(store)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "figway-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_not_ready_until_there_is_room(disk: Path) -> None:
    with closing(on_sqlite(disk).open()) as store:
        works(store, "before")
        with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with suppress(NotReady):
            for n in range(100):
                store.bump([f"g{n}"])
        not_ready(store.ping)
        assert store.generation("g") == 0
        (disk / "ballast").unlink()
        works(store)


def test_a_read_only_disk_is_not_ready_until_it_can_be_written(disk: Path) -> None:
    with closing(on_sqlite(disk).open()) as store:
        store.close()  # what is open for writing keeps a disk writable
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        not_ready(store.ping)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        works(store)


def test_a_file_that_was_moved_away_takes_no_promise_into_nowhere(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store:
        works(store, "before")
        place.file.rename(tmp_path / "aside")
        not_ready(lambda: store.reserve(WRITE, {}, 30))
        not_ready(lambda: store.generation("a"))
        assert not place.file.exists()  # none is made anew, empty
        (tmp_path / "aside").rename(place.file)
        assert store.reserve(WriteId("alice", "payments.create", "before"), {}, 30).state == "done"
        works(store)


def _scratched(path: Path) -> bytes:
    """Its contents before everything but the first page was overwritten."""
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (len(before) - 4096))
    return before


def test_a_damaged_file_is_refused_at_the_start_with_what_to_do(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    place.open().close()
    _scratched(place.file)
    with pytest.raises(BadStore, match="restore a backup"):
        place.open()
    place.file.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(BadStore, match="restore a backup"):
        place.open()


def test_damage_that_is_met_while_serving_stops_all_writing_until_the_file_is_whole(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store:
        before = _scratched(place.file)
        not_ready(lambda: store.job("X"))
        not_ready(store.ping)
        not_ready(lambda: store.reserve(WRITE, {}, 30))
        place.file.write_bytes(before)
        store.close()
        works(store)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/srv/state/s", "nfs4"), ("/srv/s", ""), ("/mnt/a b/s", "fuse.sshfs"), ("/mnt/s", ""), ("/win/s", "9p"), ("/srv/state/local/s", "")],
)
def test_a_network_file_system_is_known(path: str, kind: str) -> None:
    mounts = (
        "/dev/a / ext4 rw 0 0\n/dev/b /srv/state ext4 rw 0 0\nhost:/x /srv/state nfs4 rw 0 0\nme@host: /mnt/a\\040b fuse.sshfs rw 0 0\n"
        "/dev/c /mnt fuse.fuse-overlayfs rw 0 0\nC: /win 9p rw 0 0\n/dev/d /srv/state/local xfs rw 0 0\n"
    )
    assert network_file_system(Path(path), mounts) == kind


@pytest.fixture
def line(server: Cluster) -> Iterator[Proxy]:
    with Proxy((server.host, server.port)) as proxy:
        yield proxy


@pytest.fixture
def far(server: Cluster, line: Proxy, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store behind a line that can fail."""
    name = f"f{abs(hash(request.node.name)) % 10**9}"
    with closing(on_postgres(server, tmp_path, name, line.address).open()) as store:
        yield store


@pytest.mark.parametrize("fault", [Fault(mute=30), Fault(cut=0), Fault(cut=40, reset=True), Fault(garbage=True), Fault(refuse=True)])
def test_a_server_that_stalls_or_breaks_off_is_a_503_in_time_and_its_connection_is_never_used_again(
    far: Store, line: Proxy, fault: Fault
) -> None:
    works(far, "before")
    line.set(fault)
    not_ready(lambda: far.generation("a"))
    opened = line.accepted
    line.clear()
    time.sleep(0.5)  # what was held back arrives, late, at a connection that is closed
    far.bump(["a"])
    assert far.generation("a") == 1
    assert line.accepted > opened
    works(far)


def test_where_requests_wait_for_the_store_s_connections_moves_are_heard_of_and_evidence_is_told(server: Cluster, tmp_path: Path) -> None:
    place = on_postgres(server, tmp_path, "crowded")
    with closing(place.open()) as store, psycopg.connect(place.url) as other:
        other.execute("LOCK TABLE writes IN ACCESS EXCLUSIVE MODE")
        waiting = [threading.Thread(target=lambda: not_ready(lambda: store.reserve(WRITE, {}, 30))) for _ in range(8)]
        for thread in waiting:
            thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert store.standings() == (0, {})
        store.record(Batch(recent=Counter({("a", 1, "compared"): 1})))
        assert time.monotonic() - began < 0.7
        with pytest.raises(NotReady, match="busy"):
            store.generation("a")
        for thread in waiting:
            thread.join()


@pytest.mark.parametrize("at_its_end", [True, False])
def test_a_transaction_whose_end_was_not_heard_of_may_have_been_done(
    server: Cluster, line: Proxy, tmp_path: Path, at_its_end: bool
) -> None:
    def act(database: Postgres) -> None:
        with database.transaction() as tx:
            for n in range(2):
                if n:
                    line.set(Fault(refuse=True))
                if not n or not at_its_end:
                    tx.execute("INSERT INTO generations (name, number) VALUES (?, 1)", (str(n),))

    place = on_postgres(server, tmp_path, f"unsure{at_its_end:d}", line.address)
    place.open().close()
    with closing(Postgres(place.url, tmp_path)) as database:
        with pytest.raises(NotReady) as met:
            act(database)
        assert isinstance(met.value, Unsure) == at_its_end


def test_many_threads_before_a_server_that_is_mute_are_all_told_in_time(far: Store, line: Proxy) -> None:
    line.set(Fault(mute=0))
    assert all_told(far.ping)
    line.clear()
    works(far)


def test_a_server_that_was_restarted_is_used_again_without_an_error(far: Store, server: Cluster) -> None:
    works(far, "before")
    ours = "FROM pg_stat_activity WHERE application_name = 'figway'"
    with psycopg.connect(server.psycopg, autocommit=True) as other:
        assert other.execute(f"SELECT pg_terminate_backend(pid) {ours}".encode()).fetchall()
        until(lambda: not other.execute(f"SELECT pid {ours}".encode()).fetchall())
    time.sleep(0.2)  # its farewell is on its way through the proxy
    works(far)


def test_a_worker_can_begin_while_the_store_is_away_and_serves_when_it_is_back(server: Cluster, line: Proxy, tmp_path: Path) -> None:
    place = on_postgres(server, tmp_path, "patient", line.address)
    place.open().close()
    line.set(Fault(refuse=True))
    with pytest.raises(BadStore, match="can't be reached"):
        place.open()
    with closing(Store(place.url, place.key, patient=True)) as store:
        not_ready(store.ping)
        not_ready(lambda: store.reserve(WRITE, {}, 30))
        line.clear()
        works(store)


def test_a_worker_makes_no_store_anew_where_one_was_lost(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(Store(place.url, place.key, patient=True)) as store:
        not_ready(store.ping)
    assert not place.file.exists()
    assert not place.key.exists()


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@127.0.0.1:1/x", "postgresql://u:secret@[::1/x", "postgresql://u:secret@127.0.0.1:1/x?no=1"]
)
def test_a_password_is_never_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadStore) as met:
        Store(url, tmp_path / "key")
    assert "secret" not in str(met.value)
    assert "secret" not in repr(met.value.__cause__)


def test_what_is_barred_while_the_store_is_away_is_barred_before_its_lease_is_free(far: Store, line: Proxy) -> None:
    holder, other = Holder(far, "elsewhere/a"), Holder(far, "elsewhere/b")
    with closing(holder), closing(other):
        assert holder.take(["LU"]) == "LU"
        line.set(Fault(refuse=True))
        holder.bar("LU#credential")
        holder.give("LU")
        assert not holder.holds("LU", time.monotonic())
        assert holder.barred("LU#credential")
        with pytest.raises(PoolExhausted):
            other.take(["LU"])
        with pytest.raises(PoolExhausted):
            other.barred("LU#credential")
        line.clear()
        until(lambda: _taken(other), 5)
        assert other.barred("LU#credential")


def _taken(holder: Holder) -> bool:
    with suppress(PoolExhausted):
        return holder.take(["LU"]) is not None
    return False
