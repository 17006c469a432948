# SPDX-License-Identifier: Apache-2.0
"""The machine's configuration: one JSON file, read whole or not at all."""

import json
from dataclasses import dataclass, fields
from pathlib import Path


class ConfigError(Exception):
    """What is missing or wrong in the file, all of it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Configuration of one machine.

    Attributes:
        serial: the machine's serial, ``VT01``.
        epoch: the epoch it was enrolled for.
        folder: where its files are.
        base_url: address of the centre's upload process.
        downlink_url: address of the centre's process for orders.
        ca: file of the one CA that signs the centre's certificate.
        cert: file of the machine's certificate.
        key: file of the certificate's key.
        sign_key_file: file with the machine's Ed25519 seed, hex.
        centre_sign_key: the centre's Ed25519 public key, hex.
        centre_box_key: the centre's X25519 public key, hex.
        staff: codes of the officials who may load, recall and empty.
        control_port: port on 127.0.0.1 of the people's hands.
        sync_first_s: first bound of the back-off, seconds.
        sync_last_s: last bound of the back-off, seconds.
        poll_wait_s: how long a poll for orders may hang, seconds.
        catalogue_s: how old the catalogue may get before it is asked for again, seconds.
    """

    serial: str
    epoch: int
    folder: str
    base_url: str
    downlink_url: str
    ca: str
    cert: str
    key: str
    sign_key_file: str
    centre_sign_key: str
    centre_box_key: str
    control_port: int
    sync_first_s: float = 1.0
    sync_last_s: float = 300.0
    poll_wait_s: int = 25
    catalogue_s: float = 60.0
    staff: tuple[str, ...] = ()


def read_config(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigError: naming every missing, unknown or wrong entry.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: not a JSON object")
    known = {field.name: field for field in fields(Config)}
    needed = {name for name in known if not hasattr(Config, name)}
    problems = [f"{name}: missing" for name in sorted(needed - set(raw))]
    problems += [f"{name}: unknown" for name in sorted(set(raw) - set(known))]
    for name in sorted(set(raw) & set(known)):
        if name == "staff":
            continue
        kind = known[name].type
        allowed = (int, float) if kind is float else kind
        if isinstance(raw[name], bool) or not isinstance(raw[name], allowed):  # type: ignore[arg-type]
            problems.append(f"{name}: wrong type")
    staff = raw.get("staff", [])
    if not isinstance(staff, list) or not all(isinstance(who, str) and who for who in staff):
        problems.append("staff: must be a list of codes")
    for name in ("centre_sign_key", "centre_box_key"):
        if name in raw and not _is_key(raw[name]):
            problems.append(f"{name}: must be 64 hex digits")
    if problems:
        raise ConfigError("; ".join(problems))
    return Config(**{**raw, "staff": tuple(staff)})


def _is_key(value: object) -> bool:
    try:
        return len(bytes.fromhex(str(value))) == 32  # noqa: PLR2004 - bytes of a Curve25519 key
    except ValueError:
        return False
