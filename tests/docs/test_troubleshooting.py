"""What troubleshooting says at 3 a.m.: its commands work, and tell what it says that they tell."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from aioelection import Client, Leadership, LossReason, Term
from tests.snippets import DOCS
from tests.support import Ctl, Stranger, beside, eventually, soon

PAGE = (DOCS / "troubleshooting.md").read_text()
KEY = "/billing/leader"
COMMANDS: list[str] = re.findall(r"(?:\$ |`)etcdctl ([^`\n]+)", PAGE)


def command(beginning: str, key: str, lease: int = 0) -> list[str]:
    """The one command of the page that begins so."""
    (found,) = {each for each in COMMANDS if each == beginning or each.startswith(f"{beginning} ")}
    return found.replace(KEY, key).replace("$(printf %x LEASE)", f"{lease:x}").split()


async def as_json(ctl: Ctl, key: str) -> dict[str, Any]:
    answer = json.loads(await ctl(*command(f"get {KEY} --write-out=json", key)))
    kv: dict[str, Any] = answer["kvs"][0]
    return kv


async def test_who_leads(client: Client, ctl: Ctl, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(10, "node-a") as term:
        assert f"get {KEY}" in COMMANDS
        assert (await ctl("get", unique_key)).splitlines() == [unique_key, "node-a"]
        told = await as_json(ctl, unique_key)
        assert told["create_revision"] == term.fencing_token
        assert leadership.lease is not None and told["lease"] == leadership.lease.id
        assert unique_key in await ctl(*command("lease timetolive", unique_key, told["lease"]))


async def test_a_key_that_was_written_by_hand(client: Client, stranger: Stranger, ctl: Ctl, unique_key: str) -> None:
    await stranger.put(unique_key, b"intruder")
    assert "lease" not in await as_json(ctl, unique_key)
    async with beside(Leadership(client, unique_key).campaign(10, "node-a")) as standing:
        assert f"del {KEY}" in COMMANDS
        await ctl("del", unique_key)
        assert (await soon(standing)).check()


async def test_a_leader_deposed_by_hand(
    client: Client, ctl: Ctl, unique_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    terms: list[Term] = []

    async def lead(term: Term) -> None:
        terms.append(term)
        await asyncio.Event().wait()

    caplog.set_level(logging.INFO, "aioelection")
    async with beside(Leadership(client, unique_key).run(lead, 10, "node-a")):
        await eventually(lambda: len(terms) == 1)
        await ctl("del", unique_key)
        await eventually(lambda: len(terms) == 2, within=2)
    assert terms[0].loss_reason is LossReason.DELETED
    assert terms[1].fencing_token > terms[0].fencing_token
    (pattern,) = re.findall(r'grep -E "(.*)" service.log', PAGE)
    told = [each.getMessage() for each in caplog.records if re.search(pattern, each.getMessage())]
    assert [re.split(r": | ", each)[-1] for each in told] == ["leading", "again", "leading"]
    assert f"<Term {terms[1].fencing_token} of " in told[-1]


@pytest.mark.parametrize("beginning", ["endpoint status", "alarm list"])
async def test_how_etcd_is(ctl: Ctl, beginning: str) -> None:
    await ctl(*command(beginning, ""))
