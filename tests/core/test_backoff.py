"""The wait before another attempt: doubling, capped, spread over the upper half."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection._core.backoff import backoff

spreads = st.floats(0, 1)
failures = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("count", "longest_wait"), [(1, 0.05), (2, 0.1), (3, 0.2), (4, 0.4), (5, 0.8), (6, 1.0), (7, 1.0), (1000, 1.0)]
)
def test_it_doubles_up_to_a_second(count: int, longest_wait: float) -> None:
    assert backoff(count, 1.0) == pytest.approx(longest_wait)


def test_no_failure_waits_like_the_first() -> None:
    assert backoff(0, 1.0) == backoff(1, 1.0)


@given(failures, spreads)
def test_it_never_spins_and_never_outlasts_the_longest(count: int, spread: float) -> None:
    assert 0.025 <= backoff(count, spread) <= 1.0
    assert 0.025 <= backoff(count, spread, longest=0.3) <= 0.3
    assert 0.5 <= backoff(count, spread, first=1.0, longest=60.0) <= 60.0


@given(failures)
def test_a_crowd_spreads_over_half_of_the_time(count: int) -> None:
    assert backoff(count, 0.0) == pytest.approx(backoff(count, 1.0) / 2)
    assert backoff(count, 0.5) == pytest.approx(backoff(count, 1.0) * 0.75)


@given(failures, spreads)
def test_one_more_failure_never_waits_less(count: int, spread: float) -> None:
    assert backoff(count, spread) <= backoff(count + 1, spread)


def test_a_million_failures_overflow_nothing() -> None:
    assert backoff(10**6, 1.0, first=1e-3, longest=5.0) == 5.0
