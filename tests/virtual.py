"""Virtual time for tests of our own.

A ``conftest.py`` that defines pytest-asyncio's hook ``pytest_asyncio_loop_factories`` puts the tests below it on such a
loop.
"""

from __future__ import annotations

import asyncio

from aioelection.testing import VirtualLoop


def virtual_loop() -> asyncio.AbstractEventLoop:
    return VirtualLoop()


def is_virtual(loop: asyncio.AbstractEventLoop) -> bool:
    return isinstance(loop, VirtualLoop)
