# SPDX-License-Identifier: Apache-2.0
"""The only wiring of notify."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.notify.adapters.smpp import Account, SMPPGateway
from services.notify.adapters.subscriber_queues import SubscriberQueues
from services.notify.application.reactions import Reactions
from services.notify.application.receipts import record_receipt
from services.notify.application.reminders import Quiet, Reminders
from services.notify.application.sending import Sending
from services.notify.application.subscribers import Subscribers
from services.notify.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The service, wired."""

    config: Config
    runtime: Runtime
    reactors: tuple[Reactor, ...]
    gateway: SMPPGateway
    reminders: Reminders
    queues: SubscriberQueues
    subscribers: Subscribers


def bootstrap(config: Config) -> Notify:
    """Wire the service; nothing is opened yet."""
    runtime = Runtime(config.core)
    account = Account(
        host=config.smpp_host,
        port=config.smpp_port,
        system_id=config.smpp_system_id,
        password=config.smpp_password,
        sender=config.sms_sender,
    )
    gateway = SMPPGateway(account, runtime.clock, partial(record_receipt, runtime.recorder))
    sending = Sending(runtime.recorder, gateway, runtime.clock)
    reactions = Reactions(runtime.log, runtime.clock)
    return Notify(
        config=config,
        runtime=runtime,
        reactors=(reactions.reactor(), sending.reactor()),
        gateway=gateway,
        reminders=Reminders(
            runtime.recorder, reactions, runtime.clock,
            before=timedelta(seconds=config.remind_before_s),
            quiet=Quiet(from_hour=config.quiet_from_hour, to_hour=config.quiet_to_hour),
        ),
        queues=SubscriberQueues(config.core.amqp_url),
        subscribers=Subscribers(runtime.log, runtime.clock),
    )  # fmt: skip
