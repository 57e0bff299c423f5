"""What unit tests share. What they leave open is closed: an unclosed connection is a warning, and a warning fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.host3270 import Host3270
from tests.unit import small
from tests.unit.stores import place, server, store
from tests.unit.terminal3270 import Open, Terminal, terminals

__all__ = ["place", "server", "store"]


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    while small.OPEN:
        small.OPEN.pop().close()


@pytest.fixture
def opened() -> Iterator[Open]:
    with terminals() as opens:
        yield opens


@pytest.fixture
def signed_on(host: Host3270, opened: Open) -> Terminal:
    """At the menu of the `host` that a test module has."""
    terminal = opened(host, lu="FIGW01")
    assert terminal.sign_on() == "MENU"
    return terminal
