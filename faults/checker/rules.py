"""The rules, each a function of the history that tells its violations. None accuses without being certain."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator

from faults.checker.figures import failovers
from faults.checker.history import VOLUNTARY, Belief, History
from faults.checker.verdict import Rule, Violation
from faults.records import Append, Truth


def exclusion(history: History) -> Iterator[Violation]:
    """Rule 1: no two beliefs overlap, but after a third party's deed, which ``outlived`` judges."""
    standing: list[tuple[float, int, Belief]] = []
    for number, belief in enumerate(history.beliefs):
        while standing and standing[0][0] <= belief.begin:
            heapq.heappop(standing)
        for _, _, other in standing:
            together = min(belief.end, other.end) - belief.begin
            first, second = sorted((other, belief), key=lambda each: each.token)
            deposed = history.tenures.get(first.token)
            excused = deposed is not None and deposed.foreign is not None and first.token < second.token
            if belief.begin < other.end and not excused:
                text = f"{first.who} in term {first.token} and {second.who} in {second.token}, for {together:.4f} s"
                yield Violation(Rule.EXCLUSION, belief.begin, text, ", ".join(sorted({first.who, second.who})))
        heapq.heappush(standing, (belief.end, number, belief))


def outlived(history: History) -> Iterator[Violation]:
    """Rule 1: belief ends before the key goes; within the grace after a third party's deed."""
    for belief in history.beliefs:
        tenure = history.tenures.get(belief.token)
        if tenure is None or tenure.gone is None or belief.end <= tenure.gone + tenure.grace:
            continue
        late = belief.end - tenure.gone
        stalled = history.stalled(tenure.gone, belief.end)
        if tenure.foreign is None:
            text = f"term {belief.token} was believed in for at least {late:.4f} s after its key was gone"
            yield Violation(Rule.OUTLIVED, belief.end, text, belief.who)
        elif late > tenure.grace + stalled:
            text = f"term {belief.token}: {late:.4f} s after “{tenure.foreign.name}”, {tenure.grace:g} s are allowed"
            yield Violation(Rule.FOREIGN, belief.end, text, belief.who)


def early(history: History) -> Iterator[Violation]:
    """Nobody believes in a term before the one before it is over: an append that was applied shows that it was not."""
    last_sent: dict[int, Append] = {}
    for append in history.appends:
        if append.outcome == "applied" and (
            append.token not in last_sent or append.sent > last_sent[append.token].sent
        ):
            last_sent[append.token] = append
    alive: Append | None = None
    alive_before: dict[int, Append | None] = {}
    for token in sorted({*last_sent, *(each.token for each in history.beliefs)}):
        alive_before[token] = alive
        if token in last_sent and (alive is None or last_sent[token].sent > alive.sent):
            alive = last_sent[token]
    for belief in history.beliefs:
        proof = alive_before[belief.token]
        if proof is not None and belief.begin < proof.sent:
            text = f"term {belief.token} was believed in {proof.sent - belief.begin:.3f} s before {proof.token} wrote"
            yield Violation(Rule.EARLY, belief.begin, text, belief.who)


def finality(history: History) -> Iterator[Violation]:
    """Rule 2: ``check()`` is false before the loss is told, and ever after."""
    for belief in history.beliefs:
        loss = history.losses.get((belief.who, belief.token))
        if loss is not None and belief.end > loss.at:
            text = f"term {belief.token} was believed in {belief.end - loss.at:.3f} s after its loss ({loss.reason})"
            yield Violation(Rule.FINALITY, belief.end, text, belief.who)


def tokens(history: History) -> Iterator[Violation]:
    """Rule 3: tokens rise strictly, each being the revision that created its key."""
    highest = current = 0
    for event in history.truth:
        if not event.deleted and event.token != current:
            if event.token <= highest or event.token != event.revision:
                text = f"{event.token} at revision {event.revision}, after {highest}"
                yield Violation(Rule.TOKENS, event.at, text, event.who)
            highest = max(highest, event.token)
        current = 0 if event.deleted else event.token


def winner(history: History) -> Iterator[Violation]:
    """A win is in the truth, with its winner, and is won once."""
    seen: set[int] = set()
    for win in history.wins:
        tenure = history.tenures.get(win.token)
        if tenure is None:
            yield Violation(Rule.WINNER, win.at, f"term {win.token} never was", win.who)
        elif tenure.who != win.who:
            yield Violation(Rule.WINNER, win.at, f"term {win.token} was {tenure.who}’s", win.who)
        elif win.token in seen:
            yield Violation(Rule.WINNER, win.at, f"term {win.token} was won twice", win.who)
        seen.add(win.token)
    for belief in history.beliefs:
        tenure = history.tenures.get(belief.token)
        if tenure is None or tenure.who != belief.who:
            yield Violation(
                Rule.WINNER, belief.begin, f"believed in term {belief.token}, which it never won", belief.who
            )


def appends(history: History) -> Iterator[Violation]:
    """Each acknowledged append is in the list once, an unknown one at most once, a refused one never."""
    if history.final is None:
        return
    for append in history.appends:
        there = history.entries[append.token, append.number]
        text = f"({append.token}, {append.number}), {append.outcome}"
        if append.outcome == "applied" and not there:
            yield Violation(Rule.APPEND_LOST, append.answered, text, append.who)
        elif append.outcome in {"refused", "unsent"} and there:
            yield Violation(Rule.APPEND_REFUSED, append.answered, text, append.who)
    for (token, number), there in history.entries.items():
        if there > 1:
            yield Violation(Rule.APPEND_TWICE, history.final.at, f"({token}, {number}), {there} times")
        if token not in history.tenures:
            yield Violation(Rule.APPEND_STRANGE, history.final.at, f"({token}, {number})")


