"""`connect`, and the use of a client: where, by whom, and on whose channel."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import aetcd
import pytest
from aetcd.transactions import Put

from aioelection import (
    TLS,
    Client,
    ElectionError,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    Lease,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    connect,
    get_leader,
    observe,
)
from aioelection.embedded import Etcd
from tests.etcd import EtcdFactory
from tests.support import Proxy, Stranger, beside, eventually, freeze, soon

# ---- reaching somebody


async def test_nobody_answers(endpoint: str, new_etcd: EtcdFactory) -> None:
    """Refused, frozen, swallowed: every endpoint is named, within the time."""
    async with new_etcd() as etcd, Proxy(endpoint) as silent, Proxy(endpoint) as refusing:
        await freeze(etcd.members[0])
        silent.hold("requests")
        await refusing.stop()
        endpoints = [etcd.endpoints[0], silent.endpoint, "http://127.0.0.1:1"]
        begun = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            async with connect(endpoints, connect_timeout=1.0):
                pytest.fail("connected")
        assert time.monotonic() - begun < 1.5
        assert all(each in str(caught.value) for each in endpoints)


async def test_the_first_of_several_is_dead(endpoint: str, unique_key: str) -> None:
    async with connect(f"http://127.0.0.1:1,{endpoint}") as client:
        assert client.endpoints == (endpoint, "http://127.0.0.1:1")
        leadership = Leadership(client, unique_key)
        async with leadership.campaign(60, b"a"):
            assert await get_leader(client, unique_key) is not None


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_one_of_several_dies_later(new_etcd: EtcdFactory, unique_key: str, fault: str) -> None:
    async with new_etcd(members=3) as etcd:
        leader = await etcd.leader()
        follower = next(member for member in etcd.members if member is not leader)
        endpoints = [follower.client_url, *(each for each in etcd.endpoints if each != follower.client_url)]
        async with connect(follower.client_url, discover=False) as pinned:
            assert pinned.endpoints == (follower.client_url,)
        async with connect(endpoints) as client:
            roster = client.hub.pool.roster
            roster.prefer(next(each for each in roster if str(each) == follower.client_url))
            leadership = Leadership(client, unique_key)
            async with leadership.campaign(5, b"a") as term:
                if fault == "frozen":
                    await freeze(follower)
                else:
                    await follower.kill()
                assert await get_leader(client, unique_key) is not None
                await eventually(lambda: client.endpoints[0] != follower.client_url)
                assert term.check()
                assert (await leadership.leader_txn().then(Put(unique_key + "/data", "x")).commit()).succeeded


async def test_it_waits_for_an_etcd_that_comes_up(new_etcd: EtcdFactory) -> None:
    async with new_etcd() as etcd:
        (member,) = etcd.members
        await member.kill()
        async with contextlib.AsyncExitStack() as stack:
            async with beside(stack.enter_async_context(connect(etcd.endpoints, connect_timeout=30))) as connecting:
                await asyncio.sleep(0.3)
                assert not connecting.done()
                await member.start()
                client = await soon(connecting)
            assert await get_leader(client, "key") is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"endpoints": ""}, "''"),
        ({"endpoints": []}, "empty"),
        ({"endpoints": 5}, "5"),
        ({"endpoints": [5]}, "5"),
        ({"endpoints": b"http://a"}, "b'http://a'"),
        ({"endpoints": "ftp://a:1"}, "'ftp://a:1'"),
        ({"endpoints": "http://a:port"}, "'http://a:port'"),
        ({"endpoints": "http://a:99999"}, "'http://a:99999'"),
        ({"endpoints": "http://a:2379/path"}, "'http://a:2379/path'"),
        ({"endpoints": "http://user:secret@a:2379"}, "user and password"),
        ({"endpoints": ["http://good:2379", "http://"]}, "'http://'"),
        ({"endpoints": "a", "username": "root"}, "go together"),
        ({"endpoints": "a", "password": "secret"}, "go together"),
        ({"endpoints": "a", "tls": "cert.pem"}, "tls must be"),
        ({"endpoints": "a", "connect_timeout": 0}, "connect_timeout"),
        ({"endpoints": "a", "connect_timeout": "soon"}, "'soon'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_the_call_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        connect(**arguments)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="timeuot"):
        connect("a", timeuot=5)  # type: ignore[call-arg]


async def test_plain_to_tls_and_tls_to_plain_name_the_endpoint(endpoint: str) -> None:
    secure = endpoint.replace("http://", "https://")
    with pytest.raises(Unavailable, match=secure):
        async with connect(secure, connect_timeout=0.5):
            pytest.fail("connected")
    with pytest.raises(InvalidConfiguration, match="nowhere"):
        async with connect(secure, tls=TLS(ca="/nowhere.pem"), connect_timeout=0.5):
            pytest.fail("connected")


async def test_an_old_etcd_is_warned_of(new_etcd: EtcdFactory, caplog: pytest.LogCaptureFixture) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints):
        version = tuple(map(int, etcd.version.split(".")))
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    old = version < (3, 5, 13) and not (3, 4, 31) <= version < (3, 5)
    assert [etcd.version in each and "15247" in each for each in warnings] == [True] * old


# ---- closing


async def test_closing_twice_and_using_it_afterwards(endpoint: str, unique_key: str) -> None:
    async with connect(endpoint) as client:
        leadership, lease = Leadership(client, unique_key), Lease(client)
        await lease.grant(60)
        await client.aclose()
        await client.aclose()
        assert "closed" in repr(client)
        for use in (
            lambda: Lease(client).grant(60),
            lease.keep_alive,
            lambda: Leadership(client, unique_key).campaign(60, b"a"),
            lambda: leadership.campaign(60, b"a"),
            lambda: get_leader(client, unique_key),
            lambda: leadership.run(_nothing, 60, b"a"),
        ):
            with pytest.raises(InvalidState, match="closed"):
                await use()
        with pytest.raises(InvalidState, match="closed"):
            async with client:
                pytest.fail("entered")
    assert not leadership.check()


async def _nothing(_: Any) -> None: ...


async def test_closing_revokes_what_is_held_and_abandons_what_waits(endpoint: str, unique_key: str) -> None:
    async with Stranger(endpoint) as stranger:
        async with connect(endpoint) as client:
            await Leadership(client, unique_key).campaign(60, b"a")
            waiting = asyncio.ensure_future(Leadership(client, unique_key).campaign(60, b"b"))
            await asyncio.sleep(0.1)
        with pytest.raises(InvalidState):
            await soon(waiting)
        assert await stranger.get(unique_key) is None


# ---- loops, processes


async def test_in_another_event_loop(client: Client, unique_key: str) -> None:
    leadership, lease = Leadership(client, unique_key), Lease(client)
    await leadership.campaign(60, b"a")
    errors: list[ElectionError] = []

    def elsewhere() -> None:
        for use in (
            lambda: get_leader(client, unique_key),
            lambda: lease.grant(60),
            leadership.keep,
            lambda: leadership.leader_txn().commit(),
            lambda: leadership.watch(0),
            lambda: anext(leadership.observe()),
            lambda: leadership.campaign(60, b"a"),
            leadership.resign,
            leadership.reset,
            leadership.delete_leader_key,
            lease.close,
            client.aclose,
        ):
            try:
                asyncio.run(_called(use))
            except ElectionError as error:
                errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert [str(error) for error in errors] == ["the client belongs to another event loop"] * 12
    assert all(isinstance(error, InvalidState) for error in errors)
    assert leadership.check()
    await leadership.resign()


async def _called(use: Any) -> Any:
    return await use()


FORKING = """
    import asyncio, os, sys
    import aioelection

    async def main():
        async with aioelection.connect(sys.argv[1]) as client:
            leadership = aioelection.Leadership(client, sys.argv[2])
            term = await leadership.campaign(60, b"parent")
            lease = leadership.lease
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                told = [term.check(), leadership.check(), term.loss_reason.value, term.remaining()]
                for use in (
                    aioelection.get_leader(client, sys.argv[2]),
                    leadership.keep(),
                    leadership.resign(),
                    leadership.reset(),
                    leadership.delete_leader_key(),
                    lease.close(),
                    client.aclose(),  # may be unwinding: nothing is raised, and nothing done
                ):
                    try:
                        asyncio.run(use)
                    except aioelection.ElectionError as error:
                        told.append(f"{type(error).__name__}: {error}")
                try:
                    leadership.campaign(60, b"child")
                except Exception as error:
                    told.append(type(error).__name__)
                os.write(write, repr(told).encode())
                os._exit(0)
            os.close(write)
            loop = asyncio.get_running_loop()
            print((await loop.run_in_executor(None, os.read, read, 10000)).decode())
            os.waitpid(child, 0)
            print(term.check(), await aioelection.get_leader(client, sys.argv[2]) is not None)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
