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


@pytest.mark.parametrize("sequence", list(permutations(range(2))))
def test_who_is_refused_is_not_asked_any_more(sequence: tuple[int, ...]) -> None:
    """The machine's last word is that nothing is due, also where the end was handled first."""
    province = Province()
    fleet = province.runners.pop()
    dossier = province.deposit()
    province.does(dossier, "refuse", reason="Sai mẫu")
    events = [
        event
        for event in province.log.read_stream(f"payment-{dossier}")
        if event.type in {"payment.requested", "payment.closed"}
    ]
    for place in sequence:
        fleet.handle(events[place])
    assert province.types("grant-VT01")[-1] == "grant.payment_withdrawn"


@pytest.mark.parametrize(("further", "last"), [(False, "confirmed"), (True, "withdrawn")])
def test_only_what_was_still_asked_is_taken_back(further: bool, last: str) -> None:
    """A paid dossier needs no word when it ends; a further fee that waits is asked no more."""
    province = Province()
    dossier = province.deposit()
    province.pays(dossier, 8_000)
    province.does(dossier, "accept")
    province.does(dossier, "start", agency="Phòng Tư pháp")
    if further:
        province.does(dossier, "ask-fee", le_phi_vnd=12_000, phi_vnd=500, reason="Thẩm định")
        province.does(dossier, "withdraw", reason="Không nộp")
    else:
        province.does(dossier, "stop", reason="Tranh chấp")
    assert province.types("grant-VT01")[-1] == f"grant.payment_{last}"
