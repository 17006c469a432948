# SPDX-License-Identifier: Apache-2.0
"""What subscribers were promised is kept, and what the code speaks is published."""

from services.common.contracts import evolution


def test_no_promise_is_broken() -> None:
    """Each line names event, field and rule; a change that breaks one needs a new version."""
    assert [str(one) for one in evolution.broken()] == []


def test_everything_is_released() -> None:
    """A compatible change counts once it is recorded: `motcua contracts release`."""
    now, before = evolution.spoken(), evolution.released()
    unrecorded = sorted(name for name in now if now[name] != before.get(name))
    assert unrecorded == [], "run: python -m infra.motcua contracts release"
