# SPDX-License-Identifier: Apache-2.0
"""A machine where nothing can be had says at once what is missing; running servers are enough."""

import pytest

from infra.local import compose, postgres, rabbitmq, servers, system


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No servers, no apt-get, no sudo, no docker: nothing is on the path."""
    for name in ("MOTCUA_DATABASE_URL", "MOTCUA_AMQP_URL", "MOTCUA_AMQP_MANAGEMENT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgres, "is_installed", lambda: False)
    monkeypatch.setattr(rabbitmq, "is_installed", lambda: False)
    return monkeypatch


@pytest.mark.usefixtures("bare")
def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The message gives the command that would help, and the other way out."""
    assert not system.may_install()
    assert not compose.compose_works()
    assert servers.check() == 2
    said = capsys.readouterr().err
    assert "postgresql rabbitmq-server" in said
    assert "sudo apt-get install -y --no-install-recommends" in said
    assert "MOTCUA_AMQP_MANAGEMENT_URL" in said


def test_given_servers_are_enough(bare: pytest.MonkeyPatch) -> None:
    """All three addresses, not two."""
    bare.setenv("MOTCUA_DATABASE_URL", "postgresql://somewhere/postgres")
    bare.setenv("MOTCUA_AMQP_URL", "amqp://somewhere/")
    assert servers.check() == 2
    bare.setenv("MOTCUA_AMQP_MANAGEMENT_URL", "http://somewhere")
    assert servers.check() == 0
