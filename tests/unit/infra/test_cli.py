# SPDX-License-Identifier: Apache-2.0
"""Bad input at every command line: exit code 2, the option or setting by name, no stack trace."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

GOOD_URL = "postgresql://motcua_intake:a-long-random-password@127.0.0.1:1/motcua"
CORE = {
    "MOTCUA_LOG_ID": "93",
    "MOTCUA_DATABASE_URL": GOOD_URL,
    "MOTCUA_KEYS_DATABASE_URL": GOOD_URL,
    "MOTCUA_AMQP_URL": "amqp://motcua_intake:a-long-random-password@127.0.0.1:1/motcua",
    "MOTCUA_SERVICE_KEY": "0123456789abcdef" * 4,
    "MOTCUA_KEK": "fedcba9876543210" * 4,
    "MOTCUA_METRICS_PORT": "0",
}


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours with nothing of ours in its environment but ``environ``."""
    base = {name: value for name, value in os.environ.items() if "MOTCUA" not in name}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *words],
        check=False, capture_output=True, text=True, timeout=60, env={**base, **environ},
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *named: str) -> None:
    """Check that the program refused, named what is wrong and showed no stack trace."""
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    for name in named:
        assert name in said


SERVICES = [
    ("services.intake",), ("services.intake", "web"), ("services.payment",),
    ("services.payment", "web"), ("services.notify",), ("services.kiosk_sync",),
    ("services.kiosk_sync", "web"), ("services.kiosk_sync", "downlink"),
    ("services.common.relay",),
]  # fmt: skip


@pytest.mark.parametrize("words", SERVICES, ids=" ".join)
def test_a_process_names_every_missing_setting(words: tuple[str, ...]) -> None:
    """All of them at once, so that nobody has to start it nine times."""
    wanted = {"MOTCUA_LOG_ID", "MOTCUA_DATABASE_URL", "MOTCUA_AMQP_URL", "MOTCUA_METRICS_PORT"}
    if words != ("services.common.relay",):
        wanted |= {"MOTCUA_SERVICE_KEY", "MOTCUA_KEK", "MOTCUA_KEYS_DATABASE_URL"}
    if len(words) == 2:
        wanted.add("MOTCUA_HTTP_PORT")
    refused(run(*words), *wanted)


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [("MOTCUA_LOG_ID", "0", "not within"), ("MOTCUA_LOG_ID", "x", "not a whole number"),
     ("MOTCUA_DATABASE_URL", "mysql://a:b@c/d", "must begin with"),
     ("MOTCUA_DATABASE_URL", "postgresql://postgres:postgres@h/d", "well-known password"),
     ("MOTCUA_AMQP_URL", "amqp://guest:guest@h/", "well-known password"),
     ("MOTCUA_SERVICE_KEY", "xyz", "not hexadecimal"), ("MOTCUA_SERVICE_KEY", "00" * 32, "random"),
     ("MOTCUA_KEK", "ab", "32 random bytes"), ("MOTCUA_METRICS_PORT", "70000", "not within"),
     ("MOTCUA_LOG_FORMAT", "xml", "json or console")],
)  # fmt: skip
def test_a_process_refuses_bad_settings(setting: str, value: str, reason: str) -> None:
    """Known defaults, wrong kinds, wrong sizes: refused by name; the value of a secret unsaid."""
    done = run("services.intake", **{**CORE, setting: value})
    refused(done, setting, reason)
    if "KEY" in setting or "KEK" in setting:
        assert value not in done.stderr


@pytest.mark.parametrize("module", [words[0] for words in SERVICES if len(words) == 1][:4])
def test_an_unknown_word_shows_the_usage(module: str) -> None:
    """A word that names no process is not taken for one."""
    refused(run(module, "wbe"), "usage")


@pytest.mark.parametrize(
    ("words", "named"),
    [(("kiosk", "enrol", "VT01"), "--tls-fingerprint"),
     (("kiosk", "enrol", "VT01", "--tls-fingerprint", "zz", "--sign-key", "zz", "--by", "cb1",
       "--epoch", "0"), "--epoch"),
     (("kiosk", "revoke", "VT01"), "--reason"), (("migrate", "--now"), "--now"),
     (("nothing",), "nothing"), (("seed",), "MOTCUA_DATABASE_URL"),
     (("migrate",), "MOTCUA_ROLE_PASSWORDS_FILE"),
     (("messages", "unknown"), "MOTCUA_DATABASE_URL")],
)  # fmt: skip
def test_motcua_names_what_is_wrong(words: tuple[str, ...], named: str) -> None:
    """Missing options, unknown ones, values out of range, settings that are not there."""
    refused(run("infra.motcua", *words, NO_COLOR="1", TERM="dumb", COLUMNS="200"), named)


@pytest.mark.parametrize(
    "words",
    [("seed",), ("subscriber", "webhook", "list"), ("subscriber", "webhook", "deliveries", "ioc")],
    ids=" ".join,
)
def test_motcua_says_in_one_line_that_the_database_is_away(words: tuple[str, ...]) -> None:
    """A server that does not answer is not a stack trace."""
    done = run("infra.motcua", *words, **CORE)
    refused(done, "postgresql")


@pytest.mark.parametrize("content", ["{", "7", '["motcua_intake"]', "{}"])
def test_passwords_that_are_none(tmp_path: Path, content: str) -> None:
    """A file of passwords that is no JSON, of another form, or without one."""
    file = tmp_path / "passwords.json"
    file.write_text(content, encoding="utf-8")
    admin = dict.fromkeys(("MOTCUA_ADMIN_URL", "MOTCUA_KEYS_ADMIN_URL"), GOOD_URL)
    settings = {**CORE, **admin, "MOTCUA_ROLE_PASSWORDS_FILE": str(file)}
    refused(run("infra.motcua", "migrate", **settings), "MOTCUA_ROLE_PASSWORDS_FILE")


def test_a_replay_of_what_is_no_log(tmp_path: Path) -> None:
    """Exit code 1 means that read models differ, so a folder of something else gives 2."""
    table = pa.table({"x": [1]})
    parquet.write_table(table, tmp_path / "x.parquet")
    for words in (("bundle",), ("parquet",), ("parquet", "--sql")):
        refused(run("infra.motcua", "replay", "--path", str(tmp_path), "--from", *words), "replay:")


@pytest.mark.parametrize(
    ("module", "words", "named"),
    [("infra.sandbox.bank", (), "--port"), ("infra.sandbox.smsc", ("--port", "x"), "--port"),
     ("infra.sandbox.one_stop", ("--port", "1", "--bok", "x"), "--book"),
     ("infra.judge", ("--acks", "x"), "--database-url"),
     ("services.kiosk_sync.edge", (), "--config"), ("infra.local", ("sideways",), "usage")],
)  # fmt: skip
def test_tools_name_the_option(module: str, words: tuple[str, ...], named: str) -> None:
    """Every other program of the repository."""
    refused(run(module, *words), named)


@pytest.mark.parametrize(
    ("content", "named"),
    [("", "JSON"), ("[]", "object"), ('{"serial": "VT01"}', "epoch"),
     ('{"serial": "x", "epoch": "one"}', "epoch")],
)  # fmt: skip
def test_the_machine_names_what_its_file_lacks(tmp_path: Path, content: str, named: str) -> None:
    """A configuration file that is none, or not whole."""
    file = tmp_path / "edge.json"
    file.write_text(content, encoding="utf-8")
    refused(run("services.kiosk_sync.edge", "--config", str(file)), named)
