"""`aioelection.testing.VirtualLoop`: time passes when there is nothing to do."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest

from aioelection.testing import VirtualLoop


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_day_takes_no_time() -> None:
    async def main() -> float:
        since = now()
        await asyncio.sleep(86_400)
        return now() - since

    began = time.monotonic()
    assert run(main()) == pytest.approx(86_400)
    assert time.monotonic() - began < 60


def test_timers_fire_in_their_order_at_their_time() -> None:
    told: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        told.append((name, seconds))

    async def main() -> None:
        since = now()
        await asyncio.gather(*(sleeper(*each) for each in [("c", 3.0), ("a", 0.1), ("b", 2.0), ("a", 0.1)]))
        assert now() - since == pytest.approx(3)

    run(main())
    assert told == [("a", 0.1), ("a", 0.1), ("b", 2.0), ("c", 3.0)]


def test_time_stands_still_while_there_is_something_to_do() -> None:
    async def main() -> None:
        since = now()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert now() == since
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        assert now() - since == pytest.approx(10)

    run(main())


def test_no_step_is_lost_in_rounding() -> None:
    """Waiting out what is left of a time that rounding has made a little longer, as a deadline is waited for."""

    async def main() -> None:
        deadline = now() + 5e-11  # the loop takes a timer for due that is so near
        for _ in range(100):
            if (left := deadline - now()) <= 0:
                return
            await asyncio.sleep(left)
        pytest.fail("time does not pass")

    run(main())


def test_a_thread_is_waited_for() -> None:
    done = threading.Event()

    def work() -> None:
        time.sleep(0.01)
        done.set()

    run(asyncio.to_thread(work))
    assert done.is_set()
