"""What a case is: a workflow, what surrounds it, and what is done to it while it runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent / "cases"
DEFAULT_SECONDS = 25


class CaseError(Exception):
    """A definition is wrong."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that is done while the run runs; `$RUN` is the run's name everywhere.

    Attributes:
        until: what is waited for first, as (object, JSON path that must be there).
        kubectl: arguments of kubectl; `$NODE` is the node's name, `$NOW` the time.
        namespace: where; the case's own when it is empty.
        stack: what is done to which process of the cluster, like (kill, kubelet).
    """

    until: tuple[str, str] | None = None
    kubectl: tuple[str, ...] = ()
    namespace: str = ""
    stack: tuple[str, str] | None = None


class Signature(StrEnum):
    """How the pipeline in the bundle is signed.

    OWN: by the key that `$KEY` in `objects` is.
    OTHER: by another.
    CHANGED: by that key, and changed afterwards.
    BEYOND: by that key, for the Tekton that this one is not.
    """

    OWN = "own"
    OTHER = "other"
    CHANGED = "changed"
    BEYOND = "beyond"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case.

    Attributes:
        about: one sentence.
        spec: of the Pipeline in the bundle, beside its parameter TARGET_RESOURCE.
        pipeline: the Pipeline's name.
        bundle: instead of the pushed bundle; `$REGISTRY` is the cluster's registry, `$REFUSING` one
            that answers every request with `refusal`.
        execution: more of the WorkflowExecution's spec.
        fill: parameters of so many characters.
        labels: of the namespace that the run has to itself.
        objects: what is in the namespace beside the account; `$KEY` is a public key.
        sign: how the pipeline is signed, if it is.
        before: what is done before there is a run.
        after: what is done when all has been taken home, whatever happened.
        seconds: how long it takes, for the order.
        alone: whether it disturbs others.
        tekton: the version that it was recorded with; empty for every one.
        race: whether Tekton's own haste decides, so that a second run may come to the end of
            another such case.
    """

    name: str
    about: str
    spec: Mapping[str, Any]
    pipeline: str = "workflow"
    bundle: str = ""
    refusal: int = 401
    execution: Mapping[str, Any] = field(default_factory=dict)
    fill: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Mapping[str, Any]] = ()
    sign: Signature | None = None
    before: Sequence[Act] = ()
    acts: Sequence[Act] = ()
    after: Sequence[Act] = ()
    seconds: int = DEFAULT_SECONDS
    alone: bool = False
    tekton: str = ""
    race: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """The execution's parameters."""
        given = dict(self.execution.get("parameters", {}))
        return {**given, **{name: "x" * size for name, size in self.fill.items()}}


def load(tekton: str = "") -> dict[str, Case]:
    """The cases by name, the slow ones first and those that need the cluster alone last.

    Args:
        tekton: a version, or all.

    Raises:
        CaseError: a definition has a member too many, or two have one name.
    """
    found: dict[str, Case] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for name, definition in yaml.safe_load(path.read_text()).items():
            if name in found:
                msg = f"{path.name}: {name} is there twice"
                raise CaseError(msg)
            found[name] = _case(name, definition)
    wanted = [it for it in found.values() if not (tekton and it.tekton) or it.tekton == tekton]
    order = sorted(wanted, key=lambda case: (case.alone, -case.seconds, case.name))
    return {case.name: case for case in order}


def _case(name: str, definition: dict[str, Any]) -> Case:
    unknown = set(definition) - {it.name for it in dataclasses.fields(Case)}
    if unknown or "about" not in definition:
        msg = f"{name}: about is missing, or these are unknown: {sorted(unknown)}"
        raise CaseError(msg)
    acts = {
        key: tuple(_act(name, act) for act in definition.get(key, ()))
        for key in ("before", "acts", "after")
    }
    sign = {"sign": Signature(definition["sign"])} if "sign" in definition else {}
    return Case(**{"name": name, "spec": {}, **definition, **acts, **sign})


def _act(name: str, act: dict[str, Any]) -> Act:
    unknown = set(act) - {it.name for it in dataclasses.fields(Act)}
    if unknown:
        msg = f"{name}: an act does not know {sorted(unknown)}"
        raise CaseError(msg)
    until, stack = act.get("until"), act.get("stack")
    return Act(
        until=(until[0], until[1]) if until else None,
        kubectl=tuple(act.get("kubectl", ())),
        namespace=act.get("namespace", ""),
        stack=(stack[0], stack[1]) if stack else None,
    )
