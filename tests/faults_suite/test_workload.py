"""The workload and the nemesis, run for a few seconds."""

from __future__ import annotations

import random
from pathlib import Path

from faults.arena import CONTENDERS, arena
from faults.cluster.local import local_cluster
from faults.nemesis import TABLE, Scene, play
from faults.records import Append, Believed, Final, Observed, Register, Truth, Won, read


async def test_a_leader_is_killed_and_all_is_written_down(tmp_path: Path) -> None:
    async with arena(local_cluster(), tmp_path) as here:
        await here.begin(1, 2, "a test", CONTENDERS[:2])
        killed = await here.led()
        outcome = await play(Scene(here, killed, random.Random(1)), TABLE[0])
        assert outcome is not None
        successor = await here.led()
        await here.finish()

    records = list(read(tmp_path))
    truth = [each for each in records if isinstance(each, Truth)]
    tokens = [each.token for each in truth if not each.deleted]
    assert tokens[:2] == [killed.token, successor.token]
    assert {each.token for each in records if isinstance(each, Won)} == set(tokens)
    # Killed, it has told of what it believed until shortly before.
    believed = max(each.end for each in records if isinstance(each, Believed) and each.token == killed.token)
    gone = next(each.at for each in truth if each.deleted)
    assert killed.at < believed < gone
    final = next(each for each in records if isinstance(each, Final))
    applied = {(each.token, each.number) for each in records if isinstance(each, Append) and each.outcome == "applied"}
    assert applied <= set(final.entries)
    assert not final.leases
    assert not final.leader_token
    assert [each.token for each in records if isinstance(each, Observed)][-1] == 0
    assert {each.guarded for each in records if isinstance(each, Register)} == {True, False}
