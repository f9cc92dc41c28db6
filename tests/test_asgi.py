"""`aioelection.asgi`: an election beside a Starlette app, and what it answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from aioelection import InvalidConfiguration, InvalidState, LossReason, State, Term, Unavailable, connect
from aioelection.asgi import Election
from aioelection.testing import MemoryEtcd, force_loss
from tests.support import eventually, is_in, soon


class Service:
    """Serves until it is cancelled, or told to fail."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.serving = 0
        self.failing = asyncio.Event()

    async def serve(self, term: Term) -> None:
        self.terms.append(term)
        self.serving += 1
        try:
            await self.failing.wait()
            raise LookupError("a fault of the service")
        finally:
            self.serving -= 1


@pytest.fixture
async def etcd() -> AsyncIterator[MemoryEtcd]:
    async with MemoryEtcd() as etcd:
        yield etcd


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def election(etcd: MemoryEtcd, service: Service) -> Election:
    return Election(etcd.client, "/leader", service.serve, 10, b"me", purpose="test")


def app_of(election: Election) -> Starlette:
    async def who(request: Request) -> PlainTextResponse:
        return PlainTextResponse(repr(request.state.leadership))

    return Starlette(lifespan=election.lifespan, routes=[Mount("/election", election), Route("/who", who)])


