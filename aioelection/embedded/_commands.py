"""A command run to its end: `etcd --version` and `etcdctl`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from subprocess import DEVNULL, PIPE, Popen

from aioelection.embedded._uncancelled import uncancelled
from aioelection.errors import ElectionError


class CommandFailed(ElectionError):
    """`etcdctl` ended with an error: `returncode`, and what it wrote in `stdout` and `stderr`."""

    def __init__(self, command: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        super().__init__(command, returncode, stdout, stderr)
        self.command = tuple(command)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr

    def __str__(self) -> str:
        said = self.stderr.strip() or self.stdout.strip() or "it wrote nothing"
        return f"{' '.join(self.command)}: exit status {self.returncode}: {said}"


def environment() -> dict[str, str]:
    """Our environment without the variables that configure etcd and etcdctl behind our back."""
    kept = {"ETCD_UNSUPPORTED_ARCH"}
    return {
        name: value for name, value in os.environ.items() if name in kept or not name.startswith(("ETCD_", "ETCDCTL_"))
    } | {"ETCDCTL_API": "3"}


async def run(argv: Sequence[str]) -> tuple[int, str, str]:
    """The exit status, standard output and standard error. Cancelled: the command is killed."""
    # Not a subprocess of the event loop's: uvloop's forks, and a fork with gRPC loaded may crash the child.
    process = Popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment())  # noqa: ASYNC220 (milliseconds)
    communicating = asyncio.ensure_future(asyncio.to_thread(process.communicate))
    try:
        output, errors = await asyncio.shield(communicating)
    finally:
        if not communicating.done():
            await uncancelled(_kill(process, communicating))
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


async def _kill(process: Popen[bytes], communicating: asyncio.Future[tuple[bytes, bytes]]) -> None:
    process.kill()
    await communicating
