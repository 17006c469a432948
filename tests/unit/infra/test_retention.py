# SPDX-License-Identifier: Apache-2.0
"""Which dossiers' personal data were kept long enough."""

import uuid
from datetime import timedelta

import pytest

from infra.cli_subject import due_for
from services.common.audit.subjects import Erase, erase
from tests.support.province import Province


@pytest.fixture
def province() -> Province:
    """A fresh province."""
    return Province()


def due(province: Province, purpose: str = "contact", *, days: float = 30) -> list[str]:
    """Return what is due ``days`` from now."""
    return list(due_for(province.log, purpose, province.clock.now() + timedelta(days=days)))


def closed(province: Province) -> str:
    """Return a dossier that its citizen withdrew."""
    dossier = province.deposit(pouch=f"P{uuid.uuid4().hex[:6]}")
    province.does(dossier, "withdraw", reason="Không còn nhu cầu")
    return dossier


def test_closed_long_enough(province: Province) -> None:
    """Only closed ones, only after the time, only for a purpose that something is kept for."""
    done, _ = closed(province), province.deposit(pouch="P-open")
    assert due(province) == [done]
    assert due(province, days=-1) == []
    assert due(province, "tax") == []


def test_erased_ones_are_done(province: Province) -> None:
    """An erasure is news about a dossier, and leaves nothing to be erased."""
    done = closed(province)
    order = Erase(dossier=done, basis="retention", reference="QD-12", official="cb007")
    erase(province.office.recorder("motcua_eraser"), province.office.keys, order)
    assert due(province) == []
