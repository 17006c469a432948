# SPDX-License-Identifier: Apache-2.0
"""A log that signs what it likes, and witnesses as processes."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.system import free_port
from services.common.integrity.merkle import consistency_proof, root_of
from services.common.integrity.notes import COSIGNATURE, Checkpoint, Signer, sign_checkpoint
from services.common.integrity.witnessing import AddCheckpoint
from tests.support.processes import Process

ORIGIN = "motcua247/93/1"
LOG_SEED, WITNESS_SEED = bytes(range(32)), bytes(range(2, 34))
LOG = Signer(ORIGIN, LOG_SEED)
WITNESS = Signer("w.example", WITNESS_SEED, COSIGNATURE)


@dataclass
class SomeLog:
    """Leaves, and whoever signs for them."""

    leaves: list[bytes] = field(
        default_factory=lambda: [hashlib.sha256(n.to_bytes(2)).digest() for n in range(100)]
    )
    signers: list[Signer] = field(default_factory=lambda: [LOG])
    extensions: tuple[str, ...] = ()

    def request(self, old: int, new: int) -> str:
        """Return the body that asks to cosign the first ``new`` leaves."""
        head = Checkpoint(
            origin=ORIGIN, size=new, root=root_of(self.leaves[:new]), extensions=self.extensions
        )
        note = str(sign_checkpoint(head, self.signers))

        def read(level: int, index: int) -> bytes:
            return root_of(self.leaves[index << level : (index + 1) << level])

        return str(
            AddCheckpoint(old=old, proof=tuple(consistency_proof(old, new, read)), checkpoint=note)
        )


def start_witness(folder: Path, memory: Path, *keys: str) -> tuple[Process, str]:
    """Start a witness that trusts ``keys``; returns it and its address."""
    port, key, logs = free_port(), folder / "witness_key", folder / "witness_logs"
    key.write_text(WITNESS_SEED.hex(), encoding="utf-8")
    logs.write_text("\n".join(keys or [str(LOG.verifier)]), encoding="utf-8")
    environ = {
        "MOTCUA_WITNESS_NAME": WITNESS.verifier.name,
        "MOTCUA_WITNESS_KEY_FILE": str(key),
        "MOTCUA_WITNESS_LOGS_FILE": str(logs),
        "MOTCUA_WITNESS_MEMORY": str(memory),
        "MOTCUA_HTTP_PORT": str(port),
    }
    process = Process("services.common.audit.witness", environ, folder / "witness.log")
    return process, f"http://127.0.0.1:{port}"
