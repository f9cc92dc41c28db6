"""Campaigns of the last five minutes, counted as PD counts them."""

from hypothesis import given
from hypothesis import strategies as st

from aioelection._core.campaign_times import CampaignTimes


def counted(*times: float) -> int:
    campaigns = CampaignTimes()
    for now in times:
        campaigns.add(now)
    return len(campaigns)


def test_none_at_first() -> None:
    assert counted() == 0


def test_each_counts_also_two_at_one_instant() -> None:
    assert counted(1.0, 1.0, 2.0) == 3


def test_what_is_older_than_five_minutes_is_dropped_at_the_next_addition() -> None:
    assert counted(0.0, 100.0, 300.0) == 3
    assert counted(0.0, 100.0, 300.1) == 2
    assert counted(0.0, 100.0, 1000.0) == 1


def test_reset_forgets_all_and_counting_goes_on() -> None:
    campaigns = CampaignTimes()
    campaigns.add(1.0)
    campaigns.add(2.0)
    campaigns.reset()
    assert len(campaigns) == 0
    campaigns.add(3.0)
    assert len(campaigns) == 1


@given(st.lists(st.integers(0, 3000).map(float), min_size=1).map(sorted))
def test_the_window_slides(times: list[float]) -> None:
    assert counted(*times) == sum(times[-1] - each <= 300 for each in times)
