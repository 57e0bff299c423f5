"""What compared keys prove: simulated with fixed seeds, since a promise about looking again and again can't be seen from one look."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.migration.evidence import Seen, log_worth, missing, proven

LIMIT, CONFIDENCE = 0.001, 0.95
RUNS, KEYS, EVERY = 2000, 20_000, 50
Counts = npt.NDArray[np.int64]


def promoted(keys: Counts, differed: Counts) -> float:
    """The share of runs that are promoted at any of the looks. Both are runs x looks, counted up to each look."""
    memo: dict[tuple[int, int], bool] = {}

    def look(at: tuple[int, int]) -> bool:
        if at not in memo:
            memo[at] = proven(Seen(*at), LIMIT, CONFIDENCE)
        return memo[at]

    return sum(any(map(look, zip(*run, strict=True))) for run in zip(keys.tolist(), differed.tolist(), strict=True)) / len(keys)


def independent(rate: float, seed: int) -> tuple[Counts, Counts]:
    """Each of the keys differs or not, whatever the others do."""
    differed = np.random.default_rng(seed).binomial(EVERY, rate, (RUNS, KEYS // EVERY)).cumsum(axis=1)
    return np.broadcast_to(np.arange(EVERY, KEYS + 1, EVERY), differed.shape), differed


def clustered(seed: int) -> tuple[tuple[Counts, Counts], tuple[Counts, Counts]]:
    """Few customers ask often, and one in a thousand customers differs each time: counted by customer, and by request."""
    dice, looks, turns = np.random.default_rng(seed), slice(EVERY - 1, None, EVERY), np.arange(KEYS)
    by_key, by_request = [], []
    for _ in range(RUNS):
        asking = (dice.random(KEYS) ** 2 * KEYS).astype(np.int64)
        bad = (dice.random(KEYS) < LIMIT)[asking]
        first = np.empty(KEYS, dtype=np.int64)
        first[asking[::-1]] = turns[::-1]  # of the same customer's turns the last one assigned stays
        new = first[asking] == turns
        by_key.append((new.cumsum()[looks], (new & bad).cumsum()[looks]))
        by_request.append((np.arange(EVERY, KEYS + 1, EVERY), bad.cumsum()[looks]))
    (keys, differed), (requests, bads) = (map(np.array, zip(*counted, strict=True)) for counted in (by_key, by_request))
    return (keys, differed), (requests, bads)


def test_an_endpoint_at_the_limit_is_promoted_in_one_run_of_twenty_at_most() -> None:
    assert 0.005 < promoted(*independent(LIMIT, 1)) <= 0.05  # not by never promoting anything


def test_an_endpoint_at_twice_the_limit_is_as_good_as_never_promoted() -> None:
    assert promoted(*independent(2 * LIMIT, 2)) < 0.001


def test_a_good_endpoint_is_promoted() -> None:
    assert promoted(*independent(LIMIT / 5, 3)) >= 0.95


def test_differences_that_come_by_customer_do_not_raise_the_false_rate() -> None:
    by_key, by_request = clustered(4)
    assert 0.005 < promoted(*by_key) <= 0.05
    assert promoted(*by_request) > 0.05  # what counting requests would have done


def test_it_takes_4500_clean_keys_for_a_thousandth_and_450_for_a_hundredth() -> None:
    assert missing(Seen(), 0.001, 0.95) == pytest.approx(4500, rel=0.05)
    assert missing(Seen(), 0.01, 0.95) == pytest.approx(450, rel=0.05)


@given(st.integers(0, 3000), st.integers(0, 5), st.sampled_from([0.01, 0.001, 0.05]))
def test_what_is_said_to_be_missing_is_enough_and_not_too_much(keys: int, differed: int, limit: float) -> None:
    seen = Seen(keys, min(keys, differed))
    more = missing(seen, limit, 0.95)
    if more is None:
        assert seen.differed >= limit * seen.keys or seen.differed > 0
    elif more:
        assert not proven(seen, limit, 0.95)
        rate = seen.differed / keys if keys else 0.0
        assert proven(Seen(keys + more, -int(-(keys + more) * rate // 1)), limit, 0.95)


@given(st.integers(0, 5000), st.integers(0, 20), st.sampled_from([0.01, 0.001]))
def test_a_later_difference_of_a_clean_key_only_takes_away(keys: int, differed: int, limit: float) -> None:
    if differed < keys:
        assert log_worth(Seen(keys, differed + 1), limit) < log_worth(Seen(keys, differed), limit)


def test_an_endpoint_that_is_worse_than_the_limit_will_not_get_there() -> None:
    assert missing(Seen(1000, 5), 0.001, 0.95) is None


@pytest.mark.parametrize("wrong", [(Seen(1, 2), 0.1), (Seen(1, -1), 0.1), (Seen(), 0.0), (Seen(), 1.0)])
def test_counts_and_limits_that_mean_nothing_are_refused(wrong: tuple[Seen, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        log_worth(*wrong)
