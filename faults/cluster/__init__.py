"""The etcd that the faults are done to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Cluster(Protocol):
    """Three members, known by their names, and what can be done to them."""

    @property
    def version(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def endpoints(self) -> Sequence[str]: ...

    async def leader(self) -> str: ...

    async def freeze(self, name: str) -> None: ...
    async def resume(self, name: str) -> None: ...
    async def kill(self, name: str) -> None: ...
    async def stop(self, name: str) -> None: ...

    async def start(self, *names: str) -> None:
        """Start those, and wait until they are ready."""

    async def isolate(self, *names: str) -> None:
        """Cut these members off from the others; without a name, all are together again."""


ClusterContext = AbstractAsyncContextManager[Cluster]
