"""Tests of pure functions: thousands of examples in microseconds, on a machine that may be busy."""

import pytest
from hypothesis import settings

settings.register_profile("core", deadline=None, database=None)
settings.load_profile("core")


@pytest.fixture(autouse=True)
def _a_nothing_left() -> None:
    """Nothing here opens anything: spare hundreds of tests the search of the heap."""
