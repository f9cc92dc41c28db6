"""The token of etcd's authentication: fetched once for all who need it, and again when refused or nearly used up."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from aioelection import Unauthenticated, Unavailable
from aioelection._transport.aetcd.tokens import TokenSource, lifetime
from tests.support import beside, eventually, soon

INFINITY = float("inf")


def jwt(claims: Any) -> str:
    """A JSON Web Token, as etcd writes it: without padding, with a signature that nobody here checks."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2lnbmF0dXJl"


class Auth:
    """Stands in for etcd: numbers the tokens that it gives."""

    def __init__(self, *tokens: str | None) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self._tokens = list(tokens)

    async def __call__(self, username: str, password: str, timeout: float) -> str | None:
        self.asked.append((username, password, timeout))
        number = len(self.asked)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self._tokens.pop(0) if self._tokens else f"token {number}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which tokens are judged: ``clock[0]``."""
    now = [1000.0]
    monkeypatch.setattr("aioelection._transport.aetcd.tokens.time", type("", (), {"monotonic": lambda: now[0]}))
    return now


@pytest.fixture
def source() -> TokenSource:
    return TokenSource("root", "hunter2")


# Fetching


async def test_it_is_fetched_when_first_needed_and_kept(source: TokenSource) -> None:
    auth = Auth()
    assert auth.asked == []
    for _ in range(3):
        assert await source.get(auth, 1.5) == (("token", "token 1"),)
    ((username, password, timeout),) = auth.asked
    assert (username, password) == ("root", "hunter2")
    assert timeout == pytest.approx(1.5, abs=0.1)


async def test_many_that_need_it_at_once_fetch_it_once(source: TokenSource) -> None:
    auth = Auth()
    auth.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(source.get(auth, 1.0)) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert len(auth.asked) == 1
        auth.may_answer.set()
    assert {each.result() for each in calls} == {(("token", "token 1"),)}
    assert len(auth.asked) == 1


async def test_without_authentication_there_is_none_and_it_is_not_asked_for_again(source: TokenSource) -> None:
    auth = Auth(None)
    assert await source.get(auth, 1.0) == ()
    assert await source.get(auth, 1.0) == ()
    assert len(auth.asked) == 1
    assert source.refused(()), "authentication was turned on"
    assert await source.get(auth, 1.0) == (("token", "token 2"),)


@pytest.mark.parametrize("error", [Unauthenticated("wrong"), Unavailable("gone")])
async def test_a_failure_is_told_and_the_next_call_tries_again(source: TokenSource, error: Exception) -> None:
    auth = Auth()
    auth.error = error
    with pytest.raises(type(error)) as caught:
        await source.get(auth, 1.0)
    assert caught.value is error
    auth.error = None
    assert await source.get(auth, 1.0) == (("token", "token 2"),)


async def test_the_failure_of_one_call_is_not_that_of_those_that_wait(source: TokenSource) -> None:
    auth = Auth()
    auth.may_answer.clear()
    first = asyncio.ensure_future(source.get(auth, 1.0))
    second = asyncio.ensure_future(source.get(auth, 1.0))
    await eventually(lambda: auth.asked)
    first.cancel()
    await eventually(lambda: len(auth.asked) == 2)
    auth.may_answer.set()
    assert await soon(second) == (("token", "token 2"),)
    assert first.cancelled()


# Refused


async def test_one_that_was_refused_is_replaced(source: TokenSource) -> None:
    auth = Auth()
    refused = await source.get(auth, 1.0)
    assert source.refused(refused)
    assert await source.get(auth, 1.0) == (("token", "token 2"),)


async def test_refused_late_it_does_not_cost_the_one_that_replaced_it(source: TokenSource) -> None:
    """Calls sent with one token are refused one after another: the first of them sees to it."""
    auth = Auth()
    refused = await source.get(auth, 1.0)
    assert source.refused(refused)
    better = await source.get(auth, 1.0)
    assert source.refused(refused), "better ones can be had all the same"
    assert source.refused(())
    assert await source.get(auth, 1.0) == better
    assert len(auth.asked) == 2