@asynccontextmanager
async def browsing(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app/election") as browser:
        yield browser


async def asked(browser: httpx.AsyncClient, path: str) -> tuple[int, dict[str, Any]]:
    response = await browser.get(path)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, response.json()


async def test_it_leads_while_the_app_runs(etcd: MemoryEtcd, election: Election, service: Service) -> None:
    app = app_of(election)
    async with browsing(app) as browser:
        stopped = {"key": "/leader", "state": "stopped"}
        assert await asked(browser, "/leader") == (503, {"leading": False, **stopped})
        assert await asked(browser, "/healthz") == (503, {"running": False, **stopped})
        async with app.router.lifespan_context(app) as state:
            assert state == {"leadership": election.leadership}
            await eventually(lambda: service.serving)
            (term,) = service.terms
            status, told = await asked(browser, "/leader")
            assert 0 < told.pop("remaining") <= 10
            leading = {"key": "/leader", "state": "leading"}
            assert (status, told) == (200, {"leading": True, **leading, "fencing_token": term.fencing_token})
            assert await asked(browser, "/healthz") == (200, {"running": True, **leading})
        assert service.serving == 0 and term.loss_reason is LossReason.RESIGNED
        assert etcd.get("/leader") is None and etcd.leases == {}
        assert (await asked(browser, "/leader"))[0] == 503


async def test_one_of_two_leads_and_the_other_follows(etcd: MemoryEtcd, election: Election, service: Service) -> None:
    other_service = Service()
    other = Election(etcd.client, "/leader", other_service.serve, 10, b"other")
    app, other_app = app_of(election), app_of(other)
    async with browsing(other_app) as browser, other_app.router.lifespan_context(other_app):
        async with app.router.lifespan_context(app):
            await eventually(lambda: service.serving + other_service.serving)
            await soon(force_loss(other.leadership if other_service.serving else election.leadership))
            await eventually(lambda: service.serving)
            await eventually(lambda: is_in(other.leadership, State.FOLLOWING))
            assert await asked(browser, "/leader") == (503, {"leading": False, "key": "/leader", "state": "following"})
            assert (await asked(browser, "/healthz"))[0] == 200
        await eventually(lambda: other_service.serving)
        assert (await asked(browser, "/leader"))[0] == 200


async def test_a_term_that_was_lost_is_not_told_as_leading(election: Election, service: Service) -> None:
    app = app_of(election)
    async with browsing(app) as browser, app.router.lifespan_context(app):
        await eventually(lambda: service.serving)
        await soon(force_loss(election.leadership, LossReason.DELETED))
        assert service.terms[0].loss_reason is LossReason.DELETED
        if len(service.terms) == 1:
            assert (await asked(browser, "/leader"))[0] == 503
        await eventually(lambda: len(service.terms) == 2)
        status, told = await asked(browser, "/leader")
        assert (status, told["fencing_token"]) == (200, service.terms[1].fencing_token)


async def test_a_service_that_fails_is_told_of_at_once_and_in_the_end(
    etcd: MemoryEtcd, election: Election, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(election)
    with pytest.raises(LookupError, match="a fault of the service"):
        async with browsing(app) as browser, app.router.lifespan_context(app):
            await eventually(lambda: service.serving)
            service.failing.set()
            await eventually(lambda: election.leadership.state.value == "idle")
            await eventually(lambda: [each for each in caplog.records if each.levelno == logging.CRITICAL])
            assert await asked(browser, "/healthz") == (503, {"running": False, "key": "/leader", "state": "idle"})
            assert (await asked(browser, "/leader"))[0] == 503
    assert "the election of b'/leader' has ended" in caplog.text
    assert etcd.get("/leader") is None


async def test_what_the_app_raises_goes_first(election: Election, service: Service) -> None:
    with pytest.raises(KeyError, match="of the app"):
        async with election.lifespan():
            await eventually(lambda: service.serving)
            service.failing.set()
            await eventually(lambda: not service.serving)
            raise KeyError("of the app")


async def test_the_key_is_held_until_the_service_has_ended(etcd: MemoryEtcd) -> None:
    seen: list[Any] = []
    serving = asyncio.Event()

    async def serve(term: Term) -> None:
        serving.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append((etcd.get("/leader"), term.check()))
            raise

    election = Election(etcd.client, "/leader", serve, 10, b"me")
    async with election.lifespan():
        await soon(serving.wait())
    ((kv, checked),) = seen
    assert kv is not None and kv.value == b"me" and checked


@pytest.mark.parametrize("path", ["", "/", "/leaders", "/leader/x", "/who"])
async def test_nothing_else_is_there(election: Election, path: str) -> None:
    async with browsing(app_of(election)) as browser:
        assert (await browser.get(path or "/")).status_code == 404


async def test_it_is_asked_not_told(election: Election) -> None:
    async with browsing(app_of(election)) as browser:
        for method in ("POST", "PUT", "DELETE"):
            assert (await browser.request(method, "/leader")).status_code == 405
    async with browsing(election) as browser:  # not mounted
        assert (await browser.get("http://app/leader")).status_code == 503
    unused: Any = None
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await election({"type": "http", "method": "HEAD", "path": "/healthz"}, unused, send)
    start, body = sent
    assert start["status"] == 503 and int(dict(start["headers"])[b"content-length"]) > 0 and body["body"] == b""
    with pytest.raises(InvalidConfiguration, match="answers http, not websocket"):
        await election({"type": "websocket"}, unused, unused)


async def test_what_cannot_work(etcd: MemoryEtcd, service: Service) -> None:
    nothing: Any = None
    with pytest.raises(InvalidConfiguration, match="connect must be callable, not None"):
        Election(nothing, "/leader", service.serve, 10, b"me")
    with pytest.raises(InvalidConfiguration, match="leader_key must not be empty"):
        Election(etcd.client, "", service.serve, 10, b"me")
    with pytest.raises(InvalidConfiguration, match="lease_timeout must be"):
        Election(etcd.client, "/leader", service.serve, 0, b"me")
    for wrong in (
        Election(etcd.client, "/leader", nothing, 10, b"me"),
        Election(etcd.client, "/leader", service.serve, 10, nothing),
        Election(etcd.client, "/leader", service.serve, 10, b"me", limit=0),
    ):
        with pytest.raises(InvalidConfiguration, match="must be"):
            async with wrong.lifespan():
                pytest.fail("the app has started")
        with pytest.raises(InvalidState, match="does not run"):
            repr(wrong.leadership)
    assert etcd.leases == {}


async def test_without_etcd_the_app_does_not_start(service: Service) -> None:
    election = Election(lambda: connect("127.0.0.1:1", connect_timeout=0.2), "/leader", service.serve, 10, b"me")
    with pytest.raises(Unavailable):
        async with election.lifespan():
            pytest.fail("the app has started")


async def test_it_runs_once_at_a_time_and_again(election: Election, service: Service) -> None:
    for number in (1, 2):
        async with election.lifespan():
            with pytest.raises(InvalidState, match="runs already"):
                async with election.lifespan():
                    pytest.fail("it runs twice")
            await eventually(lambda: service.serving)
        assert len(service.terms) == number
