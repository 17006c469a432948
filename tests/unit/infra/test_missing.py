# SPDX-License-Identifier: Apache-2.0
"""A machine where nothing can be had says at once what is missing; running servers are enough."""

from pathlib import Path

import pytest

from infra.local import browser, compose, postgres, rabbitmq, servers, system


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


@pytest.mark.usefixtures("bare")
def test_a_missing_browser_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said before anything is set up, without a word about databases."""
    assert browser.check() == 2
    said = capsys.readouterr().err
    assert "sudo apt-get install -y --no-install-recommends chromium" in said
    assert "DATABASE" not in said


def test_a_browser_that_is_there_is_not_installed(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any Chromium on the path will do."""
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    bare.setenv("PATH", str(tmp_path))
    assert browser.check() == 0
    assert browser.program() == str(program)
