"""One estate and one facade under real gunicorn for all flow tests: `figway serve`, as anybody would start it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from fixtures.estate import Estate
from tests import needs
from tests.flow.client import Facade
from tests.live import serving
from wrapper.policy import keys

READS = "customers:read accounts:read credit:read ledger:read applications:read risk:read"
EVERYBODY = {"customer": frozenset({"*"})}
CALLERS = (
    keys.Caller("teller", frozenset(f"{READS} customers:write payments:write".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("other", frozenset(f"{READS} customers:write payments:write".split()), frozenset({"credit-risk"}), EVERYBODY),
    keys.Caller("auditor", frozenset(f"{READS} pii:read".split()), frozenset({"credit-risk", "servicing"}), EVERYBODY),
    keys.Caller("bound", frozenset(READS.split()), frozenset({"credit-risk"}), {"customer": frozenset({"0000012345"})}),
    keys.Caller("operator", frozenset({"health:read"})),
)


@pytest.fixture(scope="session")
def estate() -> Iterator[tuple[Estate, Mapping[str, str]]]:
    """The servers, and the settings by which they are reached."""
    needs.program("s3270")
    needs.file("/usr/lib/*/odbc/libsqlite3odbc.so", "/usr/lib/odbc/libsqlite3odbc.so")
    made = Estate()
    with made as settings:
        yield made, settings


@pytest.fixture(scope="session")
def facade(estate: tuple[Estate, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facade]:
    """Served until the last flow test has run; it must then stop by itself, with exit code 0."""
    servers, settings = estate
    with serving(settings, CALLERS, tmp_path_factory.mktemp("facade")) as served:
        yield Facade(served.address, served.keys, servers, served.log)
