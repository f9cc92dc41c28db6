"""Users, tokens and certificates: rows 26 to 28 and 40."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aioelection import (
    TLS,
    ElectionError,
    Leadership,
    LossReason,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    connect,
    get_leader,
    observe,
)
from aioelection.embedded import Etcd, EtcdTLS
from tests.etcd import EtcdFactory
from tests.faults.measuring import ELECTION, Measure, leading
from tests.support import beside, eventually, soon

USER: dict[str, Any] = {"username": "elector", "password": "not to be shown"}
ROOT = ("--user", "root:root")
CHEAP = ["--bcrypt-cost=4"]
"""Passwords are checked in no time."""


@contextlib.asynccontextmanager
async def with_users(etcd: Etcd) -> AsyncIterator[Etcd]:
    """``elector`` may do all below ``/open/``, and nothing else."""
    async with etcd:
        await etcd.ctl("user", "add", "root:root")
        await etcd.ctl("user", "grant-role", "root", "root")
        await etcd.ctl("role", "add", "elector")
        await etcd.ctl("role", "grant-permission", "elector", "readwrite", "/open/", "/open0")
        await etcd.ctl("user", "add", f"{USER['username']}:{USER['password']}")
        await etcd.ctl("user", "grant-role", "elector", "elector")
        await etcd.ctl("auth", "enable")
        yield etcd


async def test_row_26_a_watch_that_is_refused(new_etcd: EtcdFactory, measure: Measure) -> None:
    async with with_users(new_etcd(flags=CHEAP)) as etcd, connect(etcd.endpoints, **USER) as client:
        for what, refused in (
            ("watch", lambda: Leadership(client, "/closed/leader").watch(1)),
            ("observe", lambda: anext(observe(client, "/closed/leader"))),
            ("campaign", lambda: Leadership(client, "/closed/leader").run(_nothing, 2, b"a")),
        ):
            with measure.within(1, what), pytest.raises(PermissionDenied):
                await soon(refused())
        # The permission is withdrawn, and the watches have to be made anew.
        observer = observe(client, "/open/leader")
        async with leading(client, "/open/leader", 10) as vigil:
            assert await soon(anext(observer)) is not None
            await etcd.ctl(*ROOT, "role", "revoke-permission", "elector", "/open/", "/open0")
            (member,) = etcd.members
            await member.kill()
            await member.start()
            begin = time.monotonic()
            with pytest.raises(PermissionDenied):
                await soon(anext(observer))
            await soon(vigil.term.lost.wait())
            assert vigil.term.loss_reason is LossReason.REFUSED
            measure.took("watches made anew", time.monotonic() - begin, 1, since=begin)


async def _nothing(_: object) -> None: ...


@pytest.mark.parametrize("members", [1, 3])
async def test_row_27_tokens_that_expire_and_are_lost(new_etcd: EtcdFactory, measure: Measure, members: int) -> None:
    async with (
        with_users(new_etcd(members, flags=[*CHEAP, "--auth-token-ttl=2"])) as etcd,
        connect(etcd.endpoints, **USER) as client,
        connect(etcd.endpoints, **USER) as rival,
        connect(etcd.endpoints, **USER) as onlooker,
        leading(client, "/open/leader", 10) as vigil,
    ):
        observer = observe(onlooker, "/open/leader")
        first = await soon(anext(observer))
        assert first is not None
        async with (
            beside(Leadership(rival, "/open/leader").campaign(5, b"b")) as waiting,
            beside(Leadership(onlooker, "/open/leader").watch(first.revision)) as watching,
        ):
            await asyncio.sleep(3.2)  # they expire
            with measure.within(0.3, "read with an expired token"):
                assert await get_leader(client, "/open/leader") is not None
            await etcd.ctl(*ROOT, "user", "add", "another:user")  # the auth store has another revision
            with measure.within(0.3, "read with an old auth revision"):
                assert await get_leader(client, "/open/leader") is not None
            down = 0.0
            for member in etcd.members:
                begin = time.monotonic()
                await member.kill()
                await member.start()  # which has forgotten its tokens
                down = max(down, time.monotonic() - begin)
                with measure.within(1, "read after a restart"):
                    assert await get_leader(client, "/open/leader") is not None
            await vigil.renewed(1)
            measure.took("renewal", vigil.lateness, down + 3 * ELECTION)
            assert not waiting.done() and not watching.done()
            await eventually(lambda: observer.stale_for() == 0)
            with measure.within(1, "succession"):
                await vigil.leadership.resign()
                assert (await soon(waiting)).check()
            with measure.within(0.3, "told"):
                await soon(watching)

                async def successor() -> None:
                    async for leader in observer:
                        if leader is not None and leader.value == b"b":
                            return

                await soon(successor())


# ---- TLS


class Certificates:
    """The files of an authority, a server of its and a client of its, in a folder."""

    def __init__(self, folder: Path, **server: Any) -> None:
        trustme = pytest.importorskip("trustme")
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self.issue("server", "127.0.0.1", "etcd.example", **server)
        self.client_cert, self.client_key = self.issue("client", "client")

    def issue(self, name: str, *identities: str, **options: Any) -> tuple[Path, Path]:
        issued = self._authority.issue_cert(*identities, common_name=identities[0], **options)
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return cert, key

    def server(self, *, mutual: bool = False) -> EtcdTLS:
        return EtcdTLS(
            cert=self.cert,
            key=self.key,
            ca=self.ca,
            client_cert_auth=mutual,
            client_cert=self.client_cert if mutual else None,
            client_key=self.client_key if mutual else None,
        )


@pytest.fixture
def certificates(tmp_path: Path) -> Callable[..., Certificates]:
    def make(name: str, **server: Any) -> Certificates:
        return Certificates(tmp_path / name, **server)

    return make


async def refused(measure: Measure, what: str, endpoint: str, error: type[ElectionError], **options: Any) -> str:
    """It is refused within the connect timeout, naming the endpoint; returns what is said."""
    with measure.within(1 + 0.3, what), pytest.raises(error) as caught:
        async with connect(endpoint, connect_timeout=1, **options) as client:
            await get_leader(client, "key")
    assert endpoint in str(caught.value)
    return str(caught.value)


async def test_row_28_tls_that_works_and_does_not(
    new_etcd: EtcdFactory, certificates: Callable[..., Certificates], measure: Measure, unique_key: str
) -> None:
    own, other = certificates("own"), certificates("other")
    async with new_etcd(tls=own.server()) as etcd:
        (endpoint,) = etcd.endpoints
        for tls in (
            TLS(ca=own.ca),
            TLS(ca=str(own.ca)),
            TLS(ca=own.ca.read_bytes()),
            TLS(ca=own.ca, server_name="etcd.example"),
        ):
            with measure.within(1, "connect by TLS"):
                async with connect(endpoint, tls=tls) as client:
                    assert await get_leader(client, unique_key) is None
        async with connect(endpoint, tls=TLS(ca=own.ca)) as client, leading(client, unique_key, 2) as vigil:
            await vigil.renewed(2)
        await refused(measure, "unknown authority", endpoint, Unavailable, tls=TLS(ca=other.ca))
        await refused(measure, "no authority given", endpoint, Unavailable)
        await refused(measure, "another name", endpoint, Unavailable, tls=TLS(ca=own.ca, server_name="elsewhere"))
        plain = endpoint.replace("https://", "http://")
        await refused(measure, "plain client to a TLS port", plain, Unavailable)


async def test_row_28_mutual_tls(
    new_etcd: EtcdFactory, certificates: Callable[..., Certificates], measure: Measure, unique_key: str
) -> None:
    own, other = certificates("own"), certificates("other")
    async with new_etcd(members=3, tls=own.server(mutual=True)) as etcd:
        for tls in (
            TLS(ca=own.ca, cert=own.client_cert, key=own.client_key),
            TLS(own.ca.read_bytes(), own.client_cert.read_bytes(), own.client_key.read_bytes()),
        ):
            with measure.within(1, "connect by mutual TLS"):
                async with connect(etcd.endpoints, tls=tls) as client, leading(client, unique_key, 2) as vigil:
                    vigil.check()
        (endpoint, *_) = etcd.endpoints
        await refused(measure, "no certificate", endpoint, Unavailable, tls=TLS(ca=own.ca))
        strange = TLS(own.ca, other.client_cert, other.client_key)
        await refused(measure, "a certificate of another authority", endpoint, Unavailable, tls=strange)


async def test_row_28_an_expired_certificate(
    new_etcd: EtcdFactory, certificates: Callable[..., Certificates], measure: Measure, unique_key: str
) -> None:
    # It has to be good while etcd is started, which is found ready by its clients' means.
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=6)
    own = certificates("own", not_after=until)
    async with new_etcd(tls=own.server()) as etcd:
        (endpoint,) = etcd.endpoints
        async with connect(endpoint, tls=TLS(ca=own.ca)) as client:
            assert await get_leader(client, unique_key) is None
        await eventually(lambda: dt.datetime.now(dt.UTC) > until, 10)
        await refused(measure, "an expired certificate", endpoint, Unavailable, tls=TLS(ca=own.ca))


async def test_row_28_a_wrong_password(new_etcd: EtcdFactory, measure: Measure) -> None:
    async with with_users(new_etcd(flags=CHEAP)) as etcd:
        (endpoint,) = etcd.endpoints
        for what, wrong in (
            ("wrong password", {**USER, "password": "wrong secret"}),
            ("unknown user", {**USER, "username": "nobody"}),
            ("no user", {}),
        ):
            said = await refused(measure, what, endpoint, Unauthenticated, **wrong)
            assert "secret" not in said and "not to be shown" not in said


async def test_row_40_certificates_renewed_on_disk(
    new_etcd: EtcdFactory, certificates: Callable[..., Certificates], measure: Measure, unique_key: str
) -> None:
    files = certificates("files")
    async with new_etcd(tls=files.server(mutual=True)) as etcd:
        (member,) = etcd.members
        tls = TLS(ca=files.ca, cert=files.client_cert, key=files.client_key)
        async with connect(etcd.endpoints, tls=tls) as client, leading(client, unique_key, 10) as vigil:
            observer = observe(client, unique_key)
            assert await anext(observer) is not None
            await vigil.renewed(1)
            await member.stop()
            certificates("files")  # of another authority, in the same places
            member._tls = None  # what it is asked for its readiness with is of the old one
            starting = asyncio.ensure_future(member.start())
            try:
                with measure.within(3, "read, etcd's start included"):
                    await eventually(lambda: _reads(client, unique_key), 10)
                await vigil.renewed(1)
                await eventually(lambda: observer.stale_for() == 0)
                vigil.check()
            finally:
                starting.cancel()
                await asyncio.wait([starting])


async def _reads(client: Any, key: str) -> bool:
    try:
        return await get_leader(client, key) is not None
    except Unavailable:
        return False
