# SPDX-License-Identifier: Apache-2.0
"""A centre for one machine, in memory, over real HTTP; with faults and, if wished, mutual TLS."""

import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from services.kiosk_sync import protocol
from tests.support.machines import EPOCH, MACHINE_SIGN, PROCEDURE, SERIAL, lease


class SmallCentre(ThreadingHTTPServer):
    """Takes journals as the real centre does, in memory; ``faults`` are consumed one a request."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.tls = tls
        self.records: list[protocol.Record] = []
        self.keys: list[protocol.BoxedKey] = []
        self.orders: list[dict] = []
        self.faults: list[str | tuple[int, dict, dict]] = []
        self.lease: object = lease(86_400)
        self.uploads = 0
        self.catalogues = 0
        self.waits: list[int] = []

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_address[1]}"

    def finish_request(self, request: object, client_address: object) -> None:
        # In the connection's own thread: a bad handshake must not stop the others.
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients are killed on purpose."""

    def position(self) -> dict:
        head = (
            self.records[-1].hash(SERIAL, EPOCH)
            if self.records
            else protocol.genesis(SERIAL, EPOCH)
        )
        return {"next": len(self.records) + 1, "head": head}

    def take(self, body: bytes) -> tuple[int, dict]:
        upload = protocol.decode_upload(body)
        assert protocol.verify_batch(upload, MACHINE_SIGN.public_key().public_bytes_raw())
        self.uploads += 1
        if upload.records[0].seq > len(self.records) + 1:
            return 409, {"error": "gap", **self.position()}
        for record in upload.records:
            if record.seq <= len(self.records):
                assert self.records[record.seq - 1] == record
            else:
                self.records.append(record)
        self.keys += upload.keys
        return 200, self.position()


class Answering(BaseHTTPRequestHandler):
    """Routes of the small centre."""

    server: SmallCentre

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    def _respond(self, body: bytes) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, tuple):
            self._send(*fault)
            return
        status, answer = self._answer(body)
        if fault == "lose":
            self.connection.close()
            return
        self._send(status, answer, {})

    def _answer(self, body: bytes) -> tuple[int, dict]:
        url = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        match url.path:
            case "/kiosk/v1/hello":
                assert json.loads(body).keys() == {"serial", "epoch", "next", "head"}
                return 200, self.server.position()
            case "/kiosk/v1/events":
                return self.server.take(body)
            case "/kiosk/v1/catalogue":
                assert asked == {"serial": SERIAL, "epoch": str(EPOCH)}
                self.server.catalogues += 1
                return 200, {
                    "procedures": [{**PROCEDURE, "version": 9}], "money_lease": self.server.lease,
                }  # fmt: skip
            case _:
                self.server.waits.append(int(asked["wait"]))
                return 200, {"orders": self.server.orders[int(asked["after"]) :]}

    def _send(self, status: int, answer: dict, headers: dict) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
