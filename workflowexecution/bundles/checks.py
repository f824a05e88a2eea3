"""What breaks a rule: one function for each, over a step, a task or a whole Pipeline.

Each yields the path of the field that is wrong, and a sentence on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from workflowexecution.api import names
from workflowexecution.bundles import catalogue, parts, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workflowexecution.bundles.documents import Document, FieldPath
    from workflowexecution.bundles.parts import Step, Task

    Found = Iterator[tuple[FieldPath, str]]

_SHELL = re.compile(r"#!\s*\S*/(?:env\s+)?(?:ba|da|a|k|z)?sh\b")
# A command ends with its line; each gap is taken as a whole, so no letter is looked at again.
_STOPS = re.compile(r"^[^\S\n]*+set[^\S\n]++(?:-\w*e|.*-o[^\S\n]++errexit)", re.MULTILINE)
_STOPS_AT_ONCE = re.compile(r"#!.*\s-\w*e")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
# $(workspaces.x.path) and $(context.x) are Tekton's own words, and no user's.
_FOREIGN = ("params", "tasks.", "steps.", "finally.")


def parameter_in_script(step: Step) -> Found:
    """WB001."""
    script = step.content.get("script")
    if isinstance(script, str) and _foreign_in(script):
        foreign = ", ".join(f"$({name})" for name in _foreign_in(script))
        yield (*step.path, "script"), f"{foreign} in the script of {step.title}"
    command, arguments = _words(step.content.get("command")), _words(step.content.get("args"))
    words = [*command, *arguments]
    if not words or words[0].rpartition("/")[2] not in _SHELLS or "-c" not in words:
        return
    said = words.index("-c") + 1
    if said < len(words) and _foreign_in(words[said]):
        inside = said < len(command)
        path = ("command", said) if inside else ("args", said - len(command))
        foreign = ", ".join(f"$({name})" for name in _foreign_in(words[said]))
        yield (*step.path, *path), f"{foreign} in what the shell of {step.title} runs"


def image_moves(step: Step) -> Found:
    """WB003."""
    image = _image_of(step)
    if image and not reference.is_pinned(image) and reference.tag_of(image) in {"", "latest"}:
        yield (*step.path, "image"), f"{step.title} runs {image}"


def image_not_pinned(step: Step) -> Found:
    """WB004."""
    image = _image_of(step)
    if image and not reference.is_pinned(image) and reference.tag_of(image) not in {"", "latest"}:
        yield (*step.path, "image"), f"{step.title} runs {image}"


def may_be_root(step: Step) -> Found:
    """WB008."""
    if step.content.get("ref") or _asks_for_root(step):
        return
    user = step.of("securityContext", "runAsUser")
    if step.of("securityContext", "runAsNonRoot") is not True and not user:
        yield (*step.path, "securityContext"), f"{step.title} may run as root"


def privileged(step: Step) -> Found:
    """WB009."""
    path = (*step.path, "securityContext")
    for key in ("privileged", "allowPrivilegeEscalation"):
        if step.of("securityContext", key) is True:
            yield (*path, key), f"{step.title} has {key}"
    if _asks_for_root(step):
        yield path, f"{step.title} asks for root"


def no_memory_limit(step: Step) -> Found:
    """WB012."""
    limits = parts.mapping(step.of("computeResources", "limits"))
    if not limits.get("memory") and not step.content.get("ref"):
        yield (*step.path, "computeResources"), f"{step.title} has no memory limit"


def goes_on(step: Step) -> Found:
    """WB014."""
    script = step.content.get("script")
    if not isinstance(script, str) or not script.startswith("#!"):
        return
    first, _, rest = script.partition("\n")
    if _SHELL.match(first) and not _STOPS_AT_ONCE.match(first) and not _STOPS.search(rest):
        yield (*step.path, "script"), f"the script of {step.title} goes on after a failed command"


def step_from_elsewhere(step: Step) -> Found:
    """WB010, of a step."""
    yield from _reference(step.path, step.content.get("ref"), "ref", step.title)


def task_from_elsewhere(task: Task) -> Found:
    """WB010, of a task."""
    yield from _reference(task.path, task.content.get("taskRef"), "taskRef", f"task {task.name}")
    if task.is_entry and task.spec is None and not task.content.get("taskRef"):
        yield task.path, f"task {task.name} has no taskSpec"


def no_timeout(task: Task) -> Found:
    """WB002."""
    if task.is_entry and not task.content.get("timeout"):
        yield task.path, f"task {task.name} has no timeout"


def host_volume(task: Task) -> Found:
    """WB009, of a volume."""
    for index, volume in enumerate(parts.objects((task.spec or {}).get("volumes"))):
        if "hostPath" in volume:
            path = (*task.spec_path, "volumes", index, "hostPath")
            yield path, f"task {task.name} mounts a folder of the node"


def parameter_unknown(task: Task) -> Found:
    """WB013."""
    for path, text in parts.texts(task.content, task.path):
        for name in parts.parameters_in(text):
            if name not in task.declared:
                yield path, f"parameter {name} is declared nowhere"


def target_not_declared(document: Document) -> Found:
    """WB005."""
    wanted = names.TARGET_PARAMETER
    if wanted not in parts.declared(parts.mapping(document.content.get("spec"))):
        yield ("spec", "params"), f"parameter {wanted} is not declared"


def parameter_not_string(document: Document) -> Found:
    """WB006."""
    spec = parts.mapping(document.content.get("spec"))
    for index, param in enumerate(parts.objects(spec.get("params"))):
        kind, default = param.get("type", "string"), param.get("default", "")
        if kind != "string" or not isinstance(default, str):
            what = kind if kind != "string" else "not text by its default"
            yield ("spec", "params", index), f"parameter {param.get('name')} is {what}"


def workspace(document: Document) -> Found:
    """WB011."""
    spec = parts.mapping(document.content.get("spec"))
    for index, wanted in enumerate(parts.objects(spec.get("workspaces"))):
        if wanted.get("optional") is not True:
            yield ("spec", "workspaces", index), f"workspace {wanted.get('name')} is required"


def no_tekton_object(document: Document) -> Found:
    """WB015."""
    version, right = document.content.get("apiVersion"), names.TEKTON_API_VERSION
    if version != right or document.kind not in {"Pipeline", "Task"}:
        yield (), f"{version} {document.kind} is no Pipeline or Task of {right}"


OF_STEPS: tuple[tuple[catalogue.Rule, Callable[[Step], Found]], ...] = (
    (catalogue.PARAMETER_IN_SCRIPT, parameter_in_script),
    (catalogue.IMAGE_MOVES, image_moves),
    (catalogue.IMAGE_NOT_PINNED, image_not_pinned),
    (catalogue.MAY_BE_ROOT, may_be_root),
    (catalogue.PRIVILEGED, privileged),
    (catalogue.FROM_ELSEWHERE, step_from_elsewhere),
    (catalogue.NO_MEMORY_LIMIT, no_memory_limit),
    (catalogue.GOES_ON, goes_on),
)
OF_TASKS: tuple[tuple[catalogue.Rule, Callable[[Task], Found]], ...] = (
    (catalogue.FROM_ELSEWHERE, task_from_elsewhere),
    (catalogue.NO_TIMEOUT, no_timeout),
    (catalogue.PRIVILEGED, host_volume),
    (catalogue.PARAMETER_UNKNOWN, parameter_unknown),
)
OF_PIPELINES: tuple[tuple[catalogue.Rule, Callable[[Document], Found]], ...] = (
    (catalogue.TARGET_NOT_DECLARED, target_not_declared),
    (catalogue.PARAMETER_NOT_STRING, parameter_not_string),
    (catalogue.WORKSPACE, workspace),
)


def _foreign_in(text: str) -> list[str]:
    return [name for name in parts.REFERENCE.findall(text) if name.startswith(_FOREIGN)]


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _image_of(step: Step) -> str:
    return str(step.content.get("image") or step.template.get("image") or "")


def _asks_for_root(step: Step) -> bool:
    user = step.of("securityContext", "runAsUser")
    return step.of("securityContext", "runAsNonRoot") is False or user == 0


def _reference(path: FieldPath, wanted: object, key: str, title: str) -> Found:
    if not wanted:
        return
    found = parts.mapping(wanted)
    resolver = found.get("resolver")
    if resolver == "bundles":
        for param in parts.objects(found.get("params")):
            if param.get("name") == "bundle" and reference.is_pinned(str(param.get("value"))):
                return
    what = f"the resolver {resolver}" if resolver else f"{found.get('name')} of the namespace"
    yield (*path, key), f"{title} is taken from {what}"
