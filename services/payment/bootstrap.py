# SPDX-License-Identifier: Apache-2.0
"""The only wiring of payment; used by both its processes."""

from dataclasses import dataclass
from functools import partial

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.payment.adapters.statement import Statement
from services.payment.application import receipts
from services.payment.application.reactions import Bank, event_handlers, payments_read
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
    reactors = (
        Reactor.batched(
            "payment.reactions", runtime.log, partial(event_handlers, bank=bank), payments_read
        ),
        Reactor.batched(
            receipts.REACTOR,
            runtime.log,
            partial(receipts.event_handlers, symbol=config.receipt_symbol),
            receipts.streams_read,
        ),
    )
    statement = Statement(config.statement_url, config.bank_account, config.payos_checksum_key)
    return PaymentService(
        config=config,
        runtime=runtime,
        reactors=reactors,
        statement=ReadStatement(runtime.recorder, statement),
    )
