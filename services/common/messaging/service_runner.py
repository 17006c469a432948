# SPDX-License-Identifier: Apache-2.0
"""Nameko at the rim: the ``consume`` entrypoint, its runners, and the process around a service.

Import this module first in a Nameko process: it patches the standard library for eventlet and makes
psycopg wait cooperatively, and both must happen before anything imports psycopg.
"""

import os
import sys

assert "psycopg" not in sys.modules, "service_runner must be imported before psycopg"
import eventlet  # noqa: E402

eventlet.monkey_patch()
os.environ["PSYCOPG_WAIT_FUNC"] = "wait_select"

import signal  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any, Final  # noqa: E402

import psycopg.waiting  # noqa: E402
from eventlet.event import Event  # noqa: E402
from nameko.containers import ServiceContainer  # noqa: E402
from nameko.extensions import DependencyProvider, Entrypoint  # noqa: E402

from services.common.errors import Unavailable  # noqa: E402
from services.common.messaging import topology  # noqa: E402
from services.common.messaging.consumer import ACTS_MAX, BATCH_MAX, Consumer  # noqa: E402
from services.common.messaging.reaction import Reactor  # noqa: E402
from services.common.messaging.reactor_runner import (  # noqa: E402
    Arrival,
    Outcome,
    ReactorRunner,
)
from services.common.messaging.sweeper import Sweeper  # noqa: E402
from services.common.runtime import Runtime  # noqa: E402
from services.common.telemetry.health import HEARTBEAT_EVERY_S  # noqa: E402
from services.common.telemetry.logs import get_logger  # noqa: E402

assert psycopg.waiting.wait is psycopg.waiting.wait_select, "psycopg would block the hub"

RUNTIME: Final = "motcua_runtime"
REACTORS: Final = "motcua_reactors"
APPLICATION: Final = "motcua_application"
DRAIN_S: Final = 12.0
CLOSE_S: Final = 3.0
_LOG = get_logger(__name__)


class _Work:
    """A batch in a Nameko worker."""

    def __init__(self) -> None:
        self.done = Event()

    def wait(self, seconds: float) -> bool:
        with eventlet.Timeout(seconds, exception=False):
            self.done.wait()
        return bool(self.done.ready())

    def result(self) -> list[Outcome]:
        outcomes, exc_info = self.done.wait()
        if exc_info is not None:
            raise exc_info[1]
        return list(outcomes)


