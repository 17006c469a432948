# SPDX-License-Identifier: Apache-2.0
"""Orders to machines, whatever the sequence in which payment's events are handled."""

from itertools import permutations

import pytest

from tests.support.province import Province


@pytest.mark.parametrize("sequence", list(permutations(range(2))))
def test_who_has_paid_is_not_asked_again(sequence: tuple[int, ...]) -> None:
    """The screen ends at paid also where the payment's word was handled before the question."""
    province = Province()
    fleet = province.runners.pop()
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    events = [
        event
        for event in province.log.read_stream(f"payment-{dossier}")
        if event.type in {"payment.requested", "payment.settled"}
    ]
    for place in sequence:
        fleet.handle(events[place])
    assert province.types("grant-VT01")[-1] == "grant.payment_confirmed"
