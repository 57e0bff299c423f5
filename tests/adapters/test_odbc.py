"""The ODBC adapter against real PostgreSQL (behind the fault proxy) and real SQLite: the ledger, paging, faults, writes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from adapters.base import Adapter, Reply
from adapters.errors import AdapterError, Conflict, DeadlineExceeded, Misconfigured, Misread, OutcomeUnknown, Refused, Unavailable
from adapters.odbc.session import connect, database
from fixtures import customers, odbc
from fixtures.faults import Fault, Proxy
from tests.adapters.conformance import Conformance, Rig
from tests.adapters.conftest import LEDGER_CUSTOMERS
from tests.adapters.odbc_asking import ENTRIES, INCOME, ask, compiled, door, entry_of, income_of, statement
from tests.postgres import Cluster

CUSTOMER = customers.by_id()["0000012345"]


class TestOdbcConforms(Conformance):
    @pytest.fixture
    def rig(self, postgres: Cluster) -> Rig:
        def check(reply: Reply) -> None:
            assert [entry_of(r) for r in reply.records] == odbc.entries(CUSTOMER)

        target = compiled(ENTRIES)
        return Rig(
            (postgres.host, postgres.port),
            lambda address: door(postgres.odbc(address), pool={"max": 6}),
            lambda seconds: ask(target, seconds, customer_id=CUSTOMER.id),
            check,
        )


@pytest.fixture(params=["postgres", "sqlite"])
def dsn(request: pytest.FixtureRequest) -> str:
    """The same ledger in either database."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").odbc())
    return str(request.getfixturevalue("ledger")[1])


@pytest.fixture
def ask_ledger(dsn: str) -> Iterator[Adapter]:
    adapter = door(dsn)
    yield adapter
    adapter.close()


class TestTheLedger:
    def test_incomes_are_what_the_data_set_says(self, ask_ledger: Adapter) -> None:
        target = compiled(INCOME)
        for customer in LEDGER_CUSTOMERS:
            (record,) = ask_ledger.call(ask(target, customer_id=customer.id)).records
            assert income_of(record) == odbc.income(customer)

    def test_some_incomes_are_missing_and_some_dates_are_the_sentinel(self) -> None:
        known = [odbc.income(c) for c in LEDGER_CUSTOMERS]
        assert any(i.income is None for i in known)
        assert any(i.updated == odbc.UNKNOWN for i in known)

    @pytest.mark.parametrize("size", [1, 7, 119, 120, 121])
    def test_pages_of_any_size_are_the_whole_list_once(self, ask_ledger: Adapter, size: int) -> None:
        reply = ask_ledger.call(ask(compiled({**ENTRIES, "page_size": size}), customer_id=CUSTOMER.id))
        assert [entry_of(r) for r in reply.records] == odbc.entries(CUSTOMER)
        assert reply.pages == len(reply.records) // size + 1

    def test_nobody_has_no_entries(self, ask_ledger: Adapter) -> None:
        assert ask_ledger.call(ask(compiled(ENTRIES), customer_id="9999999999")).records == ()

    @pytest.mark.parametrize("value", ["0000012345' OR '1'='1", "'; DROP TABLE INCOME; --", 'é€😀 \\ " % _ ? :after', "a\nb", "", "'" * 50])
    def test_a_value_is_data_whatever_it_contains(self, ask_ledger: Adapter, value: str) -> None:
        assert ask_ledger.call(ask(compiled(INCOME), customer_id=value)).records == ()
        ask_ledger.call(ask(compiled(INCOME), customer_id=CUSTOMER.id))

    @pytest.mark.parametrize("value", ["0000012345\0", "\ud800", 2**64, datetime(2026, 1, 1, tzinfo=UTC)])
    def test_a_value_that_a_driver_would_change_is_refused(self, ask_ledger: Adapter, value: object) -> None:
        with pytest.raises(Refused):
            ask_ledger.call(ask(compiled(INCOME), customer_id=value))

    def test_more_rows_than_allowed_are_an_error_never_a_short_list(self, ask_ledger: Adapter) -> None:
        unpaged = {"sql": "SELECT ENTNO AS entry FROM ENTRY WHERE CUSTNO = :customer_id"}
        for block in (ENTRIES, unpaged):
            assert len(ask_ledger.call(ask(compiled({**block, "max_rows": 120}), customer_id=CUSTOMER.id)).records) == 120
            with pytest.raises(Misread, match="more than 119 rows"):
                ask_ledger.call(ask(compiled({**block, "max_rows": 119}), customer_id=CUSTOMER.id))

    def test_a_key_that_repeats_is_an_error(self, ask_ledger: Adapter) -> None:
        sql = "SELECT KIND AS kind, ENTNO AS entry FROM ENTRY WHERE KIND > :after ORDER BY KIND"
        with pytest.raises(Misread, match="repeated"):
            ask_ledger.call(ask(compiled({"sql": sql, "page_by": "kind", "columns": {"kind": "text"}, "page_size": 10})))

    @pytest.mark.parametrize("sql", ["UPDATE INCOME SET EXPN = 0", "DELETE FROM INCOME", "INSERT INTO ENTRY SELECT * FROM ENTRY"])
    def test_the_server_itself_refuses_writes_of_a_read_only_system(self, ask_ledger: Adapter, sql: str) -> None:
        with pytest.raises(Misconfigured, match="read only"):
            ask_ledger.call(ask(compiled({"sql": sql}, read_only=False), effect="write"))
        (record,) = ask_ledger.call(ask(compiled(INCOME), customer_id=CUSTOMER.id)).records
        assert income_of(record) == odbc.income(CUSTOMER)

    def test_a_read_that_writes_is_refused(self, ask_ledger: Adapter) -> None:
        sneaky = "WITH x AS (UPDATE INCOME SET EXPN = 0 RETURNING EXPN) SELECT EXPN AS expenses FROM x"
        with pytest.raises(Misconfigured):
            ask_ledger.call(ask(statement(sneaky)))

    def test_a_wrong_statement_is_our_fault_and_its_text_goes_no_further(self, ask_ledger: Adapter) -> None:
        with pytest.raises(Misconfigured) as met:
            ask_ledger.call(ask(statement("SELECT NOPE AS a FROM NOWHERE")))
        assert "nowhere" not in met.value.detail.lower()

    def test_eight_threads_share_two_sessions(self, dsn: str) -> None:
        adapter = door(dsn, pool={"max": 2})
        with ThreadPoolExecutor(8) as threads:
            asked = LEDGER_CUSTOMERS * 4
            replies = threads.map(lambda c: adapter.call(ask(compiled(INCOME), customer_id=c.id)), asked)
            for customer, reply in zip(asked, replies, strict=True):
                assert income_of(reply.records[0]) == odbc.income(customer)
        adapter.close()


