"""Every setting by its dotted camelCase key: which there are, and which follow the file."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING

from pydantic.alias_generators import to_camel

from workflowexecution import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydantic
    from pydantic.fields import FieldInfo

RELOADED = frozenset({
    "execution.serviceAccount",
    "execution.defaultTimeout",
    "execution.runRetention",
    "execution.requireDigest",
    "execution.suspend",
    "execution.allowedBundles",
    "execution.allowedServiceAccounts",
    "execution.cooldownPeriod",
    "execution.logTail",
    "backoff.baseCooldown",
    "backoff.maxCooldown",
    "backoff.maxExponent",
    "backoff.maxConsecutiveFailures",
    "controller.workers",
    "limits.deadlineGrace",
    "limits.stallAfter",
    "limits.deletionGiveUp",
    "limits.createRetryFor",
    "logging.level",
})
"""What follows the file without a restart: what is asked for anew each time it is needed."""


def reloaded(
    running: settings.Settings, wished: settings.Settings
) -> tuple[settings.Settings, list[str]]:
    """What the running settings become, and which keys that differ take a restart.

    Raises:
        pydantic.ValidationError: what is reloaded does not go with what is not.
    """
    made, wanted = running.model_dump(by_alias=True), wished.model_dump(by_alias=True)
    waiting = []
    for key, _ in known_keys():
        *sections, name = key.split(".")
        old = functools.reduce(operator.getitem, sections, made)
        new = functools.reduce(operator.getitem, sections, wanted)
        if old[name] != new[name]:
            if key in RELOADED:
                old[name] = new[name]
            else:
                waiting.append(key)
    return settings.Settings.model_validate(made), waiting


def known_keys() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as its dotted camelCase key, with its field."""
    return _keys_of(settings.Settings, "")


def _keys_of(model: type[pydantic.BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or to_camel(name))
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, settings.Section):
            yield from _keys_of(kind, f"{key}.")
        else:
            yield key, field
