# SPDX-License-Identifier: Apache-2.0
"""The machine's configuration is read whole or not at all."""

import json
from pathlib import Path

import pytest

from services.kiosk_sync.edge.config import ConfigError, read_config

WHOLE = {
    "serial": "VT01", "epoch": 1, "folder": "/data", "base_url": "https://a",
    "downlink_url": "https://b", "ca": "ca.pem", "cert": "cert.pem", "key": "key.pem",
    "sign_key_file": "sign", "centre_sign_key": "ab" * 32, "centre_box_key": "cd" * 32,
    "control_port": 1,
}  # fmt: skip


def written(folder: Path, **other: object) -> Path:
    """Return a file with the entries that are needed and ``other``."""
    file = folder / "machine.json"
    file.write_text(json.dumps({**WHOLE, **other}))
    return file


def test_what_is_left_out_has_a_value(tmp_path: Path) -> None:
    """Nobody may open anything until staff are named."""
    read = read_config(written(tmp_path))
    assert (read.catalogue_s, read.staff) == (60.0, ())
    read = read_config(written(tmp_path, catalogue_s=2, staff=["cb001", "cb002"]))
    assert (read.catalogue_s, read.staff) == (2, ("cb001", "cb002"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"staff": "cb001"}, "staff"), ({"staff": [1]}, "staff"), ({"staff": [""]}, "staff"),
        ({"catalogue_s": "2"}, "catalogue_s"), ({"epoch": True}, "epoch"),
        ({"centre_box_key": "ab"}, "centre_box_key"), ({"cups": 1}, "cups"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, wrong: dict[str, object], named: str) -> None:
    """The machine does not start with a configuration that is not meant."""
    with pytest.raises(ConfigError, match=named):
        read_config(written(tmp_path, **wrong))
