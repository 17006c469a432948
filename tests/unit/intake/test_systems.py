# SPDX-License-Identifier: Apache-2.0
"""Which office's one-stop system is spoken to in which generation's words."""

import json

import pytest

from services.common.config import ConfigError
from services.intake.adapters.one_stop_2020 import OneStop2020
from services.intake.adapters.one_stop_2026 import OneStop2026
from services.intake.bootstrap import one_stop_systems
from services.intake.config import read_config
from tests.support.sandboxes import answering

BASE = {
    "MOTCUA_LOG_ID": "1", "MOTCUA_DATABASE_URL": "postgresql://a@127.0.0.1/a",
    "MOTCUA_KEYS_DATABASE_URL": "postgresql://a@127.0.0.1/k",
    "MOTCUA_AMQP_URL": "amqp://a@127.0.0.1/a", "MOTCUA_SERVICE_KEY": bytes(range(32)).hex(),
    "MOTCUA_KEK": bytes(range(1, 33)).hex(), "MOTCUA_ONE_STOP_URL": "http://127.0.0.1:1",
    "MOTCUA_ONE_STOP_SESSION": "session-of-a-unit-test", "MOTCUA_METRICS_PORT": "9100",
}  # fmt: skip
SECOND = {
    "MOTCUA_ONE_STOP_2026_URL": "http://127.0.0.1:2", "MOTCUA_ONE_STOP_2026_CLIENT": "motcua247",
    "MOTCUA_ONE_STOP_2026_SECRET": "secret-of-a-unit-test",
}  # fmt: skip


def test_without_a_word_every_office_is_on_2020() -> None:
    """Nothing about 2026 needs to be set."""
    systems = one_stop_systems(read_config(BASE, web=False))
    assert isinstance(systems.of("CT"), OneStop2020)
    assert len(systems.all()) == 1


@pytest.mark.parametrize("named", ["CT,VC", " CT , VC ", "CT VC"])
def test_named_offices_are_on_2026(named: str) -> None:
    """The named ones share one client of 2026; all others stay."""
    environ = {**BASE, **SECOND, "MOTCUA_ONE_STOP_2026_OFFICES": named}
    systems = one_stop_systems(read_config(environ, web=False))
    assert isinstance(systems.of("CT"), OneStop2026)
    assert systems.of("CT") is systems.of("VC")
    assert isinstance(systems.of("VT"), OneStop2020)
    assert systems.all() == (systems.of("VT"), systems.of("CT"))


@pytest.mark.parametrize("missing", sorted(SECOND))
def test_a_named_office_needs_its_system(missing: str) -> None:
    """An office on 2026 without address, client or secret stops the start, by name."""
    environ = {**BASE, **SECOND, "MOTCUA_ONE_STOP_2026_OFFICES": "CT"}
    del environ[missing]
    with pytest.raises(ConfigError, match=missing):
        read_config(environ, web=False)


@pytest.mark.parametrize("office", ["VT", "CT"])
@pytest.mark.parametrize(
    "time",
    ["00010101000000", "99991231235959", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
     "20261116", "", None],
)  # fmt: skip
def test_a_time_that_is_none_is_not_guessed(office: str, time: str | None) -> None:
    """The order is read, its dossier is not; the same for both generations."""
    row = {
        "MaHoSo": "H30.12-261112-0917", "SoKetQua": "KQ-9", "MaMay": "VT01", "MaTTHC": "1.012783",
        "ChuHoSo": "An", "SoDienThoai": "0987654321", "NgayTiepNhan": time, "NgayHenTra": time,
    }  # fmt: skip
    body = {"access_token": "t", "status": 1, "data": [row], "error_code": 0, "result": [row]}
    with answering(200, json.dumps(body).encode()) as url:
        environ = {
            **BASE, **SECOND, "MOTCUA_ONE_STOP_2026_OFFICES": "CT", "MOTCUA_ONE_STOP_URL": url,
            "MOTCUA_ONE_STOP_2026_URL": url,
        }  # fmt: skip
        (order,) = one_stop_systems(read_config(environ, web=False)).of(office).to_return()
    assert (order.code, order.counter) == ("H30.12-261112-0917", None)
