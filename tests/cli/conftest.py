"""A diary for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import Diary


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")
