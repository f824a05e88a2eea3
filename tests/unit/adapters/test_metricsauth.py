from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from tests.unit.adapters import fakes
from workflowexecution.adapters import metricsauth
from workflowexecution.runtime import errors
from workflowexecution.runtime.metricsserver import Verdict

if TYPE_CHECKING:
    from workflowexecution.runtime.resource import JsonObject

pytestmark = pytest.mark.looptime

USER = {
    "username": "system:serviceaccount:monitoring:prometheus",
    "uid": "u",
    "groups": ["system:serviceaccounts"],
    "extra": {"pod": ["p"]},
}


class FakeReviews:
    """An API server that knows tokens and who may read; remembers what it was asked."""

    def __init__(self) -> None:
        self.known = {"good": USER, "plain": {"username": "bob"}}
        self.allowed = {USER["username"]}
        self.asked: list[tuple[str, JsonObject]] = []
        self.error: errors.ClusterError | None = None
        self.delay_s = 0.0
        self.at_once = 0
        self.most_at_once = 0

    async def post_json(self, path: str, body: JsonObject, *, deadline_s: float) -> dict[str, Any]:
        self.asked.append((path.rpartition("/")[2], body))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay_s)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        if body["kind"] == "SubjectAccessReview":
            return {"status": {"allowed": body["spec"]["user"] in self.allowed}}
        user = self.known.get(body["spec"]["token"])
        return {"status": {"authenticated": user is not None, "user": user}}

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.asked]


@pytest.fixture
def reviews() -> FakeReviews:
    return FakeReviews()


@pytest.fixture
def auth(reviews: FakeReviews) -> metricsauth.MetricsAuth:
    return metricsauth.MetricsAuth(client=reviews)


@pytest.mark.requirement("WE-SERVICE", "Metrics Port: 9090 (/metrics - with auth filter)")
async def test_whoever_may_get_the_path_is_admitted(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews
) -> None:
    assert await auth.admit("Bearer good") is Verdict.ADMITTED
    assert reviews.kinds == ["tokenreviews", "subjectaccessreviews"]
    assert reviews.asked[0][1]["spec"] == {"token": "good"}
    assert reviews.asked[1][1]["spec"] == {
        "user": USER["username"],
        "uid": "u",
        "groups": USER["groups"],
        "extra": USER["extra"],
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


@pytest.mark.requirement("WE-SERVICE", "Metrics Port: 9090 (/metrics - with auth filter)")
@pytest.mark.parametrize(
    "header",
    [
        *("", "good", "Basic good", "Bearer", "Bearer  ", "Bearer go od", "Bearer go\tod"),
        pytest.param("Bearer \udcff\udcfe", id="no-utf-8"),
        pytest.param("Bearer caf\u00e9", id="no-ascii"),
        pytest.param("Bearer good\x00", id="control-character"),
    ],
)
async def test_nobody_is_asked_about_a_header_without_a_bearer_token(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews, header: str
) -> None:
    assert await auth.admit(header) is Verdict.UNKNOWN
    assert reviews.asked == []


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        pytest.param("stranger", Verdict.UNKNOWN, id="unknown"),
        pytest.param("plain", Verdict.FORBIDDEN, id="without-the-right"),
    ],
)
async def test_a_refusal_is_remembered_for_ten_seconds(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews, token: str, verdict: Verdict
) -> None:
    assert await auth.admit(f"bearer {token}") is verdict
    asked = len(reviews.asked)
    await asyncio.sleep(9)
    assert await auth.admit(f"Bearer {token}") is verdict
    assert len(reviews.asked) == asked
    await asyncio.sleep(1)
    assert await auth.admit(f"Bearer {token}") is verdict
    assert len(reviews.asked) == 2 * asked


async def test_an_admission_is_remembered_for_a_minute(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews
) -> None:
    await auth.admit("Bearer good")
    reviews.allowed.clear()
    await asyncio.sleep(59)
    assert await auth.admit("Bearer good") is Verdict.ADMITTED
    await asyncio.sleep(1)
    assert await auth.admit("Bearer good") is Verdict.FORBIDDEN


@pytest.mark.parametrize(
    "error",
    [errors.TransportError("gone"), fakes.refusal(errors.Forbidden)],
    ids=["unreachable", "not-allowed-to-ask"],
)
async def test_nobody_is_admitted_while_nobody_can_tell(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews, error: errors.ClusterError
) -> None:
    reviews.error = error
    with structlog.testing.capture_logs() as logs:
        verdicts = [await auth.admit("Bearer good") for _ in range(3)]
    assert verdicts == [Verdict.UNAVAILABLE] * 3
    assert len(logs) == 1
    assert "good" not in str(logs)
    reviews.error = None
    assert await auth.admit("Bearer good") is Verdict.ADMITTED
    reviews.error = error
    await asyncio.sleep(60)
    with structlog.testing.capture_logs() as logs:
        assert await auth.admit("Bearer good") is Verdict.UNAVAILABLE
    assert len(logs) == 1


async def test_an_answer_that_is_odd_admits_nobody(reviews: FakeReviews) -> None:
    class Odd(FakeReviews):
        async def post_json(
            self, path: str, body: JsonObject, *, deadline_s: float
        ) -> dict[str, Any]:
            return {"status": "yes"}

    assert await metricsauth.MetricsAuth(client=Odd()).admit("Bearer good") is Verdict.UNKNOWN


async def test_a_silent_server_is_given_five_seconds(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews
) -> None:
    reviews.delay_s = 100
    assert await auth.admit("Bearer good") is Verdict.UNAVAILABLE
    assert asyncio.get_running_loop().time() == pytest.approx(5)


async def test_a_flood_of_tokens_has_few_reviews_at_once_and_pushes_nobody_out(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews
) -> None:
    await auth.admit("Bearer good")
    reviews.delay_s = 0.01
    flood = [auth.admit(f"Bearer bad-{number}") for number in range(1000)]
    assert set(await asyncio.gather(*flood)) == {Verdict.UNKNOWN}
    assert reviews.most_at_once == 4
    assert len(auth._refused) == 256
    asked = len(reviews.asked)
    assert await auth.admit("Bearer good") is Verdict.ADMITTED
    assert len(reviews.asked) == asked


async def test_the_same_token_is_asked_about_once_when_many_come_with_it(
    auth: metricsauth.MetricsAuth, reviews: FakeReviews
) -> None:
    reviews.delay_s = 0.1
    verdicts = await asyncio.gather(*(auth.admit("Bearer good") for _ in range(50)))
    assert set(verdicts) == {Verdict.ADMITTED}
    assert len(reviews.asked) <= 8


async def test_no_token_is_kept(auth: metricsauth.MetricsAuth) -> None:
    await auth.admit("Bearer good")
    assert "good" not in str(vars(auth._admitted))
