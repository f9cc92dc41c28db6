"""A real etcd beside the tests, which outlives their event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any, Self

from aioelection.embedded import Etcd


class EtcdServer:
    """An ``aioelection.embedded.Etcd`` in a thread with a loop of its own, for the length of a ``with`` block."""

    def __init__(self, members: int = 1, **options: Any) -> None:
        self._options = {"members": members, **options}
        self._started: Future[tuple[asyncio.AbstractEventLoop, Etcd]] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="etcd server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop, self._etcd = self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """The client URL of the first member."""
        return self.endpoints[0]

    @property
    def endpoints(self) -> list[str]:
        """The client URLs of all members."""
        return self._etcd.endpoints

    def ctl(self, *arguments: str) -> str:
        """``Etcd.ctl``, blocking."""
        return asyncio.run_coroutine_threadsafe(self._etcd.ctl(*arguments), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with Etcd(**self._options) as etcd:
            self._started.set_result((asyncio.get_running_loop(), etcd))
            await self._stop.wait()