class Runners(DependencyProvider):
    """Gives workers ``run(reactor_name, arrivals)``; sweeps every reactor meanwhile."""

    def setup(self) -> None:
        """Build one runner for each reactor of the service."""
        runtime: Runtime = self.container.config[RUNTIME]
        self._stopping = False
        self._runners = {
            reactor.name: ReactorRunner(reactor, runtime.recorder, runtime.clock)
            for reactor in self.container.config[REACTORS]
        }

    def start(self) -> None:
        """Start the sweepers."""
        runtime: Runtime = self.container.config[RUNTIME]
        for name, runner in self._runners.items():
            sweeper = Sweeper(
                runner, runtime.log, runtime.clock, database_url=runtime.config.database_url
            )
            self.container.spawn_managed_thread(
                lambda sweeper=sweeper: sweeper.run(lambda: self._stopping), f"sweep {name}"
            )

    def stop(self) -> None:
        """Let the sweepers finish the event they are at."""
        self._stopping = True

    def get_dependency(self, worker_ctx: Any) -> "Runners":  # noqa: ARG002
        """Return this provider itself."""
        return self

    def run(self, reactor: str, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Handle ``arrivals`` (see ``ReactorRunner.run``)."""
        return self._runners[reactor].run(arrivals)


class Application(DependencyProvider):
    """Gives workers whatever bootstrap made for the service."""

    def get_dependency(self, worker_ctx: Any) -> object:  # noqa: ARG002
        """Return the application object handed to ``run_service``."""
        return self.container.config[APPLICATION]


class ConsumeEntrypoint(Entrypoint):
    """Calls the method with a list of ``Arrival`` from the reactor's queue; it returns outcomes."""

    def __init__(self, reactor: str, **kwargs: Any) -> None:
        """Name the reactor, whose queue has the same name."""
        super().__init__(expected_exceptions=(Unavailable,), **kwargs)
        self._reactor = reactor

    def setup(self) -> None:
        """Build the consumer."""
        runtime: Runtime = self.container.config[RUNTIME]
        queue = topology.Queue(name=self._reactor, types=topology.BINDINGS[self._reactor])
        self._finished = Event()
        acts = {one.name for one in self.container.config[REACTORS] if one.bind is None}
        self._consumer = Consumer(
            queue, self._submit, runtime.clock, amqp_url=runtime.config.amqp_url,
            batch_max=ACTS_MAX if self._reactor in acts else BATCH_MAX,
        )  # fmt: skip
        runtime.health.register(f"consumer:{self._reactor}", self._consumer.ready)

    def start(self) -> None:
        """Consume in a managed thread."""
        self.container.spawn_managed_thread(self._run, f"consume {self._reactor}")

    def stop(self) -> None:
        """Return once everything begun is durable and acknowledged; ``run_service`` bounds it."""
        self._consumer.stop()
        self._finished.wait()

    def _run(self) -> None:
        try:
            self._consumer.run()
        finally:
            self._finished.send(None)

    def _submit(self, arrivals: list[Arrival]) -> _Work:
        work = _Work()

        def done(_worker_ctx: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            work.done.send((result, exc_info))
            return result, exc_info

        self.container.spawn_worker(self, (arrivals,), {}, handle_result=done)
        return work


consume = ConsumeEntrypoint.decorator


def run_service(
    service: type,
    runtime: Runtime,
    *,
    reactors: Sequence[Reactor],
    application: object = None,
    background: Sequence[Callable[[Callable[[], bool]], None]] = (),
) -> int:
    """Run a Nameko service until SIGTERM or SIGINT.

    Returns the exit code: 0, or 1 when what is under way did not end within ``DRAIN_S``. Then it is
    not acknowledged, and the broker delivers it again. Also 1 when a part of it died of a fault:
    Nameko then ends all parts, and a process that lives on without them would serve nobody.

    Args:
        service: class with ``name`` and ``@consume`` methods.
        runtime: opened and closed here.
        reactors: all reactors that the service's ``consume`` methods name.
        application: what the ``Application`` provider hands to methods.
        background: functions that run in the process until their argument returns True.
    """
    stopped = Event()

    def stop(*_signal: object) -> None:
        if not stopped.ready():
            stopped.send(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: eventlet.spawn_after(0, stop))
    runtime.open()
    config = {RUNTIME: runtime, REACTORS: tuple(reactors), APPLICATION: application}
    container = ServiceContainer(service, config)
    heart = eventlet.spawn(_beat, runtime)
    container.start()
    faults: list[Exception] = []
    eventlet.spawn(_watch, container, faults, stop)
    for place, work in enumerate(background):
        container.spawn_managed_thread(lambda work=work: work(stopped.ready), f"background {place}")
    try:
        stopped.wait()
        runtime.health.register("draining", lambda: False)
        return 1 if faults else _drain(container)
    finally:
        heart.kill()
        with eventlet.Timeout(CLOSE_S, exception=False):
            runtime.close()


def _watch(container: ServiceContainer, faults: list[Exception], stop: Callable[[], None]) -> None:
    """End the process with the container, so that whoever supervises it starts a new one."""
    try:
        container.wait()
    except Exception as error:  # noqa: BLE001 - the boundary: whatever a part died of
        faults.append(error)
        _LOG.critical("service_died", error=type(error).__name__, exc_info=error)
        stop()


def _drain(container: ServiceContainer) -> int:
    try:
        with eventlet.Timeout(DRAIN_S):
            container.stop()
    except eventlet.Timeout:
        _LOG.error("drain_unfinished", seconds=DRAIN_S)
        return 1
    return 0


def _beat(runtime: Runtime) -> None:
    while True:
        runtime.health.beat()
        eventlet.sleep(HEARTBEAT_EVERY_S)
