# SPDX-License-Identifier: Apache-2.0
"""How many machines and visits a generated log of some size has, and all its requests."""

import math
from collections.abc import Iterator
from typing import Final

from infra.generating.dossiers import DAY_S, Story
from infra.generating.town import Machine, Town
from infra.generating.world import Process, Said, World
from services.intake.seed.load import offices

VISITS_A_DAY: Final = 200
MACHINES_MAX: Final = 12
SPAN_DAYS: Final = 60
"""A small log covers so many days with fewer visits, so that its stories come to their ends."""
_EVENTS_A_STORY: Final = 40
_IMPORTED_PER_MILLE: Final = 150


def world_of(seed: int, events: int) -> World:
    """Return a world, begun, that has at least ``events`` to say; the same for the same numbers."""
    world = World(seed)
    a_day = events / _EVENTS_A_STORY / SPAN_DAYS
    count = min(MACHINES_MAX, max(len(offices()), math.ceil(a_day / VISITS_A_DAY)))
    town = Town.founded(world, count)
    for machine in town.machines:
        world.start(town.emptying(machine))
        world.start(_visits(town, machine, min(a_day / count, VISITS_A_DAY)))
    return world


def said(world: World, events: int) -> Iterator[Said]:
    """Yield requests until there are ``events`` or a few more: no request is cut."""
    count = 0
    for moment, request in world.requests():
        yield moment, request
        count += sum(len(append.events) for append in request.appends)
        if count >= events:
            return


def _visits(town: Town, machine: Machine, a_day: float) -> Process:
    """Citizens come at any hour; results of a counter's dossiers come too."""
    while True:
        yield town.world.dice.expovariate(a_day / DAY_S)
        story = Story(town, machine)
        imported = town.world.chance(_IMPORTED_PER_MILLE)
        town.world.start(story.imported() if imported else story.handed_in())
