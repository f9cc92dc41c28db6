"""A lock service that is right, contenders that behave, and faults around them: a run as it would be written down.

No process, no etcd and no waiting: only numbers, from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from faults.records import (
    Append,
    Believed,
    Ended,
    Fault,
    Final,
    Lost,
    Measured,
    Observed,
    Record,
    Register,
    Run,
    Truth,
    Won,
)

TTL = 2
WHO = ("c1", "c2", "c3", "c4", "c5")
OBSERVERS = ("o1", "o2")
How = Literal["resign", "stop", "crash", "freeze", "delete", "overwrite", "revoke", "quorum"]
HOWS: tuple[How, ...] = ("resign", "stop", "crash", "freeze", "delete", "overwrite", "revoke", "quorum")


class Simulation:
    """Terms one after the other, each of which ends as told."""

    def __init__(self, seed: int, hows: Sequence[How], *, follower_faults: bool = True) -> None:
        self.random = random.Random(seed)
        self.now = 5000.0
        self.revision = 17
        self.busy: dict[str, float] = {}
        self.alive: dict[int, tuple[float, float]] = {}
        self.sent: list[tuple[float, float, float, str, int, int, bool]] = []
        self.writes: list[tuple[float, str, int, int]] = []
        self.told = 0.0
        versions = {"etcd": "3.5.30", "python": "3.11.2", "aioelection": "0.1.0", "grpcio": "1.85.1"}
        run = Run(self.now, seed, TTL, 1.0, WHO, versions, "A run that never was")
        self.records: list[Record] = [run]
        self.states: list[tuple[float, int]] = []
        self.now += 0.5
        for how in hows:
            self._term(how, follower_faults)
        self._finish()

    def _a_moment(self, least: float = 0.0005, most: float = 0.004) -> float:
        return self.random.uniform(least, most)

    def _event(self, at: float, token: int, who: str, lease: int, *, deleted: bool = False) -> None:
        self.told = max(self.told, at + self._a_moment())
        self.records.append(Truth(self.told, self.revision, token, deleted, lease, who))
        self.states.append((at, 0 if deleted else token))
        self.revision += self.random.randint(1, 4)

    def _term(self, how: How, follower_faults: bool) -> None:
        pick, moment = self.random, self._a_moment
        who = pick.choice([each for each in WHO if self.busy.get(each, 0.0) <= self.now])
        token, lease, created = self.revision, pick.getrandbits(60), self.now + moment()
        self._event(created, token, who, lease)
        won = created + moment()
        self.records.append(Won(won, who, token))
        begin = won + moment()
        end = begin + pick.uniform(0.6, 6.0)
        after = end + 0.001
        if follower_faults and end - begin > 3.0 and pick.random() < 0.5:
            frozen = pick.uniform(begin, end - 2.0)
            self.records.append(Fault("etcd follower frozen", 9, "m2", frozen, frozen + pick.uniform(0.5, 1.5)))
            self.records.append(Measured(9, "renewal on the next member", pick.uniform(0.1, 0.2), 0.3))
        over, gone, stale, reason = self._end(how, who, token, end)
        if reason:
            self.records.append(Ended(after, who, token))
            self.records.append(Lost(max(end, after if reason == "resigned" else end) + 0.0001, who, token, reason))
        number = self._work(who, token, begin, end)
        middle = pick.uniform(begin, end)
        self.records += [Believed(who, token, begin, middle), Believed(who, token, middle + 0.01, end)]
        if stale:
            self.writes += [(stale, who, token, number), (stale + 0.001, who, token, number + 1)]
            self.sent.append((stale, stale + 0.001, stale + 0.002, who, token, number, True))
        self.alive[token] = (created, over)
        self._event(gone, token, "", 0, deleted=True)
        self.now = gone + moment()

    def _end(self, how: How, who: str, token: int, end: float) -> tuple[float, float, float, str]:
        """When the term is over for etcd, and the key gone; until when its holder writes (or 0); why it was lost."""
        pick, moment = self.random, self._a_moment
        gone, stale, reason, over = end + 0.001 + moment(), 0.0, "resigned", float("inf")
        row, name, fault = 0, "", (end - moment(), end + moment(), False)
        if how == "stop":
            row, name = 3, "leader process asked to stop"
            self.busy[who] = end + 1.0
        elif how == "crash":
            back = end + TTL + pick.uniform(1.0, 3.0)
            row, name, fault = 1, "leader process killed", (end + 0.0001, back, False)
            gone, reason = end + pick.uniform(TTL * 0.6, TTL + 0.5), ""
            self.busy[who] = back
        elif how == "freeze":
            thaw = end + TTL + pick.uniform(1.0, 2.0)
            row, name, fault = 4, "leader process frozen beyond T", (end + 0.0001, thaw, False)
            gone, reason, stale = end + pick.uniform(TTL * 0.6, TTL + 0.5), "", thaw + 0.001
            self.records += [Ended(thaw + 0.01, who, token), Lost(thaw + 0.005, who, token, "stalled")]
            self.busy[who] = thaw + 0.02
        elif how in {"delete", "overwrite", "revoke"}:
            row = {"revoke": 21, "delete": 22, "overwrite": 23}[how]
            name = {"revoke": "lease revoked", "delete": "leader key deleted", "overwrite": "leader key overwritten"}[
                how
            ]
            name += " by a third party"
            reason = {"revoke": "revoked", "delete": "deleted", "overwrite": "overwritten"}[how]
            done = end - pick.uniform(0.002, 0.3)
            gone = over = done
            if how == "overwrite":
                self._event(done, token, "intruder", 0)
                gone = done + pick.uniform(0.3, 1.0)
            fault = (done - moment(), gone + moment(), True)
            self.records.append(Measured(row, "lost", end - done, 1.0))
        elif how == "quorum":
            row, name, reason = 12, "quorum lost", "expired"
            back = end + pick.uniform(0.5, 3.0)
            fault = (end - TTL * 0.9, back, False)
            gone = back + pick.uniform(1.2, TTL + 1.0)
        if name:
            self.records.append(Fault(name, row, "quorum" if how == "quorum" else who, *fault))
        return min(over, gone), gone, stale, reason

    def _work(self, who: str, token: int, begin: float, end: float) -> int:
        number, at = 0, begin
        while (at := at + self.random.uniform(0.05, 0.2)) < end - 0.01:
            answered = at + self._a_moment()
            self.sent.append((at, self.random.uniform(at, answered), answered, who, token, number, False))
            self.writes.append((answered + 0.001, who, token, number))
            number += 1
        return number

    def _finish(self) -> None:
        pick = self.random
        entries: list[tuple[int, int]] = []
        for sent, applied, answered, who, token, number, _stale in sorted(self.sent, key=lambda each: each[1]):
            begin, end = self.alive[token]
            there = begin <= applied < end
            unknown = pick.random() < 0.03
            if unknown:
                there = there and pick.random() < 0.5
            elif there and number == 0 and pick.random() < 0.02:
                entries.append((token, number))
                continue  # killed before it was written down
            if there:
                entries.append((token, number))
            outcome: Literal["applied", "refused", "unknown"] = (
                "unknown" if unknown else "applied" if there else "refused"
            )
            self.records.append(Append(who, token, number, sent, answered, outcome))
        highest = 0
        for at, who, token, number in sorted(self.writes):
            self.records.append(Register(at, who, token, number, guarded=True, accepted=token >= highest))
            self.records.append(Register(at, who, token, number, guarded=False, accepted=True))
            highest = max(highest, token)
        for observer in OBSERVERS:
            last = 0.0
            for at, token in [*(each for each in self.states if pick.random() < 0.8), *self.states[-1:]]:
                last = max(last + 0.00001, at + self._a_moment())
                self.records.append(Observed(last, observer, token))
        last = max([self.now, *(each[0] for each in self.writes), *self.busy.values()])
        self.records.append(Final(last + 2.0, tuple(entries), (), 0))
        pick.shuffle(self.records)


def simulate(seed: int, terms: int, *, follower_faults: bool = True) -> list[Record]:
    """A run of so many terms, each ended by what the seed says."""
    hows = random.Random(seed).choices(HOWS, [8, 3, 4, 4, 2, 2, 2, 2], k=terms)
    return Simulation(seed, hows, follower_faults=follower_faults).records
