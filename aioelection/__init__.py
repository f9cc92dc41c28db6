"""Leader election for asyncio over etcd v3: one process of many does the job, and never two.

Connect, stand, and lead while elected::

    async with aioelection.connect("http://127.0.0.1:2379") as client:
        leadership = aioelection.Leadership(client, "/billing/leader", purpose="invoices")
        async with leadership.campaign(10, b"node-a") as term:
            await send_invoices(fence=term.fencing_token)
"""

from aioelection._core.machine import State
from aioelection._core.ops import DeleteResult, GetResult, KeyValue, PutResult, TxnResult
from aioelection._proto import LeaderRecord, Member
from aioelection._shell.follow import WatchEnd
from aioelection.campaign import Campaign
from aioelection.client import Client
from aioelection.connect import connect
from aioelection.errors import (
    CampaignConflict,
    ElectionError,
    InvalidConfiguration,
    InvalidState,
    LeadershipLost,
    LeaseExpired,
    LossReason,
    NotLeader,
    OutcomeUnknown,
    PermissionDenied,
    StaleToken,
    TokenWentBack,
    Unauthenticated,
    Unavailable,
)
from aioelection.fencing import FenceGuard
from aioelection.leader import Leader, get_leader
from aioelection.leadership import Leadership
from aioelection.lease import Lease
from aioelection.observe import Observer, observe
from aioelection.record import decode_leader_value, leader_record
from aioelection.resignation import request_resign
from aioelection.statistics import EndpointStatistics, Statistics
from aioelection.term import Term
from aioelection.tls import TLS
from aioelection.transitions import Transition, Transitions
from aioelection.txn import LeaderTxn
from aioelection.watchdog import Watchdog

__all__ = [
    "TLS",
    "Campaign",
    "CampaignConflict",
    "Client",
    "DeleteResult",
    "ElectionError",
    "EndpointStatistics",
    "FenceGuard",
    "GetResult",
    "InvalidConfiguration",
    "InvalidState",
    "KeyValue",
    "Leader",
    "LeaderRecord",
    "LeaderTxn",
    "Leadership",
    "LeadershipLost",
    "Lease",
    "LeaseExpired",
    "LossReason",
    "Member",
    "NotLeader",
    "Observer",
    "OutcomeUnknown",
    "PermissionDenied",
    "PutResult",
    "StaleToken",
    "State",
    "Statistics",
    "Term",
    "TokenWentBack",
    "Transition",
    "Transitions",
    "TxnResult",
    "Unauthenticated",
    "Unavailable",
    "WatchEnd",
    "Watchdog",
    "connect",
    "decode_leader_value",
    "get_leader",
    "leader_record",
    "observe",
    "request_resign",
]
