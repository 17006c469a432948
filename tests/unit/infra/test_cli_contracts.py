# SPDX-License-Identifier: Apache-2.0
"""``motcua contracts``: prints, checks and releases; a broken promise is refused by name."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.motcua import app
from services.common import contracts
from services.common.contracts import evolution


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is published, which a test may change."""
    copy = tmp_path / "released.json"
    copy.write_text(evolution.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(evolution, "FILE", copy)
    return copy


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["contracts", *words])
    return result.exit_code, result.output


def test_schemas_are_printed_and_written(tmp_path: Path) -> None:
    """One by name, or all into a folder; an unknown name is said so in both languages."""
    code, said = run("schema", "dossier.accepted.v1")
    assert (code, json.loads(said)["$id"]) == (0, "urn:motcua247:dossier.accepted.v1")
    code, said = run("schema", "dossier.eaten.v1")
    assert code == 2
    assert "no contract dossier.eaten.v1" in said
    assert "không có hợp đồng" in said
    assert run("schemas", "--folder", str(tmp_path))[0] == 0
    assert len(list(tmp_path.glob("*.json"))) == len(contracts.all_contracts())


def test_a_breaking_change_is_not_released(published: Path) -> None:
    """Check and release name event, field and rule, and write nothing."""
    language = evolution.released()
    language["payment.settled.v1"]["schema"]["properties"]["paid_vnd"]["x-unit"] = "USD"
    published.write_text(evolution.released_text(language), encoding="utf-8")
    before = published.read_text(encoding="utf-8")
    for command in ("check", "release"):
        code, said = run(command)
        assert code == 1
        assert "payment.settled.v1.paid_vnd: unit: USD became VND" in said
    assert published.read_text(encoding="utf-8") == before


def test_a_compatible_change_is_released(published: Path) -> None:
    """A new event and better words, for which somebody answers."""
    language = evolution.released()
    del language["payment.settled.v1"]
    language["dossier.opened.v1"]["schema"]["title"] = "Opened."
    published.write_text(evolution.released_text(language), encoding="utf-8")
    assert run("release")[0] == 1
    code, said = run("release", "--reworded", "dossier.opened.v1")
    assert (code, "1 of them new" in said) == (0, True)
    assert evolution.released() == evolution.spoken()