async def test_row_34_in_a_child_of_a_fork(endpoint: str, unique_key: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FORKING), endpoint, unique_key]
    # With its own support of forks gRPC 1.85 crashes the child now and then, whatever is run there.
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0"}
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 0, done.stderr
    child, parent = done.stdout.splitlines()
    assert child.startswith("[False, False, 'forked', 0"), (child, done.stderr)
    assert child.count("InvalidState: the client was made before a fork") == 6
    assert child.count("InvalidState") == 7
    assert parent == "True True", "the parent leads on"


# ---- an aetcd client of the caller's


async def test_one_wrapper_for_each_aetcd_client(endpoint: str, stranger: Stranger, unique_key: str) -> None:
    bare = stranger.client
    client = Client.from_aetcd(bare)
    assert Client.from_aetcd(bare) is client
    assert Leadership(bare, unique_key).client is client
    assert Lease(bare).client is client
    assert client.endpoints == (endpoint,)
    async with Stranger(endpoint) as other:
        assert Client.from_aetcd(other.client) is not client
        await Client.from_aetcd(other.client).aclose()
    wrong: Any = object()
    with pytest.raises(InvalidConfiguration, match=r"aetcd\.Client"):
        Client.from_aetcd(wrong)
    with pytest.raises(InvalidConfiguration, match=r"write async with connect\(...\) as client"):
        Leadership(connect("http://127.0.0.1:2379"), "/key")
    await client.aclose()
    assert Client.from_aetcd(bare) is not client, "closed, it is of no use"
    await Client.from_aetcd(bare).aclose()