class TestLocks:
    def locked(self, adapter: Adapter, seconds: float) -> float:
        """How long a call on the locked ledger took to fail."""
        start = time.monotonic()
        with pytest.raises((Unavailable, DeadlineExceeded)):
            adapter.call(ask(compiled(INCOME), seconds, customer_id=CUSTOMER.id))
        return time.monotonic() - start

    @pytest.mark.parametrize(("lock_timeout", "seconds"), [("400ms", 5.0), ("5s", 0.6)])
    def test_a_lock_is_waited_for_in_bounded_time(
        self, postgres: Cluster, ledger: tuple[odbc.Ledger, str], lock_timeout: str, seconds: float
    ) -> None:
        for dsn, lock in ((postgres.odbc(), odbc.locked(postgres.psycopg)), (ledger[1], ledger[0].lock())):
            adapter = door(dsn, lock_timeout=lock_timeout, pool={"max": 1})
            adapter.probe(5)
            with lock:
                assert self.locked(adapter, seconds) < 1.2
            assert adapter.call(ask(compiled(INCOME), customer_id=CUSTOMER.id)).records
            adapter.close()

    def test_an_error_rule_decides_by_sqlstate(self, ledger: tuple[odbc.Ledger, str]) -> None:
        adapter = door(ledger[1], lock_timeout="100ms")
        busy = compiled({**INCOME, "errors": {"busy": {"when": {"sqlstate": "55P03"}, "status": 409, "retry": True}}})
        adapter.probe(5)
        with ledger[0].lock(), pytest.raises(Conflict) as met:
            adapter.call(ask(busy, customer_id=CUSTOMER.id))
        assert (met.value.code, met.value.retry) == ("busy", True)
        adapter.close()


