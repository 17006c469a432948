# SPDX-License-Identifier: Apache-2.0
"""Cash only under a lease of the centre; without one it is hidden, and everything else goes on."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.common.clock import SystemClock
from services.common.errors import Refused
from services.kiosk_sync import protocol
from services.kiosk_sync.edge.agent.cash import close_cash, open_cash, take_credits
from services.kiosk_sync.edge.agent.lease import keep_lease, may_take_money
from services.kiosk_sync.edge.agent.view import dossier_view
from services.kiosk_sync.edge.centre import Centre
from services.kiosk_sync.edge.control import Hands
from services.kiosk_sync.edge.sync import ALARM_LEASE, Receiver
from tests.support.machines import EPOCH, SERIAL, application, lease, machine_in
from tests.support.offices import HandClock
from tests.support.small_centre import SmallCentre


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    server = SmallCentre()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def later(hands: Hands, **amount: float) -> Hands:
    """Return the same machine at another time."""
    clock = HandClock(SystemClock().now() + timedelta(**amount))
    return replace(hands, machine=replace(hands.machine, clock=clock))


def test_without_a_lease_cash_is_hidden(tmp_path: Path) -> None:
    """Refused with a clear code, not offered on the screen; papers are still taken in."""
    hands = machine_in(tmp_path, lease_s=None)
    dossier = str(hands.deposit(application())["dossier"])
    with pytest.raises(Refused) as caught:
        hands.cash({"dossier": dossier, "notes": [2000]})
    assert caught.value.code == "money_lease_expired"
    assert dossier_view(hands.machine, dossier)["cash_terms"] is None
    assert hands.state()["takes_money"] is False
    assert hands.mechanics.state["box"] == []
    keep_lease(hands.machine, lease(60))
    assert hands.state()["takes_money"] is True
    assert dossier_view(hands.machine, dossier)["cash_terms"]
    assert hands.cash({"dossier": dossier, "notes": [2000]})["credited_vnd"] == 2000


@pytest.mark.parametrize(
    ("amount", "allowed"),
    [({"hours": 23.9}, True), ({"hours": 24.1}, False), ({"minutes": -9}, True),
     ({"minutes": -11}, False)],
)  # fmt: skip
def test_it_ends_by_the_clock(tmp_path: Path, amount: dict, *, allowed: bool) -> None:
    """After its end, and for a clock that stands before its beginning."""
    assert may_take_money(later(machine_in(tmp_path), **amount).machine) is allowed


def test_who_began_to_pay_ends_in_order(tmp_path: Path) -> None:
    """A lease that runs out while notes go in stops the next session, not this one."""
    hands = machine_in(tmp_path)
    dossier = str(hands.deposit(application())["dossier"])
    open_cash(hands.machine, dossier)
    expired = later(hands, hours=25).machine
    hands.validator.insert(2000)
    take_credits(expired)
    assert close_cash(expired) == 2000
    with pytest.raises(Refused, match="money_lease_expired"):
        open_cash(expired, dossier)


def test_only_the_centre_gives_leases(tmp_path: Path) -> None:
    """Another machine's, a changed one, an order dressed up as one: nothing."""
    hands = machine_in(tmp_path, lease_s=None)
    changed = lease(60)
    changed["lease"] = {**changed["lease"], "until": 2**52}
    for document in (lease(60, serial="VT02"), changed, {}, {"lease": {}, "sig": "00"}):
        with pytest.raises(protocol.ProtocolError):
            keep_lease(hands.machine, document)
    hands.machine.store.note("money_lease", "rubbish")
    assert not may_take_money(hands.machine)


def test_a_shorter_lease_changes_nothing(tmp_path: Path) -> None:
    """An old answer that comes late does not take away what a newer one gave."""
    hands = machine_in(tmp_path, lease_s=None)
    keep_lease(hands.machine, lease(86_400))
    keep_lease(hands.machine, lease(60))
    assert may_take_money(later(hands, hours=23).machine)


def test_it_is_renewed_with_the_catalogue(tmp_path: Path, centre: SmallCentre) -> None:
    """Kept through silence about leases; a forged one raises an alarm until a good one comes."""
    hands, down = machine_in(tmp_path, lease_s=None), Centre(centre.url, SERIAL, EPOCH)
    receiver = Receiver(hands.machine, down, down, wait_s=0, catalogue_s=0.0)
    centre.lease = None
    receiver.step()
    assert not may_take_money(hands.machine)
    centre.lease = lease(60, serial="VT02")
    receiver.step()
    assert "lease refused" in str(hands.machine.store.meta(ALARM_LEASE))
    centre.lease = lease(86_400)
    receiver.step()
    centre.lease = None
    receiver.step()
    assert hands.machine.store.meta(ALARM_LEASE) is None
    assert may_take_money(machine_in(tmp_path, lease_s=None).machine)
