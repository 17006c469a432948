# SPDX-License-Identifier: Apache-2.0
"""``python -m services.kiosk_sync.edge --config FILE``: one machine on simulated devices."""

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from services.common.clock import SystemClock
from services.kiosk_sync.edge.agent.machine import Machine
from services.kiosk_sync.edge.agent.start import start
from services.kiosk_sync.edge.centre import Centre
from services.kiosk_sync.edge.config import Config, ConfigError, read_config
from services.kiosk_sync.edge.control import Hands, serve_control
from services.kiosk_sync.edge.devices.simulators import (
    Mechanics,
    SimulatedIntake,
    SimulatedLocks,
    SimulatedPrinter,
    SimulatedValidator,
)
from services.kiosk_sync.edge.store.schema import StoreError
from services.kiosk_sync.edge.store.store import Identity, Store
from services.kiosk_sync.edge.sync import Backoff, Receiver, Uploader, run_lane

RELEASE: Final = "26.11.0"
_LOG = structlog.get_logger()


def assemble(config: Config) -> Hands:
    """Return the machine of ``config`` on simulated devices.

    Raises:
        StoreError: the file in the folder is not this machine's.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    box = X25519PublicKey.from_public_bytes(bytes.fromhex(config.centre_box_key))
    clock = SystemClock()
    store = Store(folder / "machine.db", Identity(config.serial, config.epoch, box), clock=clock)
    mechanics = Mechanics(folder / "mechanics.json")
    intake, locks = SimulatedIntake(mechanics), SimulatedLocks(mechanics)
    validator = SimulatedValidator(mechanics)
    machine = Machine(
        store=store,
        intake=intake,
        cash=validator,
        printer=SimulatedPrinter(mechanics),
        locks=locks,
        clock=clock,
        centre_sign_key=bytes.fromhex(config.centre_sign_key),
        staff=frozenset(config.staff),
    )
    return Hands(machine, mechanics, intake, validator, locks)


def run(config: Config) -> int:
    """Run the machine until SIGTERM; returns the exit code."""
    hands = assemble(config)
    start(hands.machine, RELEASE)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    server = serve_control(hands, config.control_port)
    serving = threading.Thread(target=server.serve_forever, name="control", daemon=True)
    lanes = _lanes(config, hands.machine, stop)
    for thread in (serving, *lanes):
        thread.start()
    _LOG.info("machine_started", serial=config.serial, epoch=config.epoch)
    stop.wait()
    server.shutdown()
    server.server_close()
    # Holding both: no act and no transaction is cut; a poll that still hangs may be.
    with hands.machine.busy:
        hands.machine.store.close()
    _LOG.info("machine_stopped", serial=config.serial)
    return 0


def _lanes(config: Config, machine: Machine, stop: threading.Event) -> list[threading.Thread]:
    def centre(url: str) -> Centre:
        return Centre(
            url, config.serial, config.epoch, ca=config.ca, client=(config.cert, config.key)
        )

    seed = bytes.fromhex(Path(config.sign_key_file).read_text(encoding="ascii").strip())
    key = Ed25519PrivateKey.from_private_bytes(seed)
    uploader = Uploader(machine.store, centre(config.base_url), key)
    receiver = Receiver(
        machine, centre(config.downlink_url), centre(config.base_url), wait_s=config.poll_wait_s,
        catalogue_s=config.catalogue_s,
    )  # fmt: skip
    return [
        threading.Thread(
            target=run_lane,
            args=(step, Backoff(config.sync_first_s, config.sync_last_s), stop),
            name=name,
            daemon=True,
        )
        for name, step in (("up", uploader.step), ("down", receiver.step))
    ]


def _configure_logging() -> None:
    # JSON without local variables: a traceback must not show names, phones or keys.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


def main(words: list[str]) -> int:
    """Read the arguments and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.kiosk_sync.edge")
    parser.add_argument("--config", type=Path, required=True)
    _configure_logging()
    try:
        return run(read_config(parser.parse_args(words).config))
    except (ConfigError, StoreError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
