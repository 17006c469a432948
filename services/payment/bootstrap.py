# SPDX-License-Identifier: Apache-2.0
"""The only wiring of payment; used by both its processes."""

from dataclasses import dataclass

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.payment.adapters.statement import Statement
from services.payment.application import receipts
from services.payment.application.reactions import Bank, event_handlers
from services.payment.application.statement import ReadStatement
from services.payment.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentService:
    """The service, wired."""

    config: Config
    runtime: Runtime
    reactors: tuple[Reactor, ...]
    statement: ReadStatement


def bootstrap(config: Config) -> PaymentService:
    """Wire the service; nothing is opened yet."""
    runtime = Runtime(config.core)
    bank = Bank(bin=config.bank_bin, account=config.bank_account, token_key=config.core.service_key)
    handlers = event_handlers(runtime.log, bank)
    reactors = (
        Reactor(name="payment.reactions", handlers=handlers),
        Reactor(
            name=receipts.REACTOR,
            handlers=receipts.event_handlers(runtime.log, config.receipt_symbol),
        ),
    )
    statement = Statement(config.statement_url, config.bank_account, config.payos_checksum_key)
    return PaymentService(
        config=config,
        runtime=runtime,
        reactors=reactors,
        statement=ReadStatement(runtime.recorder, statement),
    )
