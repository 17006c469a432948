# SPDX-License-Identifier: Apache-2.0
"""The only wiring of kiosk_sync; used by all its processes."""

from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.kiosk_sync.adapters.seals import PostgresSeals
from services.kiosk_sync.application.leases import LeaseTerms, MoneyLeases
from services.kiosk_sync.application.orders import Orders
from services.kiosk_sync.application.reactions import EVENT_HANDLERS, streams_read
from services.kiosk_sync.application.upload import Journals
from services.kiosk_sync.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class KioskSync:
    """The service, wired."""

    config: Config
    runtime: Runtime
    reactors: tuple[Reactor, ...]
    journals: Journals
    orders: Orders
    leases: MoneyLeases


def bootstrap(config: Config) -> KioskSync:
    """Wire the service; nothing is opened yet."""
    runtime = Runtime(config.core)
    handlers = partial(EVENT_HANDLERS, clock=runtime.clock)
    box = X25519PrivateKey.from_private_bytes(config.central_box_key)
    sign = Ed25519PrivateKey.from_private_bytes(config.central_sign_key)
    seals = PostgresSeals(runtime.read_models, config.core.log_id, runtime.clock)
    terms = LeaseTerms(lease_s=config.money_lease_s, late_s=config.seal_late_s)
    return KioskSync(
        config=config,
        runtime=runtime,
        reactors=(Reactor.batched("kiosk_sync.reactions", runtime.log, handlers, streams_read),),
        journals=Journals(runtime.recorder, runtime.keys, box),
        orders=Orders(runtime.recorder, sign),
        leases=MoneyLeases(seals, sign, runtime.clock, terms),
    )
