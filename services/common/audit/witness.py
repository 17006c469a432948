# SPDX-License-Identifier: Apache-2.0
"""A witness: ``python -m services.common.audit.witness``, run by somebody who is not the operator.

It needs neither the log's database nor the broker. Its memory is one file: the last tree head of
each log that it cosigned. What a log signs against that memory is refused and kept as evidence
(``c2sp.org/tlog-witness``, ADR-0014).
"""

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from services.common.audit.witness_memory import Memory
from services.common.clock import Clock, SystemClock, to_micros
from services.common.config import ConfigError, Settings
from services.common.integrity.notes import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Note,
    NoteError,
    Signer,
    VerifierKey,
)
from services.common.integrity.witnessing import (
    BAD_REQUEST,
    BODY_MAX,
    NOT_FOUND,
    TEXT_TYPE,
    NotCosignedError,
    check_growth,
    open_request,
)
from services.common.runtime import log_format
from services.common.telemetry import metrics
from services.common.telemetry.health import HEARTBEAT_EVERY_S, Health, HealthServer
from services.common.telemetry.logs import configure_logs, get_logger

_MICROS: Final = 1_000_000
_LOG = get_logger(__name__)

Answer = tuple[int, str, str]
"""Status, content type, body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessConfig:
    """Settings of a witness.

    Attributes:
        signer: the witness's key.
        logs: trusted keys by the log's origin.
        memory: its file.
        host: address to listen on.
        port: its port.
        metrics_port: /metrics, /healthz, /readyz.
        log_format: ``json``, ``console`` or None for automatic.
    """

    signer: Signer
    logs: Mapping[str, tuple[VerifierKey, ...]]
    memory: Path
    host: str
    port: int
    metrics_port: int
    log_format: str | None


def read_config(settings: Settings) -> WitnessConfig:
    """Return the config; raises ConfigError with everything that is missing or wrong."""
    name, seed = settings.text("MOTCUA_WITNESS_NAME"), settings.key("MOTCUA_WITNESS_KEY")
    listed = settings.text("MOTCUA_WITNESS_LOGS")
    memory = settings.text("MOTCUA_WITNESS_MEMORY")
    host = settings.text("MOTCUA_HTTP_HOST", "127.0.0.1")
    port = settings.whole("MOTCUA_HTTP_PORT", high=65_535)
    metrics_port = settings.whole("MOTCUA_METRICS_PORT", high=65_535)
    words = log_format(settings)
    settings.finish()
    try:
        signer, logs = Signer(name, seed, COSIGNATURE), read_logs(listed)
    except NoteError as error:
        raise ConfigError((f"MOTCUA_WITNESS_NAME or MOTCUA_WITNESS_LOGS: {error}",)) from error
    return WitnessConfig(
        signer=signer, logs=logs, memory=Path(memory), host=host, port=port,
        metrics_port=metrics_port, log_format=words,
    )  # fmt: skip


def read_logs(text: str) -> dict[str, tuple[VerifierKey, ...]]:
    """Return keys by origin from verifier keys, one a line; raises NoteError."""
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    for line in text.split():
        key = VerifierKey.parse(line)
        if key.algorithm != ED25519:
            raise NoteError(f"the key of {key.name} is not that of a log")
        logs[key.name] = (*logs.get(key.name, ()), key)
    return logs


class Witness:
    """Answers requests; safe for threads."""

    def __init__(
        self, signer: Signer, logs: Mapping[str, tuple[VerifierKey, ...]], memory: Memory,
        *, clock: Clock,
    ) -> None:  # fmt: skip
        """Bind key, logs and memory."""
        self._signer = signer
        self._logs = logs
        self._memory = memory
        self._clock = clock

    def add_checkpoint(self, raw: str) -> Answer:
        """Return the answer to ``POST /add-checkpoint``; what is cosigned is on disk before."""
        try:
            line = self._cosigned(raw)
        except NotCosignedError as error:
            metrics.witness_answers_total.labels(str(error.status)).inc()
            if error.evidence:
                self._memory.keep_evidence(raw, to_micros(self._clock.now()))
                _LOG.critical("log_contradicts_itself", status=error.status)
            return error.status, error.kind, error.body
        metrics.witness_answers_total.labels("200").inc()
        return 200, TEXT_TYPE, f"{line}\n"

    def newest(self, origin_digest: str) -> Answer:
        """Return the newest cosigned checkpoint of the log with this SHA-256 of its origin."""
        for origin in self._logs:
            if hashlib.sha256(origin.encode()).hexdigest() == origin_digest:
                note = self._memory.note(origin)
                if note is not None:
                    return 200, TEXT_TYPE, note
        return NOT_FOUND, TEXT_TYPE, "nothing cosigned\n"

    def _cosigned(self, raw: str) -> str:
        request, checkpoint, note = open_request(raw, self._trusted())
        vouched = _vouched(checkpoint)
        with self._memory.growing(checkpoint.origin) as record:
            check_growth(request, checkpoint, record.seen)
            seconds = to_micros(self._clock.now()) // _MICROS
            line = self._signer.cosign(note.text, seconds)
            cosigned = Note(note.text, (*note.signatures, line))
            record.keep(checkpoint.size, checkpoint.root, str(cosigned))
        # A key that a trusted key vouches for is trusted from then on, so a log may change its key
        # without asking each witness.
        for key in vouched:
            self._memory.learn(str(key))
        return line

    def _trusted(self) -> dict[str, tuple[VerifierKey, ...]]:
        learned = read_logs(self._memory.keys())
        return {origin: (*keys, *learned.get(origin, ())) for origin, keys in self._logs.items()}


def _vouched(checkpoint: Checkpoint) -> list[VerifierKey]:
    try:
        keys = checkpoint.next_keys()
    except NoteError as error:
        raise NotCosignedError(BAD_REQUEST, str(error)) from error
    return [key for key in keys if (key.name, key.algorithm) == (checkpoint.origin, ED25519)]


def make_server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """Return the HTTP server of a witness; port 0 takes any free one."""

    class Handler(BaseHTTPRequestHandler):
        """The two calls of the protocol."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            """Answer ``add-checkpoint``."""
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_MAX:
                self.close_connection = True
                self._send((BAD_REQUEST, TEXT_TYPE, "a body of known and small size is needed\n"))
                return
            body = self.rfile.read(int(length)).decode("utf-8", "replace")
            if self.path == "/add-checkpoint":
                self._send(witness.add_checkpoint(body))
            else:
                self._send((NOT_FOUND, TEXT_TYPE, "not found\n"))

        def do_GET(self) -> None:
            """Answer ``<sha256 of the origin>/checkpoint``."""
            digest, _, name = self.path.strip("/").partition("/")
            found = name == "checkpoint"
            self._send(witness.newest(digest) if found else (NOT_FOUND, TEXT_TYPE, "not found\n"))

        def _send(self, answer: Answer) -> None:
            status, kind, text = answer
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Keep requests out of the logs."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def main() -> int:
    """Run the witness until SIGTERM; returns the exit code."""
    try:
        config = read_config(Settings(os.environ))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs("witness", config.log_format)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    health, memory = Health(), Memory(config.memory)
    probes = HealthServer(health, config.metrics_port)
    witness = Witness(config.signer, config.logs, memory, clock=SystemClock())
    server = make_server(witness, config.host, config.port)
    probes.start()
    threading.Thread(target=server.serve_forever, name="witness", daemon=True).start()
    _LOG.info("witness_started", verifier=str(config.signer.verifier))
    while not stopping.wait(HEARTBEAT_EVERY_S):
        health.beat()
    server.shutdown()
    server.server_close()
    probes.stop()
    memory.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
