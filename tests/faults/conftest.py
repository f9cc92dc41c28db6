"""Every test of a fault is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.stalls import StallMeter
from tests.faults.measuring import Measure


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Iterator[Measure]:
    """Records times, and checks them against their bounds."""
    with StallMeter() as meter:
        yield Measure(record_property, meter)
