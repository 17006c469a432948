# SPDX-License-Identifier: Apache-2.0
"""The wiring of the feed's process, which reads the log and nothing else."""

from dataclasses import dataclass
from typing import Final

from services.common.clock import Clock
from services.common.runtime import ReadRuntime
from services.notify.adapters.checkpoints import PostgresCheckpoints
from services.notify.application.certificates import Certificates, certificate_signer
from services.notify.application.feed import Feed
from services.notify.application.limits import Gate
from services.notify.application.subscribers import Subscribers
from services.notify.config import FeedConfig

THREADS: Final = 64
CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeding:
    """The feed, wired."""

    runtime: ReadRuntime
    subscribers: Subscribers
    feed: Feed
    certificates: Certificates
    gate: Gate


def make_feeding(config: FeedConfig, *, today: Clock | None = None) -> Feeding:
    """Wire the feed; nothing is opened yet.

    ``today`` says for the certificates what day it is; the process's own clock by default.
    """
    runtime = ReadRuntime(config.read, pool=CONNECTIONS)
    subscribers = Subscribers(runtime.log, runtime.clock)
    checkpoints = PostgresCheckpoints(config.read.database_url, config.read.log_id)
    signer = certificate_signer(config.read.log_id, config.certificate_key)
    return Feeding(
        runtime=runtime,
        subscribers=subscribers,
        feed=Feed(runtime.log, subscribers, runtime.clock),
        certificates=Certificates(runtime.log, checkpoints, today or runtime.clock, signer),
        gate=Gate(runtime.clock),
    )
