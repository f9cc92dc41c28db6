"""One member of the embedded etcd."""

from __future__ import annotations

import asyncio
import signal
import ssl
from dataclasses import dataclass
from typing import Any

from aioelection.embedded._http import ask
from aioelection.embedded._processes import Guard, Process
from aioelection.errors import InvalidConfiguration, InvalidState, Unauthenticated, Unavailable

_POLL = 0.01  # seconds between two looks at a member that is starting
_ANSWER = 1.0  # seconds given to one answer
_LOG_TAIL = 4000  # characters


class PortTaken(Unavailable):
    """Somebody else took a port of ours between our finding it free and etcd's binding it."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a member says of itself and of etcd's leader (0: it knows none)."""

    member_id: int
    leader_id: int
    raft_term: int


class EtcdMember:
    """A member of an `Etcd`: one process, to be killed, stopped, started and frozen at will.

    `name`, `client_url`, `peer_url`, `data_dir` and `id` (etcd's member ID) stay the same throughout.
    """

    def __init__(
        self,
        name: str,
        client_url: str,
        peer_url: str,
        *,
        command: list[str],
        guard: Guard,
        tls: ssl.SSLContext | None,
        start_timeout: float,
    ) -> None:
        self.name = name
        self.client_url = client_url
        self.peer_url = peer_url
        self.data_dir = guard.folder / name
        self.id = 0
        self._log = guard.folder / f"{name}.log"
        self._command = [*command, f"--name={name}", f"--data-dir={self.data_dir}"]
        self._guard = guard
        self._tls = tls
        self._start_timeout = start_timeout
        self._process: Process | None = None
        self._paused = False

    def __repr__(self) -> str:
        state = "not running"
        if self.running:
            state = f"{'paused' if self._paused else 'running'} pid={self.pid}"
        return f"<EtcdMember {self.name} {self.client_url} {state}>"

    @property
    def pid(self) -> int | None:
        """The process ID of etcd itself; `None` while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether its process lives, paused or not, ready or not."""
        return self._process is not None and self._process.running

    @property
    def paused(self) -> bool:
        """Whether it is frozen by `pause`."""
        return self.running and self._paused

    async def start(self) -> None:
        """Start on the same data and ports, and wait until it is ready; at once if it is already.

        Ready means that it answers a linearizable read, which takes a quorum: start several that
        are down together (`asyncio.gather`). Raises `Unavailable`, with the end of its log, if it
        exits or is not ready within the `start_timeout` of `Etcd`, and after the end of the
        `async with`. Cancelled: the process goes on starting.
        """
        self._spawn()
        await wait_ready([self], self._start_timeout)

    async def stop(self) -> None:
        """Ask it to end (SIGTERM; a paused one is resumed first), and wait until it is gone.

        A leader hands its leadership over. Returns at once if it does not run; never times out.
        Cancelled: it ends all the same.
        """
        self.resume()
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill it (SIGKILL, paused or not), and wait until it is gone.

        Returns at once if it does not run. Cancelled: it dies all the same.
        """
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze its process (SIGSTOP): its connections stay open, and nothing answers.

        Raises `InvalidState` if it does not run.
        """
        self._running_process().signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT). Does nothing if it is not paused."""
        if self.paused:
            self._running_process().signal(signal.SIGCONT)
        self._paused = False

    def log(self) -> str:
        """The end of what it has logged, up to 4,000 characters."""
        try:
            return self._log.read_text(errors="replace")[-_LOG_TAIL:]
        except FileNotFoundError:
            return ""

    def _running_process(self) -> Process:
        if self._process is None or not self._process.running:
            raise InvalidState(f"{self.name} does not run")
        return self._process

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            await self._process.spawned.wait()
            self._process.signal(number)
            await self._process.exited.wait()

    def _spawn(self) -> None:
        if self._process is None or self._process.exited.is_set():
            self._process = self._guard.run(self.name, self._command, self._log)
            self._paused = False

    def _check_process(self) -> None:
        """Raise if it can no longer become ready."""
        assert self._process is not None
        if self._process.error is not None:
            raise Unavailable(f"{self.name} cannot be run: {self._process.error}")
        if self._process.exited.is_set():
            log = self.log()
            what = f"{self.name} has exited with status {self._process.code} while starting"
            if "address already in use" in log:
                raise PortTaken(f"{what}; the end of its log:\n{log}")
            if "flag provided but not defined" in log or "error verifying flags" in log:
                raise InvalidConfiguration(f"{what}; it refuses its flags:\n{log}")
            raise Unavailable(f"{what}; the end of its log:\n{log}")

    async def _ask(self, path: str, post: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
        """Raises `OSError` or `ValueError`."""
        url = self.client_url + path
        answer = await ask(url, post=post, token=token, tls=self._tls, timeout=_ANSWER)
        if not isinstance(answer, dict):
            raise ValueError(f"{url} answered {answer!r}")
        return answer

    async def _status(self, user: str | None = None) -> Status | None:
        """`None`: no answer. Raises `Unauthenticated`; `user` is "name:password"."""
        try:
            token = ""
            if user is not None:
                name, _, password = user.partition(":")
                credentials = {"name": name, "password": password}
                answer = await self._ask("/v3/auth/authenticate", credentials)
                _check_credentials(answer)
                token = answer.get("token", "")
            answer = await self._ask("/v3/maintenance/status", {}, token)
            _check_credentials(answer)
            return Status(
                member_id=int(answer["header"]["member_id"]),
                leader_id=int(answer.get("leader", 0)),
                raft_term=int(answer["raftTerm"]),
            )
        except (OSError, ValueError, KeyError):
            return None

    async def _ready(self) -> str:
        """Empty if it is ready, else what it lacks."""
        try:
            health = await self._ask("/health")
        except ssl.SSLCertVerificationError as error:
            raise InvalidConfiguration(f"the server's certificate is refused at {self.client_url}: {error}") from error
        except (OSError, ValueError) as error:
            return repr(error)
        if health.get("health") not in ("true", True):
            return f"/health says {health}"
        if not self.id:
            if (status := await self._status()) is None:
                return "it does not tell its status"
            self.id = status.member_id
        return ""


def _check_credentials(answer: dict[str, Any]) -> None:
    refusal = str(answer.get("message") or answer.get("error", ""))
    if any(word in refusal for word in ("user name is empty", "authentication failed", "denied")):
        raise Unauthenticated(f"etcd says {refusal!r}: give a user")


async def wait_ready(members: list[EtcdMember], timeout: float) -> None:
    """Until all are ready. `timeout` is in seconds.

    Raises `Unavailable` when one exits or it takes longer, `PortTaken` or `InvalidConfiguration`
    when that is why it exits.
    """
    waiting = list(members)
    lacking = ""
    try:
        async with asyncio.timeout(timeout):
            while waiting:
                for member in waiting:
                    member._check_process()
                if not (lacking := await waiting[0]._ready()):
                    del waiting[0]
                else:
                    await asyncio.sleep(_POLL)
    except TimeoutError as error:
        raise Unavailable(
            f"{waiting[0].name} is not ready after {timeout} s: {lacking or 'no answer'}; "
            f"the end of its log:\n{waiting[0].log()}"
        ) from error
