# SPDX-License-Identifier: Apache-2.0
"""The only wiring of intake; used by both its processes."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from services.common.messaging.reaction import Reactor
from services.common.runtime import Runtime
from services.intake.adapters.calendar import LogCalendar
from services.intake.adapters.one_stop import Systems
from services.intake.adapters.one_stop_2020 import OneStop2020
from services.intake.adapters.one_stop_2026 import OneStop2026
from services.intake.application.commands import Commands
from services.intake.application.pull import PullReturns
from services.intake.application.push import one_stop_handlers
from services.intake.application.reactions import event_handlers, streams_read
from services.intake.config import Config

AGENCY: Final = "H30.12"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The service, wired."""

    config: Config
    runtime: Runtime
    reactors: tuple[Reactor, ...]
    commands: Commands
    pulls: tuple[PullReturns, ...]


def bootstrap(config: Config) -> Intake:
    """Wire the service; nothing is opened yet."""
    runtime = Runtime(config.core)
    systems = one_stop_systems(config)
    calendar_of = LogCalendar(runtime.log)
    commands = Commands(runtime.recorder, runtime.clock, calendar_of)
    return Intake(
        config=config,
        runtime=runtime,
        reactors=(
            Reactor.batched(
                "intake.reactions",
                runtime.log,
                partial(event_handlers, calendar_of=calendar_of),
                streams_read,
            ),
            Reactor(
                name="intake.one_stop",
                handlers=one_stop_handlers(
                    runtime.log, systems.of, calendar_of, lambda one: one not in systems.others
                ),
            ),
            Reactor(
                name="intake.one_stop_2026",
                handlers=one_stop_handlers(
                    runtime.log, systems.of, calendar_of, lambda one: one in systems.others
                ),
            ),
        ),
        commands=commands,
        pulls=tuple(PullReturns(runtime.log, system, commands) for system in systems.all()),
    )


def one_stop_systems(config: Config) -> Systems:
    """Return the one-stop system of every office, of one generation or the other."""
    usual = OneStop2020(config.one_stop_url, config.one_stop_session, AGENCY)
    if not config.second_offices:
        return Systems(usual=usual, others={})
    second = OneStop2026(
        config.second_url,
        client=config.second_client,
        secret=config.second_secret,
        agency=AGENCY,
    )
    return Systems(usual=usual, others=dict.fromkeys(config.second_offices, second))
