# SPDX-License-Identifier: Apache-2.0
"""The table in code and the file that the broker loads are one topology."""

from pathlib import Path

from services.common import contracts
from services.common.messaging import topology


def test_definitions_file_is_the_table() -> None:
    """definitions.json holds exactly the exchanges, queues and bindings that code wants."""
    text = Path("infra/rabbitmq/definitions.json").read_text(encoding="utf-8")
    assert text == topology.definitions_text()


def test_every_bound_type_has_a_contract() -> None:
    """A queue is bound only to event types that exist."""
    known = {contract.type for contract in contracts.all_contracts()}
    assert {name for names in topology.BINDINGS.values() for name in names} <= known
