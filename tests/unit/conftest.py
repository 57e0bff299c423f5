"""What unit tests leave open is closed: an unclosed connection is a warning, and a warning fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit import small
from tests.unit.stores import place, server, store

__all__ = ["place", "server", "store"]


@pytest.fixture(autouse=True)
def _stores_are_closed() -> Iterator[None]:
    yield
    while small.OPEN:
        small.OPEN.pop().close()
