# SPDX-License-Identifier: Apache-2.0
"""Ports of local servers stay theirs, also while a server is down."""

import socket
from pathlib import Path

from infra.local.system import free_port


def test_no_port_is_given_twice() -> None:
    """One installation asks for some thirty ports before anything listens on the first."""
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)


def test_outgoing_connections_cannot_take_a_port() -> None:
    """The system gives ports of its own range to outgoing connections, even a dead server's."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in (free_port() for _ in range(200)) if low <= port <= high]


def test_a_port_in_use_is_not_given() -> None:
    """Somebody else's server keeps its port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        assert taken.getsockname()[1] not in {free_port() for _ in range(300)}
