"""The adapter: the port over aetcd's stubs and messages. Nothing else in the library knows aetcd or gRPC."""

from aioelection._transport.aetcd.channels import open_channels
from aioelection._transport.aetcd.transport import AdoptedTransport, AetcdTransport, AetcdWords

__all__ = ["AdoptedTransport", "AetcdTransport", "AetcdWords", "open_channels"]
