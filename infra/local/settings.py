# SPDX-License-Identifier: Apache-2.0
"""Random secrets, certificates, ports and the environment of every local process."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from infra.local.pki import Authority
from infra.local.servers import Addresses
from infra.local.system import free_port
from services.common.audit.seals import origin_of
from services.common.eventlog.migrate import LOGINS
from services.common.integrity.notes import COSIGNATURE, Signer

LOG_ID: Final = 93
WITNESS_NAME: Final = "witness.local"
MACHINES: Final = {"VT01": "VT", "CT01": "CT"}
"""Serial of each machine of the demonstration → the office it stands at."""
MACHINE, OFFICE = "VT01", "VT"
OFFICIALS: Final = {
    "cb001": ("Công chức một cửa Vị Thanh", "VT"),
    "cb002": ("Công chức một cửa Châu Thành", "CT"),
    "tc001": ("Kế toán", "VT"),
    "tc002": ("Kế toán trưởng", "VT"),
    "bt001": ("Biên tập danh mục", "VT"),
}
"""Who works there, and for which office."""
MACHINE_STAFF: Final = ("cb001", "cb002", "cb009")
"""Who may open cells and bins; ``cb009`` only watches."""
EDITORS: Final = ("bt001",)
"""Who may change the catalogue."""
BANK_BIN: Final = "970418"
BANK_ACCOUNT: Final = "1234567890"
ONE_STOP_CLIENT: Final = "motcua247"
OIDC_CLIENT: Final = "motcua247"
SMPP_USER: Final = "motcua"
SMS_SENDER: Final = "MOTCUAVT"
VHOST: Final = "motcua"
LOOKER: Final = "motcua_notify_web"
"""Login to the broker that may do nothing; the subscribers' pages look at queues with it."""
_PORTS: Final = (
    "intake", "intake-web", "intake-web-http", "payment", "payment-web", "payment-web-http",
    "notify", "notify-feed", "notify-feed-http", "notify-webhooks", "notify-web", "notify-web-http",
    "kiosk-sync", "kiosk-sync-web", "kiosk-sync-web-http", "kiosk-sync-downlink",
    "kiosk-sync-downlink-http", "relay", "sealer", "witness",
    "witness-http", "audit-web", "audit-web-http", "bank", "smsc", "smsc-http", "one-stop",
    "identity",
    *(f"{what}-{serial}" for serial in MACHINES
      for what in ("edge", "line", "line-web", "line-downlink")),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything that one local installation is made of; secrets stand in files under ``folder``.

    Attributes:
        folder: private folder (mode 0700) with secrets, books, logs and the machine's journal.
        addresses: administrators' logins to the servers.
        ports: local ports by name.
        tokens: bearer token of each of ``OFFICIALS``.
    """

    folder: Path
    addresses: Addresses
    ports: dict[str, int]
    passwords: dict[str, str]
    tokens: dict[str, str]
    database: str = "motcua"

    def secret(self, name: str) -> Path:
        """Return the file that holds secret ``name``."""
        return self.folder / "secrets" / name

    def database_url(self, role: str, *, keys: bool = False) -> str:
        """Return ``role``'s login to the log's (or the keys') database."""
        parts = urlsplit(self.addresses.database_url)
        name = f"{self.database}_keys" if keys else self.database
        login = f"{role}:{self.passwords[role]}"
        return f"postgresql://{login}@{parts.hostname}:{parts.port}/{name}"

    def admin_url(self, *, keys: bool = False) -> str:
        """Return the administrator's login to the log's (or the keys') database."""
        parts = urlsplit(self.addresses.database_url)
        name = f"{self.database}_keys" if keys else self.database
        return f"postgresql://{parts.netloc}/{name}"

    def amqp_url(self, user: str) -> str:
        """Return ``user``'s login to the platform's virtual host."""
        parts = urlsplit(self.addresses.amqp_url)
        login = f"{user}:{self.passwords[user]}"
        return f"amqp://{login}@{parts.hostname}:{parts.port}/{VHOST}"

    @property
    def official_token(self) -> str:
        """Return the token of the first office's official."""
        return self.tokens["cb001"]

    def http(self, name: str) -> str:
        """Return the base URL of a local HTTP server."""
        return f"http://127.0.0.1:{self.ports[name]}"


def make_stack(folder: Path, addresses: Addresses, database: str = "motcua") -> Stack:
    """Generate secrets, certificates and ports for a new local installation in ``folder``."""
    (folder / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = {name: free_port() for name in _PORTS}
    passwords = {role: secrets.token_hex(16) for role in (*LOGINS, LOOKER)}
    stack = Stack(
        folder=folder,
        addresses=addresses,
        ports=ports,
        passwords=passwords,
        tokens={who: secrets.token_urlsafe(24) for who in OFFICIALS},
        database=database,
    )
    _write_secrets(stack)
    authority = Authority(folder / "pki")
    authority.issue("centre", server=True)
    for serial in MACHINES:
        authority.issue(serial, server=False)
    return stack


def _write_secrets(stack: Stack) -> None:
    sign, box = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    officials = {
        hashlib.sha256(stack.tokens[who].encode()).hexdigest():
            {"id": who, "name": name, "office": office,
             "roles": ["editor"] if who in EDITORS else []}
        for who, (name, office) in OFFICIALS.items()
    }  # fmt: skip
    texts = {
        "service_key": secrets.token_hex(32),
        "kek": secrets.token_hex(32),
        "payos_key": secrets.token_hex(32),
        "seal_key": secrets.token_hex(32),
        "subscriber_key": secrets.token_hex(32),
        "webhook_key": secrets.token_hex(32),
        "certificate_key": secrets.token_hex(32),
        "smpp_password": secrets.token_hex(8)[:8],
        "oidc_secret": secrets.token_hex(16),
        "session_key": secrets.token_hex(32),
        "one_stop_session": secrets.token_hex(16),
        "central_sign": sign.private_bytes_raw().hex(),
        "central_sign_public": sign.public_key().public_bytes_raw().hex(),
        "central_box": box.private_bytes_raw().hex(),
        "central_box_public": box.public_key().public_bytes_raw().hex(),
        "officials.json": json.dumps(officials, ensure_ascii=False),
        "official_token": stack.official_token,
    }
    texts |= _seal_secrets(stack, texts["seal_key"])
    for serial in MACHINES:
        machine = Ed25519PrivateKey.generate()
        texts[f"machine_sign_{serial}"] = machine.private_bytes_raw().hex()
        texts[f"machine_sign_public_{serial}"] = machine.public_key().public_bytes_raw().hex()
    for name, text in texts.items():
        path = stack.secret(name)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def _seal_secrets(stack: Stack, seal_key: str) -> dict[str, str]:
    """Return the witness's key, whom it watches, where the sealer finds it; whom to believe."""
    seed = secrets.token_bytes(32)
    watched = Signer(origin_of(LOG_ID, 1), bytes.fromhex(seal_key)).verifier
    witness = Signer(WITNESS_NAME, seed, COSIGNATURE).verifier
    return {
        "witness_key": seed.hex(),
        "witness_logs": str(watched),
        "trusted_keys": f"{watched}\n{witness}",
        "witnesses": f"{stack.http('witness-http')} {witness}",
    }
