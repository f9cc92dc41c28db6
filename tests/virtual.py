"""Virtual time: a loop whose clock jumps to the next timer as soon as nothing is left to do.

A ``conftest.py`` that defines pytest-asyncio's hook ``pytest_asyncio_loop_factories`` puts the tests below it on such a
loop. looptime's own pytest plugin is turned off in pyproject.toml: it would change the class of every test's loop.
"""

from __future__ import annotations

import asyncio

import looptime

_VirtualLoop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)  # asyncio's, whatever the policy


def virtual_loop() -> asyncio.AbstractEventLoop:
    # By default it idles before each jump, for what may happen outside of the loop: nothing does here.
    return _VirtualLoop(start=1000.0, noop_cycles=0)


def is_virtual(loop: asyncio.AbstractEventLoop) -> bool:
    return isinstance(loop, looptime.LoopTimeEventLoop)
