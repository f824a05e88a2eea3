"""Who may read the metrics, as the API server says: TokenReview, then SubjectAccessReview.

Source: kube-rbac-proxy, and controller-runtime pkg/metrics/filters; Kubernetes, "Authenticating"
(webhook cache defaults) for the order of the cache's times.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from workflowexecution.runtime import clock, credentials, errors
from workflowexecution.runtime.metricsserver import PATH, Verdict

if TYPE_CHECKING:
    from workflowexecution.runtime.resource import JsonObject

_TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

_ADMITTED_S = 60.0
_REFUSED_S = 10.0
_MAX_KEPT = 256
_AT_ONCE = 4
_DEADLINE_S = 5.0

_log = structlog.get_logger(__name__)


class Poster(Protocol):
    """What reviews are posted to; `runtime.client.Client` is one."""

    async def post_json(self, path: str, body: JsonObject, *, deadline_s: float) -> JsonObject:
        """Post a JSON object to a path and return the answer."""
        ...


class _Answers:
    """Verdicts that hold for a while, the oldest forgotten when there are too many."""

    def __init__(self, *, keep_s: float) -> None:
        self._keep_s = keep_s
        self._kept: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, token: bytes, now: float) -> Verdict | None:
        """The verdict on a token, unless it is too old."""
        until, verdict = self._kept.get(token, (0.0, None))
        return verdict if now < until else None

    def keep(self, token: bytes, verdict: Verdict, now: float) -> None:
        """Remember a verdict."""
        self._kept.pop(token, None)
        self._kept[token] = (now + self._keep_s, verdict)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)


class MetricsAuth:
    """Judges bearer tokens, and remembers a verdict for a short time.

    A token is kept as its hash only. Admissions and refusals are kept apart, so that a flood of
    bad tokens pushes out nobody who may read; such a flood has at most a few reviews at once.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, client: Poster) -> None:
        """Ask this API server."""
        self._client = client
        self._admitted = _Answers(keep_s=_ADMITTED_S)
        self._refused = _Answers(keep_s=_REFUSED_S)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._complained = False

    async def admit(self, authorization: str) -> Verdict:
        """Judge the Authorization header of a request for the metrics."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not credentials.is_token(token):
            return Verdict.UNKNOWN
        digest = hashlib.sha256(token.encode("ascii")).digest()
        known = self._known(digest)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(_DEADLINE_S), self._turns:
                # Whoever waited for a turn may find that another has asked.
                return self._known(digest) or await self._ask(token, digest)
        except (errors.ClusterError, TimeoutError) as error:
            self._complain(error)
            return Verdict.UNAVAILABLE

    def _known(self, digest: bytes) -> Verdict | None:
        now = clock.loop_time()
        return self._admitted.find(digest, now) or self._refused.find(digest, now)

    async def _ask(self, token: str, digest: bytes) -> Verdict:
        verdict = await self._review(token)
        answers = self._admitted if verdict is Verdict.ADMITTED else self._refused
        answers.keep(digest, verdict, clock.loop_time())
        self._complained = False
        return verdict

    async def _review(self, token: str) -> Verdict:
        seen = await self._post(_TOKEN_REVIEWS, "authentication", "TokenReview", {"token": token})
        if seen.get("authenticated") is not True:
            return Verdict.UNKNOWN
        user = seen.get("user") or {}
        access = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": PATH, "verb": "get"},
        }
        allowed = await self._post(_ACCESS_REVIEWS, "authorization", "SubjectAccessReview", access)
        return Verdict.ADMITTED if allowed.get("allowed") is True else Verdict.FORBIDDEN

    async def _post(self, path: str, group: str, kind: str, spec: JsonObject) -> dict[str, Any]:
        body = {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
        answer = await self._client.post_json(path, body, deadline_s=_DEADLINE_S)
        status = answer.get("status")
        return status if isinstance(status, dict) else {}

    def _complain(self, error: Exception) -> None:
        """Log the first of several failures in a row: scrapes come again and again."""
        if not self._complained:
            self._complained = True
            _log.warning(
                "Nobody can read the metrics: the API server does not review tokens",
                error=str(error) or type(error).__name__,
            )
