# SPDX-License-Identifier: Apache-2.0
"""The machine's process: killed without warning again and again, over mutual TLS."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme

from services.common.errors import Unavailable
from services.kiosk_sync.edge.centre import Centre
from tests.support.machines import CENTRE_BOX, CENTRE_SIGN, EPOCH, SERIAL, application
from tests.support.small_centre import SmallCentre
from tests.support.waiting import wait_until


class Process:
    """One machine's process and its control port."""

    def __init__(self, config: Path, port: int) -> None:
        self.command = [sys.executable, "-m", "services.kiosk_sync.edge", "--config", str(config)]
        self.url = f"http://127.0.0.1:{port}"
        self.child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        wait_until(self._is_up, what="the machine's control port")
        return child

    def _is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """Kill without warning and start again."""
        self.child.kill()
        self.child.wait(10)
        self.child = self._start()

    def get(self, path: str) -> dict:
        return requests.get(self.url + path, timeout=10).json()

    def post(self, path: str, body: dict) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=10)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The one CA of this test."""
    return trustme.CA()


@pytest.fixture
def centre(authority: trustme.CA) -> Iterator[SmallCentre]:
    """A small centre that asks for the machine's certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    server = SmallCentre(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def files_of(authority: trustme.CA, folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    names = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    machine = authority.issue_cert(f"{SERIAL}.kiosk")
    authority.cert_pem.write_to_path(names["ca"])
    machine.cert_chain_pems[0].write_to_path(names["cert"])
    machine.private_key_pem.write_to_path(names["key"])
    return names


@pytest.fixture
def process(tmp_path: Path, centre: SmallCentre, authority: trustme.CA) -> Iterator[Process]:
    """A machine's process joined to the small centre."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sign").write_text((b"m" * 32).hex())
    config = tmp_path / "machine.json"
    config.write_text(json.dumps({
        "serial": SERIAL, "epoch": EPOCH, "folder": str(tmp_path / "data"), "base_url": centre.url,
        "downlink_url": centre.url, **files_of(authority, tmp_path),
        "sign_key_file": str(tmp_path / "sign"), "control_port": port,
        "centre_sign_key": CENTRE_SIGN.public_key().public_bytes_raw().hex(),
        "centre_box_key": CENTRE_BOX.public_key().public_bytes_raw().hex(),
        "sync_first_s": 0.02, "sync_last_s": 0.2, "poll_wait_s": 0, "staff": ["CB01", "CB02"],
    }))  # fmt: skip
    running = Process(config, port)
    yield running
    running.child.send_signal(signal.SIGTERM)
    assert running.child.wait(10) == 0


def test_a_killed_machine_goes_on_where_it_was(process: Process, centre: SmallCentre) -> None:
    """Deposits answered before a kill stay; notes and pouches agree; the journal arrives whole."""
    wait_until(lambda: process.get("/state")["procedures"], what="the catalogue")
    answered = set()
    for number in range(4):
        killer = threading.Timer(0.05 + number * 0.013, process.child.kill)
        killer.start()
        for pouch in range(10):
            try:
                body = application(f"P{number}{pouch:05d}")
                dossier = process.post("/deposit", body).json()["dossier"]
                answered.add(dossier)
                process.post("/cash", {"dossier": dossier, "notes": [10_000, 20_000]})
            except requests.RequestException:
                break
        killer.join()
        process.kill()
    for dossier in answered:
        assert process.get(f"/dossiers/{dossier}")["deposited"] is True
    wait_until(lambda: (s := process.get("/state"))["acked"] == s["seq"], what="all confirmed")
    state = process.get("/state")
    assert (state["fork"], len(centre.records)) == (None, state["seq"])
    assert state["journal"]["notes"] == state["mechanics"]["notes"]
    odd = sum(record.type == "kiosk.custody_unknown" for record in centre.records)
    assert state["journal"]["deposits"] + odd == len(state["mechanics"]["pouches"])


def test_control_speaks_of_refusals(process: Process) -> None:
    """Refusals are 409 with both languages, broken requests 400, unknown paths 404."""
    refused = process.post("/deposit", {**application(), "procedure": "9.999999"})
    assert (refused.status_code, refused.json()["code"]) == (409, "procedure_not_here")
    assert refused.json()["vi"]
    assert process.post("/deposit", {"pouch": "P1"}).status_code == 400
    emptying = {"staff": "CB01", "second_staff": "CB03", "seal": "NP1"}
    refused = process.post("/empty-bin", emptying)
    assert (refused.status_code, refused.json()["code"]) == (409, "staff_unknown")
    refused = process.post("/empty-bin", {**emptying, "second_staff": "CB02"})
    assert (refused.status_code, refused.json()["code"]) == (409, "bin_empty")
    assert process.post("/nothing", {}).status_code == 404


def test_another_authority_is_not_the_centre(
    tmp_path: Path, centre: SmallCentre, authority: trustme.CA
) -> None:
    """A centre under another CA, and a machine under another CA, get nowhere."""
    good, foreign = files_of(authority, tmp_path / "a"), files_of(trustme.CA(), tmp_path / "b")
    own = (good["cert"], good["key"])
    for ca, pair in ((foreign["ca"], own), (good["ca"], (foreign["cert"], foreign["key"]))):
        with pytest.raises(Unavailable):
            Centre(centre.url, SERIAL, EPOCH, ca=ca, client=pair).hello(1, "0" * 64)
    assert (
        Centre(centre.url, SERIAL, EPOCH, ca=good["ca"], client=own).hello(1, "0" * 64).status
        == 200
    )