class TestTime:
    def test_a_slow_statement_ends_at_its_deadline_and_the_session_stays(self, postgres: Cluster) -> None:
        adapter = door(postgres.odbc(), pool={"max": 1})
        who = statement("SELECT pg_backend_pid() AS pid")
        before = adapter.call(ask(who)).records
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            adapter.call(ask(statement("SELECT pg_sleep(20)::text AS slept"), 0.8))
        assert time.monotonic() - start < 1.2
        assert adapter.call(ask(who)).records == before
        adapter.close()

    def test_a_long_computation_in_sqlite_is_interrupted(self, ledger: tuple[odbc.Ledger, str]) -> None:
        adapter = door(ledger[1])
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT COUNT(*) AS total FROM n"
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            adapter.call(ask(statement(endless), 0.5))
        assert time.monotonic() - start < 1.5
        assert adapter.call(ask(compiled(INCOME), customer_id=CUSTOMER.id)).records
        adapter.close()

    def test_a_session_is_replaced_when_it_is_old(self, postgres: Cluster) -> None:
        adapter = door(postgres.odbc(), pool={"max": 1, "recycle": "100ms"})
        who = statement("SELECT pg_backend_pid() AS pid")
        before = adapter.call(ask(who)).records
        time.sleep(0.15)
        assert adapter.call(ask(who)).records != before
        adapter.close()

    def test_a_session_that_rested_long_must_answer_before_it_is_used(self, postgres: Cluster) -> None:
        with Proxy((postgres.host, postgres.port)) as proxy:
            session = connect(database("ledger", postgres.odbc(proxy.address), read_only=True, lock_timeout=1.0), time.monotonic() + 5)
            assert session.fit(3600.0)
            proxy.set(Fault(mute=0))
            start = time.monotonic()
            assert session.fit(0.0)
            assert not session.fit(3600.0)
            session.close()
            assert time.monotonic() - start < 1.5


class TestOpening:
    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        adapter = door(f"DRIVER={odbc.driver()};Database={tmp_path / 'none.db'}")
        with pytest.raises(Unavailable):
            adapter.probe(2)
        assert list(tmp_path.iterdir()) == []

    def test_a_networked_driver_must_say_where_it_connects_to(self) -> None:
        with pytest.raises(Misconfigured, match="Server and Port"):
            door("DSN=ledger;UID=u;PWD=secret")

    def test_a_session_whose_socket_is_not_found_is_refused(self, postgres: Cluster) -> None:
        elsewhere = postgres.odbc().replace("Server=127.0.0.1;", "Server=127.0.0.1;pqopt={hostaddr=127.0.0.2};")
        adapter = door(elsewhere)
        with pytest.raises((Misconfigured, Unavailable)):
            adapter.probe(2)

    def test_an_unknown_driver_is_our_fault(self) -> None:
        with pytest.raises(Misconfigured):
            door("DRIVER=/nowhere/libx.so;Server=127.0.0.1;Port=1").probe(2)


class TestWrites:
    UPDATE = "UPDATE NOTE SET TEXT = :text WHERE ID = 1"

    @pytest.fixture
    def note(self, postgres: Cluster) -> Iterator[psycopg.Connection[tuple[str]]]:
        with psycopg.connect(postgres.psycopg, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS NOTE")
            connection.execute("CREATE TABLE NOTE (ID INT, TEXT TEXT, UNIQUE (TEXT) DEFERRABLE INITIALLY DEFERRED)")
            connection.execute("INSERT INTO NOTE VALUES (1, 'old'), (2, 'taken')")
            yield connection

    def text(self, note: psycopg.Connection[tuple[str]]) -> str:
        row = note.execute("SELECT TEXT FROM NOTE WHERE ID = 1").fetchone()
        assert row is not None
        return str(row[0])

    def test_a_write_is_one_statement_in_one_transaction(self, postgres: Cluster, note: psycopg.Connection[tuple[str]]) -> None:
        adapter = door(postgres.odbc(), read_only=False)
        target = compiled({"sql": self.UPDATE}, read_only=False)
        assert adapter.call(ask(target, effect="write", text="new")).records == ({"rows": 1},)
        assert self.text(note) == "new"
        with pytest.raises(Conflict):  # refused at the commit, by the server: known
            adapter.call(ask(target, effect="write", text="taken"))
        assert self.text(note) == "new"
        with pytest.raises(Misconfigured, match="is a read"):
            adapter.call(ask(target, text="newer"))
        adapter.close()

    def test_a_cut_at_any_byte_is_never_reported_as_nothing_done_when_it_was(
        self, postgres: Cluster, note: psycopg.Connection[tuple[str]]
    ) -> None:
        target, seen = compiled({"sql": self.UPDATE}, read_only=False), set()
        with Proxy((postgres.host, postgres.port)) as proxy:
            adapter = door(postgres.odbc(proxy.address), read_only=False, pool={"max": 1})
            for cut in range(0, 160, 3):
                proxy.clear()
                adapter.call(ask(target, effect="write", text="old"))
                proxy.set(Fault(cut=cut))
                try:
                    adapter.call(ask(target, effect="write", text=f"new {cut}"))
                except OutcomeUnknown as error:
                    seen.add(type(error))
                except AdapterError as error:
                    seen.add(type(error))
                    time.sleep(0.01)
                    assert self.text(note) == "old", f"reported as undone after {cut} bytes"
                else:
                    seen.add(Reply)
                    assert self.text(note) == f"new {cut}"
            adapter.close()
        assert seen == {Unavailable, OutcomeUnknown, Reply}
