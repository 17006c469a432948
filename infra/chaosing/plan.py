# SPDX-License-Identifier: Apache-2.0
"""Which faults a chaos run has and in which order: data, from a seed."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

IOC, PORTAL, PROVINCE = "ioc", "portal", "province"
"""Subscribers: by queue and feed, by the feed alone, by webhook."""
QUEUE: Final = f"subscriber.{IOC}"
FAULTS_MIN: Final = 60
BROKER_RESTARTS_MAX: Final = 8
KILL, BROKER, RESET = "kill -9", "broker", "loses everything"


@dataclass(frozen=True, slots=True)
class Fault:
    """One harm: what is done to whom."""

    kind: str
    target: str

    def __str__(self) -> str:
        """Return it as the report names it."""
        return f"{self.kind} {self.target}"


HARMS: Final[Mapping[str, Mapping[str, int]]] = {
    KILL: {
        "relay": 4, "intake": 2, "payment": 2, "notify": 2, "kiosk-sync": 2, "notify-feed": 2,
        "notify-webhooks": 2, f"listener-{IOC}": 3, f"listener-{PORTAL}": 2,
        f"listener-{PROVINCE}": 2,
    },
    "freeze": {"relay": 1},
    "cut line": {IOC: 3, PORTAL: 2, PROVINCE: 2},
    "disconnect": {QUEUE: 3, "motcua_relay": 3, "motcua_intake": 1, "motcua_payment": 1},
    "purge": {
        QUEUE: 4, "intake.reactions": 1, "payment.reactions": 1, "notify.reactions": 1,
        "kiosk_sync.reactions": 1,
    },
    "unbind": {QUEUE: 1},
    "delete": {QUEUE: 1},
    "alarm": {"memory": 2},
    "database": {"immediate": 3},
    BROKER: {"killed": 4, RESET: 1},
    "double": {QUEUE: 3, "everybody": 2},
    "reorder": {QUEUE: 3},
    "refuse": {QUEUE: 2},
    "poison": {QUEUE: 3, "everybody": 2},
    "receiver": {"errors": 1, "throttled": 1, "cuts": 2, "slow": 1},
    "forge": {"webhook": 1},
}  # fmt: skip
"""How often each harm is done, by kind and target."""


def plan(seed: int) -> tuple[Fault, ...]:
    """Return the faults of a run in their order; the same for the same seed.

    The broker loses everything in the first third, so that dead letters of later faults are there
    to be looked through.
    """
    faults = [
        Fault(kind, target)
        for kind, targets in HARMS.items()
        for target, times in targets.items()
        for _ in range(times)
    ]
    dice = random.Random(seed)  # noqa: S311 - a seed that replays
    dice.shuffle(faults)
    reset = Fault(BROKER, RESET)
    faults.remove(reset)
    faults.insert(dice.randrange(len(faults) // 3), reset)
    return tuple(faults)


def shortfall(done: Sequence[Mapping[str, Any]], kinds: Iterable[str] = HARMS) -> list[str]:
    """Return what a run lacks to be believed: enough harm, of each kind, little of it restarts."""
    did = [fault for fault in done if "not_done" not in fault]
    restarts = sum(fault["kind"] == BROKER for fault in did)
    found = [f"no {kind}" for kind in kinds if all(fault["kind"] != kind for fault in did)]
    if len(did) < FAULTS_MIN:
        found.append(f"{len(did)} of {FAULTS_MIN} faults")
    if restarts > BROKER_RESTARTS_MAX:
        found.append(f"{restarts} broker restarts, {BROKER_RESTARTS_MAX} allowed")
    return found
