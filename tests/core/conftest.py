"""Tests of pure functions: thousands of examples in microseconds, on a machine that may be busy."""

import os

import pytest
from hypothesis import settings

EXAMPLES = 20 if os.environ.get("AIOELECTION_QUICK") else 100

settings.register_profile("core", deadline=None, database=None, max_examples=EXAMPLES)
settings.load_profile("core")


@pytest.fixture(autouse=True)
def _a_nothing_left() -> None:
    """Nothing here opens anything: spare hundreds of tests the search of the heap."""
