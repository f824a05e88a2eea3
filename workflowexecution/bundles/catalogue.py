"""The rules for bundles as people read them: identity, reason, a wrong and a right example.

An example is the part of a workflow that a rule is about; `tests/unit/bundles` puts it into a whole
one and holds the rule to it. docs/linter.md is written from here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How bad it is."""

    ERROR = "error"
    """It does not run, or runs what nobody wrote."""
    WARNING = "warning"
    """It runs, and will be regretted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        reason: why it is one.
        part: where the examples stand: `step`, `task` (an entry of the Pipeline), `spec` (of the
            Pipeline), or `file`.
        wrong: an example that breaks it, and no other rule.
        right: the same, mended.
    """

    id: str
    name: str
    severity: Severity
    reason: str
    part: str
    wrong: str
    right: str


PARAMETER_IN_SCRIPT = Rule(
    "WB001",
    "parameter-in-script",
    Severity.ERROR,
    "Tekton replaces $(params.X) in a script before the shell sees it, so a value with a "
    "quote or a semicolon in it becomes code that runs with the runner's rights. Whoever "
    "writes an execution chooses the value. The same goes for results of tasks, and for the "
    "text after `sh -c`. Pass it through `env`, and quote it in the script.",
    "step",
    """\
script: |
  kubectl scale deployment api --replicas=$(params.REPLICAS)
""",
    """\
env:
  - {name: REPLICAS, value: $(params.REPLICAS)}
script: |
  kubectl scale deployment api --replicas="$REPLICAS"
""",
)
NO_TIMEOUT = Rule(
    "WB002",
    "task-without-timeout",
    Severity.WARNING,
    "A task without a timeout of its own ends after Tekton's 60 minutes even where the execution"
    " has more. One that hangs takes all the time of the execution, and holds the lock of its"
    " target until then.",
    "task",
    """\
name: mend
taskSpec: {steps: [$STEP]}
""",
    """\
name: mend
timeout: 5m
taskSpec: {steps: [$STEP]}
""",
)
IMAGE_MOVES = Rule(
    "WB003",
    "image-latest",
    Severity.ERROR,
    "An image without a tag, or with the tag `latest`, is another one tomorrow. A bundle that"
    " is pinned by its digest still runs it.",
    "step",
    """\
image: registry.example/tools/kubectl:latest
""",
    """\
image: registry.example/tools/kubectl:1.34.4@sha256:$DIGEST
""",
)
IMAGE_NOT_PINNED = Rule(
    "WB004",
    "image-without-digest",
    Severity.WARNING,
    "A tag can be moved by whoever may push to the registry. With a digest the step runs what"
    " was reviewed, or does not run.",
    "step",
    """\
image: registry.example/tools/kubectl:1.34.4
""",
    """\
image: registry.example/tools/kubectl:1.34.4@sha256:$DIGEST
""",
)
TARGET_NOT_DECLARED = Rule(
    "WB005",
    "target-not-declared",
    Severity.WARNING,
    "The controller locks `targetResource` and passes it as TARGET_RESOURCE. A workflow that "
    "does not declare it works on something that nobody has locked, or only by chance on what"
    " was.",
    "spec",
    """\
params: []
tasks: [$TASK]
""",
    """\
params:
  - {name: TARGET_RESOURCE, type: string}
tasks: [$TASK]
""",
)
PARAMETER_NOT_STRING = Rule(
    "WB006",
    "parameter-not-string",
    Severity.ERROR,
    "An execution can pass strings alone. A run with a parameter of type array or object, or "
    "of a declared default that is none, is refused by Tekton before it starts.",
    "spec",
    """\
params:
  - {name: TARGET_RESOURCE, type: string}
  - {name: PODS, type: array}
tasks: [$TASK]
""",
    """\
params:
  - {name: TARGET_RESOURCE, type: string}
  - {name: PODS, type: string}
tasks: [$TASK]
""",
)
NOT_CALLED_WORKFLOW = Rule(
    "WB007",
    "not-called-workflow",
    Severity.ERROR,
    "The controller asks the bundle for the Pipeline `workflow`, and for nothing else.",
    "file",
    """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: restart}
spec: $SPEC
""",
    """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: workflow}
spec: $SPEC
""",
)
MAY_BE_ROOT = Rule(
    "WB008",
    "may-run-as-root",
    Severity.WARNING,
    "Nothing says that the step is not root, so the image decides. Who breaks out of it is "
    "root on the node, and a namespace that enforces the Pod Security Standard `restricted` "
    "refuses the pod.",
    "step",
    """\
securityContext: {readOnlyRootFilesystem: true}
""",
    """\
securityContext: {readOnlyRootFilesystem: true, runAsNonRoot: true, runAsUser: 65532}
""",
)
PRIVILEGED = Rule(
    "WB009",
    "privileged",
    Severity.ERROR,
    "The step asks for root, for privileges, or for a part of the node. With one of them the "
    "rights of the runner's account are no limit any more: the step owns the node, and every "
    "account on it.",
    "step",
    """\
securityContext: {privileged: true, runAsNonRoot: true, runAsUser: 65532}
""",
    """\
securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 65532}
""",
)
FROM_ELSEWHERE = Rule(
    "WB010",
    "task-from-elsewhere",
    Severity.ERROR,
    "A task or a step by reference is looked up when the run starts, outside of the bundle: a"
    " Task of the namespace that whoever writes there can change, or a file of another place."
    " What was reviewed, signed and pinned is not what runs. A bundle that is pinned by a "
    "digest is allowed.",
    "task",
    """\
name: mend
timeout: 5m
taskRef: {name: restart}
""",
    """\
name: mend
timeout: 5m
taskSpec: {steps: [$STEP]}
""",
)
WORKSPACE = Rule(
    "WB011",
    "workspace-required",
    Severity.ERROR,
    "An execution can give no workspace, so a run that needs one is refused by Tekton. Pass "
    "small things as results, and keep files in a volume of the task.",
    "spec",
    """\
params: [{name: TARGET_RESOURCE, type: string}]
workspaces: [{name: notes}]
tasks: [$TASK]
""",
    """\
params: [{name: TARGET_RESOURCE, type: string}]
workspaces: [{name: notes, optional: true}]
tasks: [$TASK]
""",
)
NO_MEMORY_LIMIT = Rule(
    "WB012",
    "memory-without-limit",
    Severity.WARNING,
    "A step without a memory limit takes what the node has, at a moment at which something is"
    " broken already. With one it is reported as OOMKilled, by its name.",
    "step",
    """\
computeResources: {requests: {cpu: 10m}}
""",
    """\
computeResources: {limits: {memory: 128Mi}}
""",
)
PARAMETER_UNKNOWN = Rule(
    "WB013",
    "parameter-unknown",
    Severity.ERROR,
    "The Pipeline does not declare the parameter. Tekton refuses the run, or leaves the text "
    "$(params.X) as it stands.",
    "step",
    """\
env: [{name: POD, value: $(params.PODNAME)}]
""",
    """\
env: [{name: POD, value: $(params.TARGET_RESOURCE)}]
""",
)
GOES_ON = Rule(
    "WB014",
    "script-goes-on",
    Severity.WARNING,
    "A shell goes on after a command that has failed, and the step ends with the code of the "
    "last one: half of the work is reported as success. Tekton sets -e only where a script "
    "names no interpreter.",
    "step",
    """\
script: |
  #!/bin/sh
  kubectl cordon node-1
  echo done
""",
    """\
script: |
  #!/bin/sh
  set -eu
  kubectl cordon node-1
  echo done
""",
)
NO_TEKTON_OBJECT = Rule(
    "WB015",
    "no-tekton-object",
    Severity.ERROR,
    "A bundle holds Pipelines and Tasks of tekton.dev/v1, at most 20 of them. Accounts and "
    "roles are applied to the cluster by somebody who may.",
    "file",
    """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: workflow}
spec: $SPEC
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: careful-runner}
""",
    """\
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: workflow}
spec: $SPEC
""",
)

RULES = (
    PARAMETER_IN_SCRIPT,
    NO_TIMEOUT,
    IMAGE_MOVES,
    IMAGE_NOT_PINNED,
    TARGET_NOT_DECLARED,
    PARAMETER_NOT_STRING,
    NOT_CALLED_WORKFLOW,
    MAY_BE_ROOT,
    PRIVILEGED,
    FROM_ELSEWHERE,
    WORKSPACE,
    NO_MEMORY_LIMIT,
    PARAMETER_UNKNOWN,
    GOES_ON,
    NO_TEKTON_OBJECT,
)


def find(word: str) -> Rule | None:
    """The rule of that number or name."""
    return next((rule for rule in RULES if word in {rule.id, rule.name}), None)