def append_order(history: History) -> Iterator[Violation]:
    """Tokens never decrease in the list, and within one token an append that was answered is before all sent later.

    One that stayed unknown may have been applied at any time after it was sent, as long as its term lasted.
    """
    if history.final is None:
        return
    records = {(each.token, each.number): each for each in history.appends}
    highest = 0
    sent: dict[int, Append] = {}
    for entry in history.final.entries:
        token, number = entry
        append = records.get(entry)
        who = append.who if append else ""
        if token < highest:
            yield Violation(
                Rule.APPEND_ORDER, history.final.at, f"({token}, {number}) after an entry of {highest}", who
            )
        highest = max(highest, token)
        if append is None:
            continue
        later = sent.get(token)
        if append.outcome == "applied" and later is not None and later.sent > append.answered:
            text = f"({token}, {number}) after ({token}, {later.number}), which was sent later"
            yield Violation(Rule.APPEND_ORDER, append.answered, text, who)
        if later is None or append.sent > later.sent:
            sent[token] = append


def append_late(history: History) -> Iterator[Violation]:
    """Rule 4: nothing that was sent after the key was gone is applied, whoever removed or overwrote it."""
    for append in history.appends:
        tenure = history.tenures.get(append.token)
        applied = append.outcome == "applied" or history.entries[append.token, append.number] > 0
        if applied and tenure is not None and tenure.gone is not None and append.sent > tenure.gone:
            text = f"({append.token}, {append.number}), sent {append.sent - tenure.gone:.3f} s after the key was gone"
            yield Violation(Rule.APPEND_LATE, append.sent, text, append.who)


def register(history: History) -> Iterator[Violation]:
    """The register behind a ``FenceGuard`` takes no token below one that it has taken."""
    highest = 0
    for write in history.writes:
        if write.guarded and write.accepted:
            if write.token < highest:
                yield Violation(Rule.REGISTER, write.at, f"{write.token} after {highest}", write.who)
            highest = max(highest, write.token)


def observers(history: History) -> Iterator[Violation]:
    """Rule 10: what an observer is told is a part of the truth, in its order, and comes to the same end."""
    states = _states(history.truth)
    place: dict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for each in history.observed:
        last[each.who] = each.token
        found = place[each.who]
        while found < len(states) and states[found] != each.token:
            found += 1
        if found < len(states):
            place[each.who] = found
        else:
            text = (
                f"told of {each.token or 'a vacancy'}, which did not come after {states[place[each.who]] or 'vacancy'}"
            )
            yield Violation(Rule.OBSERVER_ORDER, each.at, text, each.who)
    if history.final is not None:
        for who, token in last.items():
            if token != states[-1]:
                text = f"told of {token or 'a vacancy'} at last; it is {states[-1] or 'vacant'}"
                yield Violation(Rule.OBSERVER_END, history.final.at, text, who)


def _states(truth: list[Truth]) -> list[int]:
    """What the key was, one after the other: a token, or 0."""
    # The recorder begins at the key's first revision: before that, nobody led.
    return [0, *(0 if each.deleted else each.token for each in truth)]


def orphans(history: History) -> Iterator[Violation]:
    """Rule 7: nothing of ours is left."""
    if history.final is None:
        return
    for lease in history.final.leases:
        yield Violation(Rule.ORPHAN, history.final.at, f"lease {lease:x}")
    if history.final.leader_token:
        yield Violation(Rule.ORPHAN, history.final.at, f"the leader key, of term {history.final.leader_token}")


def body(history: History) -> Iterator[Violation]:
    """Rule 9: the body has ended before its key is released; a key that is lost goes when it goes."""
    for ended in history.ends:
        tenure = history.tenures.get(ended.token)
        loss = history.losses.get((ended.who, ended.token))
        lost = loss is not None and loss.reason not in VOLUNTARY
        if tenure is None or tenure.gone is None or tenure.foreign is not None or lost:
            continue
        # One that was frozen as it ended may have written that down late.
        if ended.at > tenure.gone and not history.frozen(ended.who, tenure.created, ended.at):
            text = f"term {ended.token}: {ended.at - tenure.gone:.3f} s before"
            yield Violation(Rule.BODY, ended.at, text, ended.who)


def failover(history: History) -> Iterator[Violation]:
    """Rule 11: who has gone is replaced in time."""
    for each in failovers(history):
        if each.bound is not None and each.seconds > each.bound + each.stalled:
            text = f"{each.seconds:.3f} s after term {each.token} ended ({each.end}), not {each.bound:g} s"
            yield Violation(Rule.FAILOVER, each.at, text)


def bounds(history: History) -> Iterator[Violation]:
    """Each row of the table keeps its bound."""
    for each in history.measured:
        if each.seconds > each.bound + history.stalled(each.begin, each.begin + each.seconds):
            text = f"row {each.row}, {each.what}: {each.seconds:.3f} s, not {each.bound:g} s"
            yield Violation(Rule.BOUND, history.end, text)


RULES: tuple[Callable[[History], Iterator[Violation]], ...] = (
    exclusion,
    outlived,
    early,
    finality,
    tokens,
    winner,
    appends,
    append_order,
    append_late,
    register,
    observers,
    orphans,
    body,
    failover,
    bounds,
)
