"""Our end of the guard: the processes it runs for us (`_guard.py` tells why there is one)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aioelection.embedded._uncancelled import uncancelled
from aioelection.errors import Unavailable

_SCRIPT = Path(__file__).with_name("_guard.py")
_CLOSE_TIMEOUT = 10.0  # seconds; SIGKILL and the removal of a few files take hundredths of one


class Process:
    """One process run by the guard. `exited` is set once it has been reaped."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.code: int | None = None
        self.error: str | None = None
        self.spawned = asyncio.Event()
        self.exited = asyncio.Event()

    @property
    def running(self) -> bool:
        return self.pid is not None and not self.exited.is_set()

    def signal(self, number: int) -> None:
        """Send a signal; to a process that is gone, nothing."""
        if self.pid is not None and not self.exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def has_exited(self, code: int | None) -> None:
        self.code = code
        self.spawned.set()
        self.exited.set()


class Guard:
    """The guard process. It owns `folder`: makes it when it starts, removes it when it ends.

    Starting is synchronous, so that no cancellation can fall between the start and our knowing of it.
    """

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self._processes: dict[str, Process] = {}
        self._ended = asyncio.Event()
        self._pending = b""
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT), str(folder)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(env),
            start_new_session=True,  # Ctrl-C in our terminal is not for etcd
        )
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self._stdin, self._stdout = self._popen.stdin, self._popen.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._stdout.fileno(), self._on_readable)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def run(self, name: str, argv: Sequence[str], log: Path) -> Process:
        """Ask for a process. Raises `Unavailable` if the guard is gone."""
        request = json.dumps({"run": name, "argv": list(argv), "log": str(log)})
        process = self._processes[name] = Process()
        try:
            self._stdin.write(request.encode() + b"\n")
        except (OSError, ValueError) as error:
            process.has_exited(None)
            raise Unavailable("the process that guards etcd is gone") from error
        return process

    async def close(self) -> None:
        """Kill everything, remove the folder, end the guard: before a cancellation is raised."""
        self._stdin.close()  # which is the order to do so
        try:
            await uncancelled(self._wait_ended())
        finally:
            self._reap()  # at once, unless that task, too, was cancelled

    async def _wait_ended(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._ended.wait()
                while self._popen.poll() is None:
                    await asyncio.sleep(0.002)
        except TimeoutError:
            self._popen.kill()

    def _reap(self) -> None:
        try:
            code = self._popen.wait(_CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            code = self._popen.wait()
        self._on_end()
        if code != 0:
            self._do_its_work()

    def _do_its_work(self) -> None:
        # The guard was killed or failed. On Linux its processes were killed with it.
        if sys.platform != "linux":
            for process in self._processes.values():
                if process.pid is not None and process.code is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
        for _ in range(20):  # they may still be dying, and writing
            shutil.rmtree(self.folder, ignore_errors=True)
            if not self.folder.exists():
                break
            time.sleep(0.05)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._on_end()
            return
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "exit" in message:
                self._processes[message["exit"]].has_exited(message["code"])
                continue
            process = self._processes[message["run"]]
            process.pid, process.error = message.get("pid"), message.get("error")
            process.spawned.set()
            if process.error is not None:
                process.has_exited(None)

    def _on_end(self) -> None:
        if not self._stdout.closed:
            self._loop.remove_reader(self._stdout.fileno())
            self._stdout.close()
        self._ended.set()
        for process in self._processes.values():
            if not process.exited.is_set():
                process.has_exited(None)
