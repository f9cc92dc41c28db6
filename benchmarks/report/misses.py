"""Why goals are missed, as far as the profiler tells: by figure and measure."""

WHY: dict[str, str] = {
    "handover.time": (
        "A successor that is told of the deletion cancels its watch (a write to a gRPC stream: 0.26 ms) and closes "
        "the stream before its transaction is sent; the leader does the same right after its revoke. Keeping the "
        "watch until the transaction is answered takes a fifth off. The rest is Python's: tasks, and turns of the "
        "event loop."
    ),
    "campaign.time": (
        "A bare call through Python's gRPC takes 0.6 ms of CPU here, more than etcd's own part of an exchange. Ours "
        "adds the making of a term (events, locks, a scope, a task that keeps it) and the start of the task that "
        "renews, which is begun twice: for the candidate, and for the term."
    ),
    "campaign_shared.time": (
        "A bare call through Python's gRPC takes 0.6 ms of CPU here, more than etcd's own part of an exchange. Beside "
        "it, the way through the pool of connections takes 0.15 to 0.2 ms, the start of the renewals 0.15 ms, and the "
        "making of a term 0.25 ms."
    ),
    "guarded_txn.time": (
        "Our records are made into messages and back, with a deadline, the translation of errors and the mending of "
        "cancellations around the call."
    ),
    "shared_lease.won": (
        "The floor is 0.3 ms for each transaction, all of it in gRPC. A leadership takes as much again for its watch "
        "(a message to the watch stream), and more for its tasks, of which it has four."
    ),
    "shared_lease.cpu": (
        "In single runs it was 1 to 1.5 % once all watches stood. The machine was under load, and watches were still "
        "being created: when the loop is busy with thousands of them for two seconds, the watch stream passes for "
        "silent, and they are created anew (8,881 creations for 6,000 watches were seen; whether that is all of it was "
        "not proven)."
    ),
    "shared_lease.memory": (
        "Four tasks, the body's among them, and eight `asyncio.Event`s and locks (each with a `deque` of 0.7 KiB) for "
        "each leadership. A shared lease needs no renewing task for each of its terms, and an event that nobody waits "
        "for need not be made."
    ),
    "observers.time": "About 13 µs for each observer, of which the event loop's way to wake a task is the half.",
    "imports.time": "Half is aetcd and gRPC; the rest is 70 modules of ours, and the making of their dataclasses.",
    "own_leases.cpu": "Each renewal passes the agenda, a lane, the ledger and the deadline.",
    "renewal.renewal": (
        "A renewal passes the agenda, a lane with its outbox, the ledger and the deadline, and wakes three tasks; the "
        "floor writes and reads."
    ),
}
