"""Endpoints that compute instead of storing: token and access reviews, pod logs."""

import dataclasses
from collections.abc import Callable

from tests.fake import statuses
from tests.fake.paths import Target
from tests.fake.statuses import JsonObject

_TOKEN_REVIEW = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS_REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
REVIEW_PATHS = frozenset({_TOKEN_REVIEW, _ACCESS_REVIEW})


@dataclasses.dataclass(slots=True)
class Reviews:
    """Who is who, who may what, and what a container wrote.

    `users` maps bearer tokens to user names; when it is empty, every request is let in.
    `allows` answers a SubjectAccessReview from its spec. `logs` maps (namespace, pod, container)
    to text; a container without an entry answers 400, as one that has not started.
    """

    users: dict[str, str] = dataclasses.field(default_factory=dict)
    allows: Callable[[JsonObject], bool] = lambda _spec: True
    logs: dict[tuple[str, str, str], str] = dataclasses.field(default_factory=dict)

    def check_bearer(self, header: str) -> None:
        """Let a request in or not.

        Raises:
            StatusError: 401.
        """
        if self.users and header.removeprefix("Bearer ") not in self.users:
            raise statuses.unauthorized()

    def review(self, path: str, body: JsonObject) -> JsonObject:
        """Answer a review that was posted to one of `REVIEW_PATHS`."""
        spec = body.get("spec") or {}
        if path == _ACCESS_REVIEW:
            return body | {"status": {"allowed": self.allows(spec)}}
        name = self.users.get(spec.get("token", ""))
        status: JsonObject = {"authenticated": name is not None}
        if name is not None:
            status["user"] = {"username": name, "groups": ["system:authenticated"]}
        return body | {"status": status}

    def log(self, target: Target, container: str) -> str:
        """Return the text of a container.

        Raises:
            StatusError: 400.
        """
        text = self.logs.get((target.namespace, target.name, container))
        if text is None:
            raise statuses.bad_request(
                f'container "{container}" in pod "{target.name}" is waiting to start: '
                "PodInitializing"
            )
        return text
