"""`aioelection run`: stand for election, and have a command at work while elected, never beyond."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anyio

from aioelection import ElectionError, LeaderRecord, Leadership, Term, Transitions
from aioelection._core import checks
from aioelection._core.backoff import backoff
from aioelection.cli import _status as status
from aioelection.cli._command import Command
from aioelection.cli._executable import status_of
from aioelection.cli._systemd import VARIABLES, Notifier
from aioelection.errors import InvalidConfiguration
from aioelection.resignation import resign_requested

LOSS_GRACE = 0.2
"""Seconds that a command has to end when the key was taken away: another may lead already."""

QUICK = 10.0
"""A command that ends sooner is started again more slowly each time."""

SILENT = "no renewal has come from etcd, and the deadline is near: ending the command"

log = logging.getLogger("aioelection.cli")


@dataclass(frozen=True)
class Job:
    """What to run, and how."""

    argv: tuple[str, ...]
    ttl: int
    value: str | LeaderRecord
    grace: float = 5.0
    forever: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        checks.lease_timeout(self.ttl)
        checks.leader_data(self.value)
        if not 0 <= self.grace < float("inf"):
            raise InvalidConfiguration(f"grace must be 0 or a positive number of seconds, not {self.grace}")

    @property
    def warning(self) -> float:
        """Seconds between asking the command to end and killing it, when the deadline comes near."""
        return min(self.grace, self.ttl / 4)


class Sidecar:
    """One leadership, and one command at a time."""

    def __init__(self, leadership: Leadership, job: Job, notifier: Notifier) -> None:
        self.leadership = leadership
        self._job = job
        self._notifier = notifier
        self._clock = leadership.client.hub.clock
        self._key = os.fsdecode(leadership.leader_key)
        self._signals: list[signal.Signals] = []
        """Those that asked to stop."""
        self._asked_to_stop = asyncio.Event()
        self._cause: str | None = None
        """Why the command was stopped; ``None`` if it was not."""
        self._standing: asyncio.Task[Any] | None = None
        """The task that stands, while it can be cancelled: while no command is at work."""
        self.command: Command | None = None
        """The one at work."""

    # ------------------------------------------------------------------ what it is told

    def stop(self, number: signal.Signals) -> None:
        """End, after the command has: the first time as it likes, from the second on at once."""
        self._signals.append(number)
        self._asked_to_stop.set()
        self._notifier.tell("STOPPING=1", f"STATUS=stopping on {number.name}")
        if self._standing is not None:
            if len(self._signals) == 1:
                self._standing.cancel()
        elif self.command is not None and len(self._signals) > 1:
            self.command.stop(signal.SIGKILL, self._clock.now())

    def pass_on(self, number: signal.Signals) -> None:
        """For the command; where there is none, ``SIGHUP`` ends us, as it would by default."""
        if self.command is not None:
            self.command.signal(number)
        elif number is signal.SIGHUP:
            self.stop(number)

    @property
    def leads(self) -> bool:
        """Whether the term is valid, and the command at work."""
        return self.command is not None and self.command.running and self.leadership.check()

    # ------------------------------------------------------------------ what it does

    async def run(self) -> int:
        """Stand, and run the command; return the exit status."""
        quick = 0
        again = ""
        while True:
            log.info("standing for %s%s", self._key, again)
            began = self._clock.now()
            try:
                code = await self._once()
            except asyncio.CancelledError:
                if not self._signals:
                    raise
                uncancel()
                return status.of_signal(self._signals[0])
            if self._signals or not self._job.forever or code in (status.NOT_EXECUTABLE, status.NOT_FOUND):
                return code
            again = " again, as soon as etcd answers" if self._cause == SILENT else " again"
            quick = quick + 1 if self._clock.now() - began < QUICK else 0
            pause = backoff(quick, random.random(), first=0.2, longest=QUICK)
            if quick > 1:
                log.info("it has ended within %g s %d times in a row: waiting for %.1f s", QUICK, quick, pause)
            await self._rest(pause)
            if self._signals:
                return status.of_signal(self._signals[0])

    async def _rest(self, seconds: float) -> None:
        """Let another go first."""
        await self._clock.wait(self._asked_to_stop, self._clock.now() + seconds)

    async def _once(self) -> int:
        self._cause = None
        environment = {name: value for name, value in self._job.environment.items() if name not in VARIABLES}
        async with Command(self._clock, self._job.argv, environment) as command:
            if self._signals:
                return status.of_signal(self._signals[0])
            self._standing = asyncio.current_task()
            try:
                campaign = self.leadership.campaign(self._job.ttl, self._job.value, on_loss="event")
                async with campaign as term:
                    self._standing = None
                    await self._lead(term, command)
                return self._outcome(command)
            finally:
                self._standing = None

    async def _lead(self, term: Term, command: Command) -> None:
        """Run the command for this term. When this returns nothing of it is left, and the key may be given up."""
        if not command.guarded:
            log.warning("the guardian has died: nothing is started in this term")
        if self._signals or not command.guarded:
            return
        self.command = command
        try:
            command.start(
                {"AIOELECTION_KEY": self._key, "AIOELECTION_FENCING_TOKEN": str(term.fencing_token)},
                deadline=self._deadline(term),
                warning=self._job.warning,
                grace=self._job.grace,
            )
            log.info("leading %s, fencing token %d", self._key, term.fencing_token)
            await self._look_after(term, command)
        finally:
            if command.running:  # a fault of ours
                with anyio.CancelScope(shield=True):
                    await command.destroy()
            self.command = None

    async def _look_after(self, term: Term, command: Command) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._tell_deadlines, term, command)
            group.start_soon(self._stop_when_lost, term, command)
            group.start_soon(self._tell_when_overdue, command)
            group.start_soon(self._stop_when_signalled, command)
            group.start_soon(self._stop_when_asked, term, command)
            group.start_soon(self._proclaim, term)
            await command.wait()
            group.cancel_scope.cancel()
        if command.overdue.is_set() and self._cause is None:
            self._note(SILENT)

    def _deadline(self, term: Term) -> float:
        now = self._clock.now()  # read first: the sum is never later than what is believed
        return now + term.remaining()

    async def _tell_deadlines(self, term: Term, command: Command) -> None:
        while not await self._clock.wait(term.lost, self._clock.now() + min(0.25, self._job.ttl / 20)):
            if term.check():  # else why it ended is being asked for, and told in a moment
                command.move(self._deadline(term))

    async def _stop_when_lost(self, term: Term, command: Command) -> None:
        await term.lost.wait()
        assert term.loss_reason is not None
        self._stop(command, f"the term is lost: {term.loss_reason.value}", signal.SIGTERM, LOSS_GRACE)

    async def _tell_when_overdue(self, command: Command) -> None:
        await command.overdue.wait()  # the guardian is ending it
        self._note(SILENT)

    async def _stop_when_signalled(self, command: Command) -> None:
        await self._asked_to_stop.wait()
        self._stop(command, f"stopping on {self._signals[0].name}", self._signals[0], self._job.grace)

    async def _stop_when_asked(self, term: Term, command: Command) -> None:
        try:
            await resign_requested(self.leadership.client, term)
        except ElectionError as error:
            log.warning("requests to resign are not heeded: %s", error)
        else:
            self._stop(command, "asked to resign", signal.SIGTERM, self._job.grace)

    def _stop(self, command: Command, cause: str, number: signal.Signals, grace: float) -> None:
        self._note(cause)
        command.stop(number, self._clock.now() + grace)

    def _note(self, cause: str) -> None:
        """Tell why the command ends; what came first counts."""
        log.info("%s", cause)
        self._cause = self._cause or cause

    async def _proclaim(self, term: Term) -> None:
        """Tell whoever asks since when this term has been."""
        if isinstance(self._job.value, LeaderRecord):
            record = LeaderRecord()
            record.CopyFrom(self._job.value)
            record.elected.FromDatetime(datetime.now().astimezone())
            try:
                await self.leadership.proclaim(record)
            except ElectionError as error:
                log.info("not proclaimed since when the term has been: %s", error)

    def _outcome(self, command: Command) -> int:
        if not command.started:
            return status.of_signal(self._signals[0]) if self._signals else status.TERM_OVER
        if command.error is not None:
            log.error("%s cannot be started: %s", self._job.argv[0], command.error.strerror)
            return status_of(command.error)
        code = status.of_command(command.code)
        log.info("the command has ended with status %d", code)
        if self._signals or self._cause is None:
            return code
        return status.TERM_OVER


def uncancel() -> None:
    """The cancellation that we asked for ourselves has been answered."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()


async def tell_states(transitions: Transitions, notifier: Notifier) -> None:
    """Where the leadership stands, for ``systemctl status``."""
    async for each in transitions:
        token = f", fencing token {each.term.fencing_token}" if each.term is not None and each.current.leads else ""
        notifier.tell(f"STATUS={each.current.value}{token}")
