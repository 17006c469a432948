# SPDX-License-Identifier: Apache-2.0
"""The table in code and the file that the broker loads are one topology."""

from pathlib import Path
from typing import Any, cast

from services.common import contracts
from services.common.messaging import topology
from services.intake.application import push
from services.intake.application import reactions as intake
from services.kiosk_sync.application import reactions as kiosk_sync
from services.notify.application import reactions as notify
from services.payment.application import reactions as payment
from services.payment.application import receipts


def test_definitions_file_is_the_table() -> None:
    """definitions.json holds exactly the exchanges, queues and bindings that code wants."""
    text = Path("infra/rabbitmq/definitions.json").read_text(encoding="utf-8")
    assert text == topology.definitions_text()


def test_every_bound_type_has_a_contract() -> None:
    """A queue is bound only to event types that exist."""
    known = {contract.type for contract in contracts.all_contracts()}
    assert {name for names in topology.BINDINGS.values() for name in names} <= known


def test_every_queue_is_bound_to_what_its_reactor_handles() -> None:
    """No event comes that nobody handles, none is handled that never comes."""
    nothing = cast("Any", None)  # handlers are only named here, never called
    one_stop = push.one_stop_handlers(nothing, nothing, nothing, nothing)
    said = notify.Reactions(nothing, nothing).reactor()
    handled = {
        "intake.reactions": intake.event_handlers(nothing, nothing),
        "intake.one_stop": one_stop,
        "intake.one_stop_2026": one_stop,
        "payment.reactions": payment.event_handlers(nothing, nothing),
        receipts.REACTOR: receipts.event_handlers(nothing, nothing),
        said.name: said.handlers,
        "kiosk_sync.reactions": kiosk_sync.event_handlers(nothing, nothing),
    }
    bound = {name: set(types) for name, types in topology.BINDINGS.items()}
    assert bound.pop("notify.sending") == {"notification.requested"}
    assert {name: set(handlers) for name, handlers in handled.items()} == bound
