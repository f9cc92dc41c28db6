"""gRPC's status codes and etcd's messages as our errors; and what an error says about whether a write was applied."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode

from aioelection._transport.port import LeaseExists, LeaseNotFound, Overloaded
from aioelection.errors import (
    ElectionError,
    InvalidConfiguration,
    OutcomeUnknown,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)

_CREDENTIALS_REFUSED = (
    "invalid auth token",
    "revision of auth store is old",
    "authentication failed",
    "user name is empty",
    "user name not found",
)
"""etcd gives some of these with the code INVALID_ARGUMENT."""

_NOT_APPLIED = (
    "failed to connect to all addresses",
    "etcdserver: no leader",
    "raft proposal dropped",
)
"""What is said when a request did not leave us, or was turned away before it was proposed."""


def translate(error: Any, where: str, *, writes: bool) -> ElectionError:
    """Our error for a gRPC error; ``writes`` tells that the request would have changed something."""
    code, details = error.code(), error.details() or ""
    message = f"{where}: {details or code.name.lower()}"
    if code is StatusCode.UNAUTHENTICATED or any(refused in details for refused in _CREDENTIALS_REFUSED):
        return Unauthenticated(message)
    if code is StatusCode.PERMISSION_DENIED:
        return PermissionDenied(message)
    if code is StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(message)
    if code is StatusCode.NOT_FOUND and "lease" in details:
        return LeaseNotFound(message)
    if code is StatusCode.FAILED_PRECONDITION and "lease already exists" in details:
        return LeaseExists(message)
    if code in (StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE):
        return InvalidConfiguration(message)
    if writes and not any(known in details for known in _NOT_APPLIED):
        return OutcomeUnknown(message)
    return Unavailable(message)


def refusal(reason: str) -> ElectionError:
    """Our error for the reason with which the server cancelled a watch."""
    if "permission denied" in reason:
        return PermissionDenied(f"watch refused: {reason}")
    if any(refused in reason for refused in _CREDENTIALS_REFUSED):
        return Unauthenticated(f"watch refused: {reason}")
    return Unavailable(f"watch cancelled by etcd: {reason or 'no reason given'}")