async def test_it_elects_keeps_and_watches_on_the_callers_channel(stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(stranger.client, unique_key)
    async with leadership.campaign(2, b"a", on_loss="event") as term:
        assert (await stranger.get(unique_key)).create_revision == term.fencing_token
        await asyncio.sleep(2.2)
        assert term.check(), "it is kept"
        assert (await leadership.leader_txn().commit()).succeeded
        async with beside(leadership.watch(term.fencing_token)) as watching:
            await stranger.delete(unique_key)
            await soon(watching, 1)
            await soon(term.lost.wait(), 1)
    await leadership.client.aclose()


async def test_closing_the_wrapper_leaves_the_client(stranger: Stranger, unique_key: str) -> None:
    channel = stranger.client.channel
    async with Client.from_aetcd(stranger.client) as client:
        await Leadership(client, unique_key).campaign(60, b"a")
        assert await get_leader(stranger.client, unique_key) is not None
    assert stranger.client.channel is channel
    assert await stranger.get(unique_key) is None, "what was held on the wrapper is given up"
    leadership = Leadership(stranger.client, unique_key)
    await leadership.campaign(60, b"a")
    await leadership.client.aclose()


async def test_one_that_is_not_connected_yet_is_connected(endpoint: str, unique_key: str) -> None:
    host, _, port = endpoint.partition("://")[2].rpartition(":")
    bare = aetcd.Client(host, int(port))
    leadership = Leadership(bare, unique_key)
    async with leadership.campaign(60, b"a") as term:
        assert term.check()
    await leadership.client.aclose()
    assert await bare.get(unique_key.encode()) is None
    await bare.close()


async def test_a_wrapper_nobody_needs_is_forgotten(stranger: Stranger) -> None:
    wrapper = weakref.ref(Client.from_aetcd(stranger.client))
    gc.collect()
    assert wrapper() is None


# ---- authentication

USER: dict[str, Any] = {"username": "elector", "password": "not to be shown"}


@contextlib.asynccontextmanager
async def with_users(etcd: Etcd) -> AsyncIterator[None]:
    """``elector`` may do all below ``/open/``, read below ``/read/``, and nothing else."""
    async with etcd:
        await etcd.ctl("user", "add", "root:root")
        await etcd.ctl("user", "grant-role", "root", "root")
        await etcd.ctl("role", "add", "elector")
        await etcd.ctl("role", "grant-permission", "elector", "readwrite", "/open/", "/open0")
        await etcd.ctl("role", "grant-permission", "elector", "read", "/read/", "/read0")
        await etcd.ctl("user", "add", f"{USER['username']}:{USER['password']}")
        await etcd.ctl("user", "grant-role", "elector", "elector")
        await etcd.ctl("auth", "enable")
        yield


async def test_with_a_user_and_a_password(new_etcd: EtcdFactory) -> None:
    etcd = new_etcd(flags=["--auth-token-ttl=1"])
    async with with_users(etcd):
        async with connect(etcd.endpoints, **USER) as client:
            assert "not to be shown" not in repr(client) + repr(vars(client))
            leadership = Leadership(client, "/open/leader")
            async with leadership.campaign(2, b"a") as term:
                await asyncio.sleep(2.5)  # the token expires meanwhile
                assert term.check()
                assert await get_leader(client, "/open/leader") is not None
                assert (await leadership.leader_txn().then(Put("/open/data", "x")).commit()).succeeded
            # What is not allowed is a clear error, not silence.
            for forbidden in ("/closed/leader", "/read/leader"):
                with pytest.raises(PermissionDenied):
                    await soon(Leadership(client, forbidden).campaign(60, b"a"))
            with pytest.raises(PermissionDenied):
                await soon(get_leader(client, "/closed/leader"))
            with pytest.raises(PermissionDenied):
                await soon(Leadership(client, "/closed/leader").watch(1))
            with pytest.raises(PermissionDenied):
                await soon(anext(observe(client, "/closed/leader")))
            assert await soon(get_leader(client, "/read/leader")) is None

        for wrong in ({**USER, "password": "wrong secret"}, {**USER, "username": "nobody"}):
            with pytest.raises(Unauthenticated) as caught:
                async with connect(etcd.endpoints, connect_timeout=2.0, **wrong):
                    pytest.fail("connected")
            assert etcd.endpoints[0] in str(caught.value)
            assert "secret" not in str(caught.value) and "not to be shown" not in str(caught.value)

        with pytest.raises(Unauthenticated):
            async with connect(etcd.endpoints) as client:
                await get_leader(client, "/open/leader")

        host, _, port = etcd.endpoints[0].partition("://")[2].rpartition(":")
        bare = aetcd.Client(host, int(port), timeout=5, **USER)
        assert await get_leader(bare, "/open/leader") is None
        await Client.from_aetcd(bare).aclose()
        await bare.close()


async def test_a_user_where_authentication_is_off(endpoint: str) -> None:
    async with connect(endpoint, username="root", password="root") as client:
        assert await get_leader(client, "key") is None


async def test_a_name_that_is_not_looked_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for connecting bounds the resolver as well."""

    async def hang(host: str, port: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("aioelection._aio.resolve.look_up", hang)
    with pytest.raises(Unavailable, match=r"http://etcd\.invalid:2379"):
        async with asyncio.timeout(3), connect("http://etcd.invalid:2379", connect_timeout=0.5):
            pytest.fail("nobody can be there")


async def test_used_where_no_event_loop_runs(endpoint: str, unique_key: str) -> None:
    async with connect(endpoint) as client:

        def elsewhere() -> None:
            with pytest.raises(InvalidState, match="outside of a running event loop"):
                Leadership(client, unique_key).campaign(10, b"me")

        await asyncio.to_thread(elsewhere)


def test_a_closed_client_leaves_nothing_to_the_next_event_loop(endpoint: str, unique_key: str) -> None:
    """gRPC tells the end of a call from a thread of its own: to a closed loop, and then the next one complains."""
    complaints: list[dict[str, Any]] = []

    async def lead() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with connect(endpoint) as client, Leadership(client, unique_key).campaign(5, b"me"):
            pass

    for _ in range(60):
        asyncio.run(lead())
    assert complaints == []
