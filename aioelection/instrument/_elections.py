"""What events add up to: which elections this process knows, who stands in them, and the terms that it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from aioelection._core.events import CampaignBegan, CampaignEnded, Event, TermWon, text


@dataclass(frozen=True, slots=True)
class Election:
    """One election as it is at this moment, from where this process stands."""

    key: str
    purpose: str
    candidates: int
    remaining: float | None = None
    """Seconds that are left of the term that is held here; ``None`` where none is, like all that follows."""
    ttl: int | None = None
    token: int | None = None


class Elections:
    """Told of events in the event loop; asked in any thread, since metrics are often read in one of their own."""

    def __init__(self) -> None:
        self._candidates: Counter[tuple[bytes, str]] = Counter()
        self._terms: dict[tuple[bytes, str], TermWon] = {}
        """The last term of each; nothing remains of one that has ended."""

    def tell(self, event: Event) -> None:
        match event:
            case CampaignBegan(key=key, purpose=purpose):
                self._candidates[key, purpose] += 1
            case CampaignEnded(key=key, purpose=purpose):
                self._candidates[key, purpose] -= 1
            case TermWon(key=key, purpose=purpose):
                self._terms[key, purpose] = event

    def now(self) -> list[Election]:
        known = list(self._candidates.items())  # at once: others may be added meanwhile
        return [self._election(key, purpose, candidates) for (key, purpose), candidates in known]

    def _election(self, key: bytes, purpose: str, candidates: int) -> Election:
        won = self._terms.get((key, purpose))
        if won is None or (remaining := won.remaining()) <= 0:
            return Election(text(key), purpose, candidates)
        return Election(text(key), purpose, candidates, remaining, won.ttl, won.token)
