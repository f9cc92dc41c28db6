"""The pure core: what is believed, until when, and what may follow what. No coroutine, no clock, no network."""
