"""etcd restored from an older backup: row 41."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from aioelection import Leadership, Lease, LossReason, State, TokenWentBack, connect, observe
from aioelection.embedded import EtcdMember
from tests.etcd import EtcdFactory
from tests.faults.measuring import Measure
from tests.support import Stranger, beside, eventually, freeze, is_in, soon

Restore = Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def backup(member: EtcdMember) -> AsyncIterator[Restore]:
    """A copy of the member's data as it is now; the block may put it back."""
    copy = member.data_dir.with_name("backup")
    await freeze(member)
    await asyncio.to_thread(shutil.copytree, member.data_dir, copy)
    member.resume()

    async def restore() -> None:
        await member.kill()
        await asyncio.to_thread(shutil.rmtree, member.data_dir)
        copy.rename(member.data_dir)
        await member.start()

    yield restore
    shutil.rmtree(copy, ignore_errors=True)


async def is_gone(stranger: Stranger, key: str) -> bool:
    return await stranger.get(key) is None


async def test_row_41_restored_from_an_older_backup(
    new_etcd: EtcdFactory, unique_key: str, measure: Measure, caplog: pytest.LogCaptureFixture
) -> None:
    """The leader's lease is in the backup, and its key is not: its watch alone can tell."""
    async with (
        new_etcd() as etcd,
        connect(etcd.endpoints) as client,
        connect(etcd.endpoints) as other_client,
    ):
        (member,) = etcd.members
        lease = Lease(client)
        await lease.grant(30)
        async with backup(member) as restore:
            async with Stranger(member.client_url) as stranger:
                for _ in range(20):
                    await stranger.put("/other", b"")
            leadership, candidacy = Leadership(client, unique_key), Leadership(other_client, unique_key)
            told: list[int] = []

            async def follow() -> None:
                async for leader in observe(other_client, unique_key):
                    told.append(0 if leader is None else leader.create_revision)  # noqa: PERF401 (it never ends)

            async def serve(_: object) -> None:
                raise AssertionError("led with a token that went back")

            async with leadership.campaign(2, b"a", lease=lease, on_loss="event") as term:
                token = term.fencing_token
                async with beside(follow()), beside(candidacy.run(serve, 2, b"b")) as standing:
                    await eventually(lambda: told == [token] and is_in(candidacy, State.FOLLOWING))
                    await restore()
                    with measure.within(1, "lost"):
                        await soon(term.lost.wait(), 10)
                    assert term.loss_reason is LossReason.DELETED and not lease.is_expired()
                    with pytest.raises(TokenWentBack) as caught:
                        await soon(standing, 10)
                    assert caught.value.highest == token > caught.value.token
                    assert f"went back from {token} to {caught.value.token}" in str(caught.value)
                    await eventually(lambda: told[-1] == 0)
                    assert all(each < token for each in told[1:]), "whoever is told, not the leader of before"
            with pytest.raises(TokenWentBack, match=f"went back from {token} to "):
                await leadership.campaign(2, b"a", lease=lease)
        errors = {each.getMessage() for each in caplog.records if each.levelno == logging.ERROR}
        assert f"campaign given up: {caught.value}" in errors
        assert [each for each in errors if each.startswith("etcd went back from revision ")]
        async with Stranger(member.client_url) as stranger:
            await eventually(lambda: is_gone(stranger, unique_key), 1)
            await lease.close()
            await eventually(lambda: stranger.no_lease_but(set()))
