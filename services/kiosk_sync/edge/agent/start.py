# SPDX-License-Identifier: Apache-2.0
"""Start: prove the file, settle what a cut left at each device, then say that the machine is up."""

from contextlib import suppress

from services.common.errors import Refused
from services.kiosk_sync.edge.agent.cash import settle_cash
from services.kiosk_sync.edge.agent.deposit import settle_intake
from services.kiosk_sync.edge.agent.machine import Machine
from services.kiosk_sync.edge.agent.release import settle_locks


def start(machine: Machine, release: str) -> None:
    """Make journal and devices agree again; safe to be cut off and run again.

    Raises:
        StoreError: the file contradicts itself; the machine must not serve.
    """
    machine.store.check()
    with machine.busy:
        settle_cash(machine)
        settle_intake(machine)
        # A door that stands open is settled before the next one opens.
        with suppress(Refused):
            settle_locks(machine)
        with machine.store.transaction() as tx:
            tx.append("kiosk.booted", {"release": release}, session=machine.boot_session)
