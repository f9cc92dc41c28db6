"""Another member is asked after 0.15 s, or four usual round trips where those are longer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection._core.hedge import HedgeDelay

round_trips = st.lists(st.floats(0, 10), max_size=100)


def after(*seconds: float) -> float:
    delay = HedgeDelay()
    for each in seconds:
        delay.took(each)
    return delay.seconds


def test_before_anything_is_known_it_is_the_shortest() -> None:
    assert after() == 0.15


def test_a_fast_network_is_waited_for_as_long() -> None:
    assert after(*[0.001] * 100) == 0.15


def test_a_slow_network_is_given_four_round_trips() -> None:
    assert after(*[0.2] * 100) == pytest.approx(0.8)


def test_one_answer_counts_a_fifth() -> None:
    assert after(1.0) == pytest.approx(0.8)
    assert after(*[0.1] * 100, 0.5) == pytest.approx(4 * (0.8 * 0.1 + 0.2 * 0.5))


def test_a_network_that_is_fast_again_is_believed_to_be_so() -> None:
    assert after(*[1.0] * 20, *[0.001] * 30) == 0.15


@given(round_trips)
def test_it_is_never_shorter_than_the_shortest_nor_longer_than_four_of_the_slowest(seconds: list[float]) -> None:
    assert 0.15 <= after(*seconds) <= max(0.15, 4 * max(seconds, default=0.0) * (1 + 1e-9))


@given(round_trips)
def test_it_is_four_times_the_weighted_average(seconds: list[float]) -> None:
    usual = sum(0.2 * 0.8**age * each for age, each in enumerate(reversed(seconds)))
    assert after(*seconds) == pytest.approx(max(0.15, 4 * usual))
