"""What is open in the store is counted on either engine, and every transaction is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stores import Place
from tests.unit.test_metrics import value
from wrapper.metrics import Metrics
from wrapper.problems import NotReady
from wrapper.state.clock import me
from wrapper.state.records import WriteId
from wrapper.state.store import Store


def test_open_jobs_overdue_ones_and_unknown_writes_are_counted(store: Store) -> None:
    assert (store.census().jobs, store.census().overdue, store.census().oldest) == ({}, 0, 0.0)
    for key, within in (("a", 60.0), ("b", -1.0), ("c", 60.0)):
        write = WriteId("alice", "payments.create", key)
        store.reserve(write, {}, 30)
        if key == "c":
            store.settle_unknown(write)
        else:
            store.add_job(write, f"JOB{key}", {}, "", within)
    taken = store.claim(me(), 60)
    assert taken is not None
    store.failed(taken.id, me(), {})
    found = store.census()
    assert found.jobs == {"accepted": 1, "failed": 1}
    assert found.overdue == (taken.id == "JOBa")
    assert 0 < found.oldest < 60
    assert (found.unknown_writes, found.legs) == (1, {})


def test_transactions_are_timed_and_failures_counted(tmp_path: Path) -> None:
    counted = Metrics()
    place = Place(f"sqlite:///{tmp_path}/state.sqlite", tmp_path / "key")
    store = Store(place.url, events=counted)
    store.ping()
    store.jobs()
    place.file.unlink()
    with pytest.raises(NotReady):
        store.ping()
    page = counted.page()[0].decode()
    assert (value(page, 'figway_store_write_seconds_count{system="store"}') or 0) >= 2
    assert value(page, 'figway_store_read_seconds_count{system="store"}') == 1
    assert value(page, 'figway_store_failed_total{system="store"}') == 1
