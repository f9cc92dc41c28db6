"""A Docker engine: the one that runs on this machine, else one of our own for the life of a block."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker

from aioelection.embedded._uncancelled import uncancelled

SOCKET = "unix:///var/run/docker.sock"
SCRIPT = Path(__file__).with_name("engine.sh")
START_TIMEOUT = 30.0
PROGRAMS = {"dockerd": "docker.io", "containerd": "containerd", "iptables": "iptables", "unshare": "util-linux"}
"""What an engine of our own runs, and Debian's packages of it."""


class NoEngine(Exception):
    """None runs here, and none could be started: tells why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """Where it listens, and how all that a run makes there is called."""

    address: str
    name: str

    def client(self) -> contextlib.closing[Any]:
        return contextlib.closing(docker.from_env(**self.arguments))

    @property
    def arguments(self) -> dict[str, dict[str, str]]:
        """For a client of it."""
        return {"environment": {**os.environ, "DOCKER_HOST": self.address}}


@contextlib.asynccontextmanager
async def docker_engine() -> AsyncIterator[Engine]:
    """One that runs already is DOCKER_HOST's, or the machine's; our own is gone at the end, with all that it made."""
    engine = Engine(os.environ.get("DOCKER_HOST", SOCKET), f"ae{secrets.token_hex(3)}")
    if not await asyncio.to_thread(_refusal, engine):
        yield engine
    elif lacking := await asyncio.to_thread(missing):
        raise NoEngine(lacking)
    else:
        async with _own(engine.name) as own:
            yield own


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Engines that look for free addresses at once could find the same: networks are made one after the other."""
    import fcntl  # noqa: PLC0415 - where the module is only asked what is missing there may be none

    with SCRIPT.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def missing() -> str:
    """What it takes to have an engine here, and is not there; nothing, if there is one or one can be started."""
    if sys.platform != "linux":
        return "the image is made of this machine's etcd, which must be Linux's"
    refusal = _refusal(Engine(os.environ.get("DOCKER_HOST", SOCKET), ""))
    if not refusal:
        return ""
    if "DOCKER_HOST" in os.environ:
        return f"DOCKER_HOST names an engine that does not answer: {refusal}"
    lacking = _lacking()
    return f"no Docker engine runs here, and one of our own takes {lacking}" if lacking else ""


def _refusal(engine: Engine) -> str:
    """Why that engine is of no use; nothing, if it answers."""
    if (path := engine.address.removeprefix("unix://")) != engine.address and not Path(path).is_socket():
        return f"{engine.address}: there is no such socket"
    try:
        with engine.client() as client:
            client.ping()
    except (docker.errors.DockerException, OSError) as error:
        return f"{engine.address}: {error}"
    return ""


def _lacking() -> str:
    if os.geteuid() != 0:
        return "root"
    absent = [f"{program} (Debian: {package})" for program, package in PROGRAMS.items() if not shutil.which(program)]
    if absent:
        return ", ".join(absent)
    probe = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
    return f"the right to make namespaces: {probe.stderr.decode().strip()}" if probe.returncode else ""


@contextlib.asynccontextmanager
async def _own(name: str) -> AsyncIterator[Engine]:
    folder = Path(tempfile.gettempdir()) / f"aioelection-engine-{name}"
    # Not of our session: Ctrl-C is for us, and the end of its standard input tells it of our end.
    process = await asyncio.create_subprocess_exec(
        "bash", str(SCRIPT), str(folder), name, stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    try:
        process.stdin.write(b"go\n")  # only now: a start that is cancelled is killed
        engine = Engine(f"unix://{folder}/docker.sock", name)
        await _started(engine, process, folder / "log")
        yield engine
    finally:
        process.stdin.close()
        await uncancelled(process.wait())


async def _started(engine: Engine, process: asyncio.subprocess.Process, log: Path) -> None:
    refusal = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_TIMEOUT):
            while process.returncode is None:
                if not (refusal := await asyncio.to_thread(_refusal, engine)):
                    return
                await asyncio.sleep(0.1)
    ended = "does not answer" if process.returncode is None else f"has ended with status {process.returncode}"
    raise NoEngine(f"the Docker engine that was started {ended}: {refusal}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""
