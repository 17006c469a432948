# SPDX-License-Identifier: Apache-2.0
"""The only wiring of kiosk_sync; used by all its processes."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.kiosk_sync.application.orders import Orders
from services.kiosk_sync.application.reactions import EVENT_HANDLERS
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


def bootstrap(config: Config) -> KioskSync:
    """Wire the service; nothing is opened yet."""
    runtime = Runtime(config.core)
    handlers = EVENT_HANDLERS(runtime.log, runtime.clock)
    box = X25519PrivateKey.from_private_bytes(config.central_box_key)
    sign = Ed25519PrivateKey.from_private_bytes(config.central_sign_key)
    return KioskSync(
        config=config,
        runtime=runtime,
        reactors=(Reactor(name="kiosk_sync.reactions", handlers=handlers),),
        journals=Journals(runtime.recorder, runtime.keys, box),
        orders=Orders(runtime.recorder, sign),
    )
