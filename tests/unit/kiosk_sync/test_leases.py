# SPDX-License-Identifier: Apache-2.0
"""The centre gives leases while sealing is in time, and only then."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from services.common.clock import to_micros
from services.kiosk_sync import protocol
from services.kiosk_sync.application.leases import LeaseTerms, MoneyLeases
from tests.support.machines import CENTRE_SIGN
from tests.support.offices import HandClock

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


class Seals:
    """Sealing, so far behind."""

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s

    def lag_s(self) -> float:
        return self._lag_s


@pytest.mark.parametrize(("lag_s", "given"), [(0, True), (60, True), (60.1, False), (9999, False)])
def test_late_sealing_withholds_them(lag_s: float, *, given: bool) -> None:
    """Up to the bound a lease from now on, signed for that machine; beyond it nothing, and a log."""
    terms = LeaseTerms(lease_s=3600, late_s=60)
    leases = MoneyLeases(Seals(lag_s), CENTRE_SIGN, HandClock(NOW), terms)
    with capture_logs() as logged:
        document = leases.lease("VT01")
    assert (document is not None) is given
    assert [line["event"] for line in logged] == ([] if given else ["money_lease_withheld"])
    if document is not None:
        key, start_us = CENTRE_SIGN.public_key().public_bytes_raw(), to_micros(NOW)
        assert protocol.verify_lease(key, "VT01", document) == protocol.Lease(
            from_us=start_us, until_us=start_us + 3_600_000_000
        )
        with pytest.raises(protocol.ProtocolError):
            protocol.verify_lease(key, "VT02", document)
