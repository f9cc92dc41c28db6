"""Faults planted in the library itself, one at a time: for each, some test has to fail.

``python -m faults.mutants [WORD...]`` plants all of them, or those whose names contain a word, each in a copy of the
project, and runs the tests that are to catch it. One that no test catches is an error, and so is one that cannot be
planted any more, since the code has changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "_build")


@dataclass(frozen=True, slots=True)
class Edit:
    """``old``, which stands in that file of the package, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule that is broken, how, and the tests that notice."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def plant(self, project: Path) -> None:
        for edit in self.edits:
            path = project / "aioelection" / edit.file
            text = path.read_text()
            if edit.old not in text:
                raise LookupError(f"{self.name}: {edit.file} has no {edit.old!r}")
            path.write_text(text.replace(edit.old, edit.new, 1))


MUTANTS = (
    Mutant(
        "guarded transactions compare by value instead of revision",
        (
            Edit(
                "txn.py",
                "guard = still(self._key, term.fencing_token, self._tenure.lease.id)",
                "guard = (Compare(self._key, Target.VALUE, Relation.EQUAL, term.leader_value),)",
            ),
            Edit("txn.py", "import Compare,", "import Relation, Target, Compare,"),
        ),
        (
            "tests/test_txn.py",
            "tests/test_loss.py",
        ),
    ),
    Mutant(
        "the deadline counts from the time of receipt",
        (
            Edit(
                "_core/deadline.py",
                "self.at = max(self.at, believed_until(sent, ttl))",
                "self.at = max(self.at, believed_until(now, ttl))",
            ),
        ),
        (
            "tests/core/test_deadline.py",
            "tests/memory",
        ),
    ),
    Mutant(
        "clean-up has no shield",
        (
            Edit(
                "_aio/tasks.py",
                "    task = asyncio.ensure_future(coroutine)\n    cancelled:",
                "    return await coroutine\n    task = asyncio.ensure_future(coroutine)\n    cancelled:",
            ),
        ),
        (
            "tests/test_ending.py",
            "tests/test_cancellation.py",
        ),
    ),
    Mutant(
        "the key is released before the body ends",
        (Edit("_shell/tenure.py", "        await self.body_ended()\n        await (self", "        await (self"),),
        ("tests/test_ending.py",),
    ),
    Mutant(
        "renewal stops while the body cleans up",
        (
            Edit(
                "_shell/tenure.py",
                "        if reason is not LossReason.RESIGNED:\n            self._let_go()",
                "        self._let_go()",
            ),
        ),
        (
            "tests/test_ending.py",
            "tests/memory/test_overrun.py",
        ),
    ),
    Mutant(
        "a lease is not renewed that comes while the last stream is being closed",
        (
            Edit(
                "_transport/keepalive.py",
                "        while self._leases:\n            try:\n",
                "        if self._leases:\n            try:\n",
            ),
        ),
        ("tests/memory/test_renewals.py",),
    ),
    Mutant(
        "what is closed is whatever lease there is by then",
        (
            Edit(
                "_shell/lease_life.py",
                "await finish(self.revoke(lease_id))",
                "await asyncio.sleep(0)\n            await finish(self.revoke(self._id))",
            ),
        ),
        ("tests/memory/test_hostile.py",),
    ),
    Mutant(
        "a late reply revives a term",
        (
            Edit(
                "_core/deadline.py",
                "        if self.expired(now):\n            self.expire()\n            return False\n",
                "",
            ),
        ),
        (
            "tests/core/test_deadline.py",
            "tests/test_loss.py",
            "tests/test_lease.py",
        ),
    ),
    Mutant(
        "a guard is built without a valid term",
        (
            Edit("leadership.py", "if tenure is None or not tenure.term.check():", "if tenure is None:"),
            Edit("txn.py", "if not self._tenure.term.check():", "if False:"),
        ),
        ("tests/test_txn.py",),
    ),
    Mutant(
        "a bare CancelledError is taken for one from outside",
        (
            Edit(
                "campaign.py",
                "if isinstance(error, asyncio.CancelledError) and self._scope.cancel_called:",
                "if False:",
            ),
        ),
        ("tests/test_ending.py",),
    ),
    Mutant(
        "a hedge that is answered late answers the next renewal",
        (Edit("_transport/keepalive.py", "        if self._waived[lease_id]:\n", "        if False:\n"),),
        ("tests/memory/test_late_replies.py",),
    ),
    Mutant(
        "a stale acknowledgement is trusted",
        (Edit("_core/ledger.py", "if each.raft_term == raft_term]", "if True]"),),
        (
            "tests/core/test_ledger.py",
            "tests/memory",
        ),
    ),
    Mutant(
        "bad health does not stop renewal",
        (
            Edit("_shell/health.py", "return answer is not False", "return True"),
            Edit(
                "_shell/health.py",
                "            return False\n        return True",
                "            return True\n        return True",
            ),
        ),
        ("tests/test_health.py",),
    ),
    Mutant(
        "who is not well stands",
        (
            Edit(
                "leadership.py",
                "            if health is not None:\n                await until",
                "            if False:\n                await until",
            ),
        ),
        ("tests/memory/test_unwell.py",),
    ),
    Mutant(
        "a sick leader's key is left to expire",
        (
            Edit(
                "_shell/tenure.py",
                "if not (self.owns_lease and self.term.loss_reason is LossReason.UNHEALTHY):",
                "if True:",
            ),
        ),
        ("tests/memory/test_unwell.py",),
    ),
    Mutant(
        "bad health is told as an expiry",
        (
            Edit("_shell/tenure.py", "if self._unwell and reason", "if False and reason"),
            Edit(
                "_shell/tenure.py",
                "await while_well.run()\n        self.end(LossReason.UNHEALTHY)",
                "await while_well.run()\n        self.end(LossReason.EXPIRED)",
            ),
        ),
        ("tests/test_health.py",),
    ),
    Mutant(
        "a stall is told as an expiry",
        (Edit("_shell/lease_life.py", "LossReason.STALLED if stalled else", "LossReason.EXPIRED if stalled else"),),
        (
            "tests/test_loss.py",
            "tests/test_watchdog.py",
        ),
    ),
    Mutant(
        "local candidates do not stand in line",
        (Edit("_shell/candidate.py", "        if self._line.first is self:\n            return", "        return"),),
        ("tests/memory/test_line.py",),
    ),
    Mutant(
        "an own proclamation is taken for an overwrite",
        (Edit("_shell/guard.py", "elif self._is_proclaimed(event.kv):", "elif False:"),),
        ("tests/test_proclaim.py",),
    ),
    Mutant(
        "any put on the own lease is taken for a proclamation",
        (
            Edit("_shell/guard.py", " and kv.value in self._announced", ""),
            Edit("_shell/guard.py", "            self._announced.remove(event.kv.value)\n", ""),
        ),
        ("tests/test_proclaim.py",),
    ),
    Mutant(
        "a proclamation is not guarded",
        (Edit("_shell/guard.py", "Txn(ours, (Put", "Txn((), (Put"),),
        ("tests/test_proclaim.py",),
    ),
    Mutant(
        "an overrun is not reported",
        (Edit("_shell/body.py", "            self._hub.overruns += 1\n", "            return\n"),),
        ("tests/memory/test_overrun.py",),
    ),
    Mutant(
        "a resignation by another task leaves alone a body that is told by event",
        (Edit("_shell/body.py", "(self._cancel_on_loss or reason is LossReason.RESIGNED)", "self._cancel_on_loss"),),
        ("tests/test_ending.py",),
    ),
    Mutant(
        "closing the client waits for bodies whatever is cancelled",
        (Edit("_shell/hub.py", "        await self._vacated.wait()\n", ""),),
        ("tests/test_ending.py",),
    ),
    Mutant(
        "a candidate that wins too often goes on",
        (Edit("run.py", "if self._limit is None or wins <= self._limit:", "if True:"),),
        ("tests/memory/test_limit.py",),
    ),
    Mutant(
        "a member without a leader is watched on",
        (Edit("_transport/watch.py", "        if status.leaderless:", "        if False:"),),
        ("tests/memory/test_watching.py",),
    ),
    Mutant(
        "a member that agrees on nothing is watched on",
        (Edit("_transport/watch.py", "PermissionDenied) else failures + 1", "PermissionDenied) else 0"),),
        ("tests/memory/test_watching.py",),
    ),
    Mutant(
        "a reading that a newer stream has overtaken is told",
        (
            Edit(
                "_transport/watch.py",
                "if reply is None or outbox is not self._outbox:  # a new stream asks anew, and",
                "if reply is None:  # and",
            ),
        ),
        ("tests/memory/test_watching.py",),
    ),
    Mutant(
        "the watchdog does nothing",
        (Edit("watchdog.py", "                self._act(self._term)\n", ""),),
        ("tests/test_watchdog.py",),
    ),
    Mutant(
        "the watchdog acts though the loop has told the loss",
        (
            Edit(
                "watchdog.py",
                " or self._term.lost.is_set()):\n                self._act",
                "):\n                self._act",
            ),
            Edit(
                "watchdog.py",
                "while not (self._left.is_set() or self._term.lost.is_set()):",
                "while not self._left.is_set():",
            ),
        ),
        ("tests/test_watchdog.py",),
    ),
    Mutant(
        "ensure does not look at what is left",
        (Edit("term.py", "if left < wanted:", "if left <= 0:"),),
        ("tests/test_health.py",),
    ),
    Mutant(
        "a candidate does not know its own leftovers",
        (Edit("_shell/candidate.py", "and self._is_leftover(outcome.kv):", "and False:"),),
        ("tests/memory/test_leftovers.py",),
    ),
    Mutant(
        "what an abandoned campaign left on a shared lease is not swept",
        (Edit("_shell/candidate.py", "                lease.sweep(key)\n", "                pass\n"),),
        (
            "tests/test_orphans.py",
            "tests/memory/test_holds.py",
        ),
    ),
    Mutant(
        "a key that an abandoned campaign left is adopted",
        (Edit("_shell/candidate.py", "self._swept = self._lease.is_swept(self.key)", "self._swept = False"),),
        ("tests/memory/test_sweep.py",),
    ),
    Mutant(
        "a campaign that is given up keeps its lease",
        (Edit("_shell/candidate.py", "            await self._withdraw()\n", ""),),
        ("tests/memory/test_sweep.py",),
    ),
    Mutant(
        "an unanswered grant is not revoked",
        (Edit("_shell/lease_life.py", "            await finish(self._revoke_unanswered(ttl))\n", ""),),
        ("tests/memory/test_sweep.py",),
    ),
    Mutant(
        "an observer's first read comes after its watch",
        (
            Edit("observe.py", "                self._told(Reread(reply.result.kv, reply.header.revision))\n", ""),
            Edit(
                "observe.py",
                "  # second: it may tell at once what came since\n",
                "\n                self._told(Reread(reply.result.kv, reply.header.revision))\n",
            ),
        ),
        ("tests/memory/test_watching.py",),
    ),
    Mutant(
        "a token that went back is led with",
        (Edit("_shell/candidate.py", "        if token > self._seat.highest_token:\n", "        if True:\n"),),
        ("tests/memory/test_restore.py",),
    ),
    Mutant(
        "a watch does not go back with an etcd that was restored",
        (
            Edit(
                "_transport/key_watch.py",
                "        self.cursor.rewind(revision)\n",
                "        self.cursor.restart(revision)\n",
            ),
        ),
        ("tests/memory/test_restore.py",),
    ),
    Mutant(
        "a member that lags is taken for an etcd that was restored",
        (Edit("_transport/watch.py", "if revision + 1 >= next_revision:", "if False:"),),
        ("tests/memory/test_restore.py",),
    ),
    Mutant(
        "a fence lets older tokens pass",
        (Edit("fencing.py", "            if token < self._highest:\n", "            if False:\n"),),
        ("tests/test_fencing.py",),
    ),
)


def tested(mutant: Mutant, project: Path) -> tuple[bool, str]:
    """Whether a test fails, and which; or what pytest says else."""
    options = ["-q", "-x", "--numprocesses=2", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *mutant.tests]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600, check=False)
    lines = ran.stdout.splitlines() or ["nothing"]
    telling = [line for line in lines if line.startswith(("FAILED tests", "ERROR tests"))]
    return ran.returncode != 0 and bool(telling), (telling or lines[-1:])[0]


def main(words: list[str]) -> int:
    """The exit status: 1 if one was not caught."""
    missed = []
    for mutant in MUTANTS:
        if words and not any(word in mutant.name for word in words):
            continue
        with tempfile.TemporaryDirectory(prefix="aioelection-mutant-") as folder:
            project = Path(folder) / "project"
            shutil.copytree(ROOT, project, ignore=LEFT_OUT)
            mutant.plant(project)
            caught, telling = tested(mutant, project)
        print(f"{'caught' if caught else 'MISSED'}  {mutant.name}: {telling[:160]}", flush=True)
        missed += [] if caught else [mutant.name]
    if missed:
        print(f"{len(missed)} not caught: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
