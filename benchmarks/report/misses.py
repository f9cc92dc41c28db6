"""Why goals are missed, as far as the profiler tells: by figure and measure."""

WHY: dict[str, str] = {
    "handover.time": (
        "Between the call that resigns and the request that revokes lie 0.3 ms of Python (the end of the body's "
        "scope, the transition, two tasks), between the event and the successor's transaction as much (the watch's "
        "reply, the cursor, the mailbox, the line). The rest is the floor's own. Both sides share one event loop "
        "here: what the resigned side has left to do is done while the successor's transaction is under way. "
        "etcd's election service needs one exchange of its client's where all others need two."
    ),
    "campaign.time": (
        "A bare call through Python's gRPC takes 0.6 ms of CPU here, more than etcd's own part of an exchange. "
        "Ours adds the making of a term, and one campaign after the other on one loop pays for the watch that the "
        "last has created and left. Single campaigns take 9 turns of the event loop; the floor takes 8."
    ),
    "campaign_shared.time": ("As for a lease of its own; with one exchange instead of two the same CPU weighs more."),
    "guarded_txn.time": (
        "Our records are made into messages and back, with a deadline, the translation of errors and the mending "
        "of cancellations around the call."
    ),
    "shared_lease.won": (
        "The floor is 0.2 to 0.3 ms for each transaction, all of it in gRPC. A leadership takes as much again for "
        "its watch (a message to the watch stream and its answer), and 0.1 ms for its making."
    ),
    "observers.time": ("About 13 µs for each observer, of which the event loop's way to wake a task is the half."),
    "imports.time": ("Half is aetcd and gRPC; the rest is 70 modules of ours, and the making of their dataclasses."),
    "own_leases.cpu": (
        "Each renewal passes the agenda, a lane, the ledger and the deadline; a read for every 50 ms proves what was "
        "acknowledged, and the watch of each key is looked after: the floor does none of it."
    ),
}
