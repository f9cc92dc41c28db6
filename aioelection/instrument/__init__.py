"""Being told what happens on a client: hooks, and what they are told.

A hook is anything that can be called with an event, such as a function or the ``append`` of a list::

    def hook(event: Event) -> None:
        match event:
            case TermEnded(lost=True):
                page_somebody(event.key, event.reason)

    async with aioelection.connect("http://127.0.0.1:2379", hooks=hook) as client:
        ...

It is called at once, in the event loop, and must not block. One that raises harms no election: that is logged, once.

Beside it, each imported by itself: ``aioelection.instrument.logs``, and with the package that each is named for
``aioelection.instrument.prometheus`` and ``aioelection.instrument.opentelemetry``.
"""

from aioelection._core.events import (
    BodyOverran,
    CampaignBegan,
    CampaignEnded,
    ElectionEvent,
    Event,
    Hedged,
    Hook,
    LoopStalled,
    Outcome,
    RenewalAnswered,
    RenewalEvent,
    RenewalFailed,
    RenewalSent,
    StreamBroken,
    TermEnded,
    TermEvent,
    TermResumed,
    TermSuspended,
    TermWon,
)

__all__ = [
    "BodyOverran",
    "CampaignBegan",
    "CampaignEnded",
    "ElectionEvent",
    "Event",
    "Hedged",
    "Hook",
    "LoopStalled",
    "Outcome",
    "RenewalAnswered",
    "RenewalEvent",
    "RenewalFailed",
    "RenewalSent",
    "StreamBroken",
    "TermEnded",
    "TermEvent",
    "TermResumed",
    "TermSuspended",
    "TermWon",
]
