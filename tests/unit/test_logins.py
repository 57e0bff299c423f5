"""Failed logins: bounded by address before anything is looked up, and nobody else waits."""

from __future__ import annotations

import pytest

from wrapper.policy.keys import Caller, KeyRow, new
from wrapper.policy.known import Known
from wrapper.policy.logins import FAILURES, WINDOW, LoginLimit
from wrapper.problems import TooMany


class Counted:
    """Keys, and how often they were looked up."""

    def __init__(self) -> None:
        self.key_of_alice, self.row = new(Caller("alice"))
        self.asked = 0

    def key(self, id: str) -> KeyRow | None:
        self.asked += 1
        return self.row if id == self.row.id else None


def fail(limit: LoginLimit, address: str, times: int = FAILURES) -> None:
    for _ in range(times):
        limit.check(address)
        limit.failed(address)


def test_an_address_that_fails_too_often_is_refused_until_it_has_waited() -> None:
    now = [100.0]
    limit = LoginLimit(clock=lambda: now[0])
    fail(limit, "10.0.0.1")
    with pytest.raises(TooMany) as refused:
        limit.check("10.0.0.1")
    limit.check("10.0.0.2")
    now[0] += int(refused.value.headers["Retry-After"])
    limit.check("10.0.0.1")
    now[0] += WINDOW
    fail(limit, "10.0.0.1")


def test_nothing_is_looked_up_for_an_address_that_is_refused_and_the_remembered_stay_served() -> None:
    keys, limit = Counted(), LoginLimit(clock=lambda: 0.0)
    known = Known(keys)
    known.caller(f"Bearer {keys.key_of_alice}")
    fail(limit, "10.0.0.1")
    asked = keys.asked
    with pytest.raises(TooMany):
        known.caller("Bearer fw_000000000000_" + "x" * 43, admit=lambda: limit.check("10.0.0.1"))
    assert keys.asked == asked
    assert known.caller(f"Bearer {keys.key_of_alice}", admit=lambda: limit.check("10.0.0.1")).name == "alice"


def test_many_addresses_take_no_more_memory_than_some() -> None:
    limit = LoginLimit(clock=lambda: 0.0, most=50)
    for n in range(1000):
        limit.failed(f"10.0.{n // 250}.{n % 250}")
    assert len(limit._failed) == 50


def test_who_has_an_ipv6_network_has_one_address() -> None:
    limit = LoginLimit(clock=lambda: 0.0)
    for n in range(FAILURES):
        limit.failed(f"2001:db8:1:2::{n:x}")
    with pytest.raises(TooMany):
        limit.check("2001:db8:1:2:ffff::1")
    limit.check("2001:db8:1:3::1")
