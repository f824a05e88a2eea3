"""The admission policy that proves who gave a clearance: whether it is there, and whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from workflowexecution.api import names
from workflowexecution.runtime import clock, errors, resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflowexecution.runtime import client
    from workflowexecution.runtime.resource import JsonObject

POLICIES = resource.Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
)  # fmt: skip
BINDINGS = resource.Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
)  # fmt: skip
KEY = resource.ObjectKey("", "workflowexecution-controller-status")
"""Name of the policy and of its binding."""

RULES: Final = (
    "!variables.clears || object.status.blockClearance.clearedBy == request.userInfo.username",
    "!variables.wasCleared"
    " || variables.isCleared && object.status.blockClearance == oldObject.status.blockClearance",
)
"""The validations that make `clearedBy` a proof, in the words of manifests/policies."""

_ANSWER_HOLDS_S: Final = 30.0
# Any other member of a spec can exempt requests: matchConditions, paramKind, and what is to come.
_HARMLESS_POLICY: Final = frozenset({
    "failurePolicy",
    "matchConstraints",
    "validations",
    "variables",
    "auditAnnotations",
})
_HARMLESS_BINDING: Final = frozenset({"policyName", "validationActions", "matchResources"})

_log = structlog.get_logger(__name__)


class AdmissionGuard:
    """The `ClearanceGuard` over the API server: reads policy and binding, and judges them.

    An answer holds for 30 s. Who asks while there is none asks the server, also when another one is
    asking already: clearances are rare.
    """

    def __init__(self, *, client: client.Client) -> None:
        """Read through this client."""
        self._client = client
        self._weakness = ""
        self._asked_at = float("-inf")

    @property
    def last_in_force(self) -> bool:
        """What the last answer was, however old; so it is taken to be before the first one."""
        return not self._weakness

    async def in_force(self) -> bool:
        """Whether every clearance that is written now names who writes it."""
        now = clock.loop_time()
        if now - self._asked_at >= _ANSWER_HOLDS_S:
            weakness = await self._ask()
            self._tell(weakness)
            self._weakness, self._asked_at = weakness, now
        return not self._weakness

    async def _ask(self) -> str:
        try:
            policy = await self._client.find(POLICIES, KEY)
            binding = await self._client.find(BINDINGS, KEY)
        except errors.Forbidden as error:
            # It may be there; but what nobody lets this program see, it cannot believe.
            return f"it may not be read: {error.message}"
        if policy is None:
            return "the policy is not there"
        if binding is None:
            return "the policy's binding is not there"
        return policy_weakness(policy["spec"]) or binding_weakness(binding["spec"])

    def _tell(self, weakness: str) -> None:
        if weakness == self._weakness:
            return
        if weakness:
            _log.warning("Clearances are not honoured", policy=KEY.name, reason=weakness)
        else:
            _log.info("Clearances are honoured again", policy=KEY.name)


def policy_weakness(spec: JsonObject) -> str:
    """Why a policy with this spec proves nothing, or the empty text when it does."""
    if spec.get("failurePolicy") != "Fail":
        return "the policy's failurePolicy is not Fail"
    if unknown := sorted(spec.keys() - _HARMLESS_POLICY):
        return f"the policy may exempt requests by its {', '.join(unknown)}"
    constraints = spec.get("matchConstraints", {})
    if _is_narrowed(constraints):
        return "the policy's matchConstraints exempt requests"
    if not any(_is_matching(rule) for rule in constraints.get("resourceRules", ())):
        return f"the policy does not match updates of {names.PLURAL}/status"
    if not {it["expression"] for it in spec.get("validations", ())}.issuperset(RULES):
        return "the policy lacks a rule on status.blockClearance, or words it in another way"
    return ""


def binding_weakness(spec: JsonObject) -> str:
    """Why a binding with this spec enforces nothing, or the empty text when it does."""
    if spec.get("policyName") != KEY.name:
        return "the binding is of another policy"
    if "Deny" not in spec.get("validationActions", ()):
        return "the binding's validationActions have no Deny"
    if unknown := sorted(spec.keys() - _HARMLESS_BINDING):
        return f"the binding may exempt requests by its {', '.join(unknown)}"
    resources = spec.get("matchResources", {})
    if _is_narrowed(resources) or resources.get("resourceRules"):
        return "the binding's matchResources exempt requests"
    return ""


def _is_narrowed(match: Mapping[str, Any]) -> bool:
    """Whether something that is matched is taken out again; the server fills in empty selectors."""
    narrowing = ("namespaceSelector", "objectSelector", "excludeResourceRules")
    return any(match.get(it) for it in narrowing)


def _is_matching(rule: Mapping[str, Any]) -> bool:
    """Whether a rule takes in updates of the status of all executions."""
    wanted = {
        "apiGroups": {names.GROUP, "*"},
        "apiVersions": {names.VERSION, "*"},
        "operations": {"UPDATE", "*"},
        "resources": {f"{names.PLURAL}/status", f"{names.PLURAL}/*", "*/status", "*/*"},
    }
    return (
        all(options & set(rule.get(field, ())) for field, options in wanted.items())
        and not rule.get("resourceNames")
        and rule.get("scope", "*") != "Cluster"
    )
