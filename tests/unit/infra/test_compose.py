# SPDX-License-Identifier: Apache-2.0
"""Docker Compose is the last source of servers: chosen last, started whole, removed whole."""

import os
from pathlib import Path

import pytest
import yaml

from infra.local import servers
from infra.local.compose import FILE, ComposeServers, compose_works
from infra.local.system import MissingError


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called docker that writes down how it is called; returns its notes."""
    notes = tmp_path / "notes"
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\necho "$@ $MOTCUA_COMPOSE_AMQP_PORT" >> {notes}\n'
        f"test ! -e {tmp_path}/broken || {{ echo no space left >&2; exit 1; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return notes


def test_compose_is_started_and_removed(docker: Path) -> None:
    """Own project, own ports, own password; volumes go too."""
    assert compose_works()
    compose = ComposeServers("motcua-test-1")
    database, amqp, management = compose.start()
    compose.stop()
    lines = docker.read_text().splitlines()
    port = amqp.rpartition(":")[2].partition("/")[0]
    assert f"compose -p motcua-test-1 -f {FILE} up --detach --wait {port}" in lines
    assert f"compose -p motcua-test-1 -f {FILE} down --volumes --timeout 5 {port}" in lines
    assert database.startswith("postgresql://postgres:")
    assert management.startswith("http://motcua_admin:")


def test_what_docker_says_is_told(docker: Path) -> None:
    """A failed start names the reason."""
    (docker.parent / "broken").touch()
    with pytest.raises(MissingError, match="no space left"):
        ComposeServers("motcua-test-2").start()
    assert not compose_works()


def test_compose_is_chosen_only_when_nothing_else_is_there(
    docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages missing and not to be installed: then, and only then, containers."""

    def missing() -> None:
        raise MissingError("not on this machine: postgresql")

    monkeypatch.setattr(servers, "install_missing", missing)
    with servers.Servers({}, "test") as addresses:
        assert "motcua_admin" in addresses.amqp_url
    assert "down --volumes" in docker.read_text()
    (docker.parent / "broken").touch()
    with pytest.raises(MissingError, match="postgresql"), servers.Servers({}, "test"):
        pass


def test_the_file_is_whole() -> None:
    """Loopback only, health checks, and no password that stands in the file."""
    wanted = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    assert set(wanted) == {"postgres", "rabbitmq"}
    for service in wanted.values():
        assert all(port.startswith("127.0.0.1:${") for port in service["ports"])
        assert service["healthcheck"]
        secrets = [v for k, v in service["environment"].items() if "PASS" in k]
        assert secrets == ["${MOTCUA_COMPOSE_PASSWORD:?}"]