async def test_refused_while_another_is_fetched_it_does_not_cost_that_one(source: TokenSource) -> None:
    auth = Auth()
    refused = await source.get(auth, 1.0)
    source.refused(refused)
    auth.may_answer.clear()
    async with beside(source.get(auth, 1.0)) as fetching:
        await eventually(lambda: len(auth.asked) == 2)
        source.refused(refused)
        auth.may_answer.set()
        assert await soon(fetching) == (("token", "token 2"),)
    assert await source.get(auth, 1.0) == (("token", "token 2"),)


# Used up


async def test_a_jwt_is_renewed_after_four_fifths_of_its_life(source: TokenSource, clock: list[float]) -> None:
    tokens = [jwt({"iat": 0, "exp": 300}), jwt({"iat": 5000, "exp": 5100}), "simple"]
    auth = Auth(*tokens)
    assert await source.get(auth, 1.0) == (("token", tokens[0]),)
    clock[0] += 239.9
    assert await source.get(auth, 1.0) == (("token", tokens[0]),)
    clock[0] += 0.1
    assert await source.get(auth, 1.0) == (("token", tokens[1]),), "whatever its issuer's clock shows"
    clock[0] += 79.9
    assert await source.get(auth, 1.0) == (("token", tokens[1]),)
    clock[0] += 0.1
    assert await source.get(auth, 1.0) == (("token", "simple"),)
    clock[0] += 1e9
    assert await source.get(auth, 1.0) == (("token", "simple"),), "it tells no life"


async def test_its_life_is_counted_from_the_asking(source: TokenSource, clock: list[float]) -> None:
    first = jwt({"iat": 0, "exp": 100})
    auth = Auth(first)
    auth.may_answer.clear()
    async with beside(source.get(auth, 60.0)) as fetching:
        await eventually(lambda: auth.asked)
        clock[0] += 30
        auth.may_answer.set()
        assert await soon(fetching) == (("token", first),)
    clock[0] += 49.9
    assert await source.get(auth, 1.0) == (("token", first),)
    clock[0] += 0.1
    assert await source.get(auth, 1.0) == (("token", "token 2"),)


async def test_it_is_renewed_once_for_many(source: TokenSource, clock: list[float]) -> None:
    auth = Auth(jwt({"iat": 0, "exp": 100}))
    await source.get(auth, 1.0)
    clock[0] += 90
    assert len(set(await asyncio.gather(*(source.get(auth, 1.0) for _ in range(20))))) == 1
    assert len(auth.asked) == 2


# What a token says


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({"exp": 400, "iat": 100}, 300.0),
        ({"exp": 400.5, "iat": 100, "username": "root", "revision": 1}, 300.5),
        ({"exp": "400", "iat": "100"}, 300.0),
        ({"username": "ÿ" * 3, "exp": 2, "iat": 1}, 1.0),
        # without a life
        ({"exp": 400}, INFINITY),
        ({"iat": 100}, INFINITY),
        ({"exp": "soon", "iat": 100}, INFINITY),
        ({"exp": None, "iat": 100}, INFINITY),
        ([1, 2], INFINITY),
        (None, INFINITY),
        (7, INFINITY),
    ],
)
def test_the_life_of_a_jwt(claims: Any, seconds: float) -> None:
    assert lifetime(jwt(claims)) == seconds


@pytest.mark.parametrize("length", range(4))
def test_whatever_padding_it_lacks(length: int) -> None:
    assert lifetime(jwt({"exp": 400, "iat": 100, "username": "x" * length})) == 300.0


def test_it_may_hold_the_letters_of_url_safe_base64() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 400, "iat": 100, "u": "~~~???>>>"}).encode()).decode()
    assert {"-", "_"} & set(claims), "else this tests nothing"
    assert lifetime(f"e30.{claims.rstrip('=')}.x") == 300.0


@pytest.mark.parametrize("token", ["", "WcQpZfaEQOkMqGaJ.7", "a.b.c", "..", "a.é.c", "a.e30.c", "a./w==.c", "a.x"])
def test_any_other_token_tells_no_life(token: str) -> None:
    assert lifetime(token) == INFINITY


# The password


async def test_its_repr_tells_no_password_and_no_token(source: TokenSource) -> None:
    await source.get(Auth("secret token"), 1.0)
    for shown in (repr(source), str(source), f"{source}"):
        assert shown == "<TokenSource of 'root'>"
