"""The faults of the fake cluster do what they say, exactly and as often as asked."""

import asyncio
import random

import aiohttp
import pytest

from tests.fake import faults, kinds, statuses, streams
from tests.fake.api import Api, Endpoint
from tests.fake.cluster import FakeCluster
from tests.fake.faults import Ending
from tests.fake.paths import Match
from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

NAMESPACE = "default"
MAPS = kinds.CONFIG_MAPS


def config_map(name: str, **data: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": data,
    }


def names_of(body: JsonObject) -> list[str]:
    return [each["metadata"]["name"] for each in body["items"]]


@pytest.mark.parametrize(
    ("answer", "status", "content_type"),
    [
        pytest.param(faults.throttled(3), 429, "text/plain", id="429"),
        pytest.param(faults.bad_gateway(), 502, "text/html", id="502"),
        pytest.param(faults.endpoint_missing(), 404, "text/plain", id="404"),
        pytest.param(faults.refused(statuses.unauthorized()), 401, "application/json", id="401"),
    ],
)
@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "patch", "delete"])
async def test_answer_replaces_the_work_when_the_verb_matches(
    cluster: FakeCluster,
    api: Api,
    answer: faults.Answer,
    status: int,
    content_type: str,
    verb: str,
) -> None:
    cluster.create(config_map("a"))
    before = cluster.items(MAPS)
    cluster.faults.add(answer, Match(verbs=(verb,)))
    path = MAPS.path(NAMESPACE, "" if verb in {"list", "watch", "create"} else "a")
    method = {"create": "POST", "patch": "PATCH", "delete": "DELETE"}.get(verb, "GET")
    query = {"watch": "1"} if verb == "watch" else {}
    body = config_map("b") if method in {"POST", "PATCH"} else None
    reply = await api.request(method, path, query=query, body=body)
    assert (reply.status, reply.content_type) == (status, content_type)
    assert cluster.items(MAPS) == before


async def test_throttling_names_the_wait_and_closes_the_connection_when_answered(
    cluster: FakeCluster, api: Api
) -> None:
    cluster.faults.add(faults.throttled(3))
    reply = await api.list(MAPS)
    assert reply.headers["Retry-After"] == "3"
    assert reply.headers["Connection"] == "close"


async def test_rule_is_spent_when_it_has_been_used_as_often_as_asked(
    cluster: FakeCluster, api: Api
) -> None:
    cluster.faults.add(faults.bad_gateway(), times=2)
    assert [(await api.list(MAPS)).status for _ in range(3)] == [502, 502, 200]


async def test_rule_spares_others_when_its_match_is_narrow(cluster: FakeCluster) -> None:
    cluster.create(config_map("a"))
    cluster.create(config_map("b"))
    match = Match(resource="configmaps", name="a", agent="victim")
    cluster.faults.add(faults.bad_gateway(), match, times=None)
    found = {}
    for agent in ("victim", "witness"):
        async with Api(Endpoint(cluster.url), agent=f"{agent}/1.0") as api:
            for name in ("a", "b"):
                found[agent, name] = (await api.get(MAPS, NAMESPACE, name)).status
    assert [key for key, status in found.items() if status != 200] == [("victim", "a")]


async def test_rules_are_gone_when_healed(cluster: FakeCluster, api: Api) -> None:
    cluster.faults.add(faults.bad_gateway(), times=None)
    cluster.faults.heal()
    assert (await api.list(MAPS)).status == 200


async def test_write_is_applied_without_an_answer_when_applied_then_dropped(
    cluster: FakeCluster, api: Api
) -> None:
    cluster.faults.add(faults.ApplyThenDrop(), Match(verbs=("create",)))
    with pytest.raises(aiohttp.ClientError):
        await api.create(MAPS, NAMESPACE, config_map("a"))
    assert cluster.get(MAPS, NAMESPACE, "a") is not None
    assert cluster.requests.entries[-1].status == 0


async def test_write_is_not_applied_when_dropped(cluster: FakeCluster, api: Api) -> None:
    cluster.faults.add(faults.Drop(), Match(verbs=("create",)))
    with pytest.raises(aiohttp.ClientError):
        await api.create(MAPS, NAMESPACE, config_map("a"))
    assert cluster.get(MAPS, NAMESPACE, "a") is None


async def test_request_never_returns_when_it_hangs(cluster: FakeCluster, api: Api) -> None:
    cluster.faults.add(faults.Hang())
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await api.list(MAPS)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3600, abs=0.1)


async def test_answer_is_late_but_the_write_is_not_when_delayed(
    cluster: FakeCluster, api: Api
) -> None:
    cluster.faults.add(faults.Delay(30))
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(api.create(MAPS, NAMESPACE, config_map("a")))
        await asyncio.sleep(1)
        assert cluster.get(MAPS, NAMESPACE, "a") is not None
        assert not task.done()
    assert asyncio.get_running_loop().time() - began == pytest.approx(30, abs=0.1)


async def test_request_waits_before_the_work_when_held(cluster: FakeCluster, api: Api) -> None:
    hold = cluster.faults.hold(Match(verbs=("create",)))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(api.create(MAPS, NAMESPACE, config_map("a")))
        await hold.reached.wait()
        assert cluster.get(MAPS, NAMESPACE, "a") is None
        hold.release()
        assert (await task).status == 201


async def test_reads_show_the_past_when_stale(cluster: FakeCluster, api: Api) -> None:
    first = cluster.create(config_map("a", k="1"))
    version = int(first["metadata"]["resourceVersion"])
    cluster.patch(MAPS, NAMESPACE, "a", {"data": {"k": "2"}})
    cluster.create(config_map("b"))
    cluster.faults.add(faults.Stale(version), times=2)
    listed = (await api.list(MAPS, NAMESPACE)).accept()
    assert listed["items"] == [first]
    assert listed["metadata"]["resourceVersion"] == str(version)
    assert (await api.get(MAPS, NAMESPACE, "a")).accept() == first
    assert names_of((await api.list(MAPS, NAMESPACE)).accept()) == ["a", "b"]


async def test_page_token_is_expired_when_the_past_was_compacted(
    cluster: FakeCluster, api: Api
) -> None:
    for name in ("a", "b"):
        cluster.create(config_map(name))
    first = (await api.list(MAPS, NAMESPACE, limit="1")).accept()
    cluster.compact()
    token = {"continue": first["metadata"]["continue"]}
    reply = await api.list(MAPS, NAMESPACE, **token)
    assert (reply.status, reply.body["reason"]) == (410, "Expired")


async def test_watch_is_expired_when_the_past_was_compacted(cluster: FakeCluster, api: Api) -> None:
    version = str(cluster.storage.version)
    cluster.compact()
    async with api.watch(MAPS, resourceVersion=version) as watch:
        events = await watch.take(2)
    assert [(each.type, each.object["code"]) for each in events] == [("ERROR", 410)]


@pytest.mark.parametrize("ending", list(Ending), ids=lambda each: each.value)
async def test_open_watch_ends_as_asked_when_dropped(
    cluster: FakeCluster, api: Api, ending: Ending
) -> None:
    async with api.watch(MAPS, NAMESPACE) as watch:
        cluster.create(config_map("a"))
        await watch.take(1)
        assert cluster.faults.drop_watches(Match(resource="configmaps"), ending) == 1
        if ending in {Ending.RESET, Ending.TRUNCATED}:
            with pytest.raises(aiohttp.ClientError):
                await watch.take(1)
        else:
            assert await watch.take(1) == []
        assert bool(watch.rest) == (ending in {Ending.MID_LINE, Ending.TRUNCATED})


async def test_watch_goes_on_when_others_are_dropped(cluster: FakeCluster, api: Api) -> None:
    async with api.watch(MAPS, NAMESPACE) as watch:
        assert cluster.faults.drop_watches(Match(resource="pods")) == 0
        cluster.create(config_map("a"))
        assert len(await watch.take(1)) == 1


async def test_watch_says_nothing_not_even_its_end_when_silenced(
    cluster: FakeCluster, api: Api
) -> None:
    async with api.watch(MAPS, NAMESPACE, timeoutSeconds="60") as watch:
        assert cluster.faults.silence_watches() == 1
        cluster.create(config_map("a"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await watch.take(1)


async def test_new_watches_are_silent_when_the_rule_says_so(cluster: FakeCluster, api: Api) -> None:
    cluster.faults.add(faults.Silence(), Match(verbs=("watch",)), times=1)
    cluster.create(config_map("a"))
    async with api.watch(MAPS, NAMESPACE) as silent, api.watch(MAPS, NAMESPACE) as other:
        assert len(await other.take(1)) == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await silent.take(1)


async def test_events_are_late_but_reads_are_not_when_events_are_delayed(
    cluster: FakeCluster, api: Api
) -> None:
    loop = asyncio.get_running_loop()
    cluster.faults.add(faults.DelayEvents(30), Match(verbs=("watch",)))
    async with api.watch(MAPS, NAMESPACE) as watch:
        began = loop.time()
        cluster.create(config_map("a"))
        await asyncio.sleep(10)
        cluster.create(config_map("b"))
        assert names_of((await api.list(MAPS, NAMESPACE)).accept()) == ["a", "b"]
        times = []
        for _ in range(2):
            await watch.take(1)
            times.append(loop.time() - began)
    assert times == pytest.approx([30, 40], abs=0.1)


async def test_lines_are_told_as_they_are_when_injected(cluster: FakeCluster, api: Api) -> None:
    line = b'{"type":"ERROR","object":{"kind":"Status","code":500}}'
    async with api.watch(MAPS, NAMESPACE) as watch:
        assert cluster.faults.inject([line, line]) == 1
        events = await watch.take(2)
    assert [each.object["code"] for each in events] == [500, 500]


async def test_watch_is_cut_at_each_byte_when_asked(cluster: FakeCluster, api: Api) -> None:
    cluster.create(config_map("a"))
    whole = len(streams.encode_event("ADDED", cluster.items(MAPS)[0]))
    for size in range(whole + 1):
        cluster.faults.add(faults.CutWatch(size), Match(verbs=("watch",)))
        async with api.watch(MAPS, NAMESPACE) as watch:
            events = await watch.take(9)
            assert len(watch.rest) == size - (whole if events else 0)
            assert bool(events) == (size == whole)


async def test_watchers_see_deletions_and_the_end_when_the_api_is_removed(
    cluster: FakeCluster, api: Api
) -> None:
    run = {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": "r", "namespace": NAMESPACE, "finalizers": ["a.b/c"]},
        "spec": {},
    }
    cluster.create(run)
    version = str(cluster.storage.version)
    async with api.watch(kinds.PIPELINE_RUNS, resourceVersion=version) as watch:
        cluster.remove_api(kinds.PIPELINE_RUNS)
        assert [event.type for event in await watch.take(9)] == ["DELETED"]
    reply = await api.list(kinds.PIPELINE_RUNS)
    assert (reply.status, reply.content_type) == (404, "text/plain")
    cluster.restore_api(kinds.PIPELINE_RUNS)
    assert (await api.list(kinds.PIPELINE_RUNS)).accept()["items"] == []


async def test_controller_manager_catches_up_when_its_pause_ends(cluster: FakeCluster) -> None:
    owner = cluster.create(config_map("owner"))["metadata"]
    child = config_map("child")
    child["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    ]
    cluster.create(child)
    cluster.collector.paused = True
    cluster.delete(MAPS, NAMESPACE, "owner")
    assert cluster.get(MAPS, NAMESPACE, "child") is not None
    cluster.collector.resume()
    assert cluster.get(MAPS, NAMESPACE, "child") is None


async def test_log_tells_who_asked_for_what_when_read(cluster: FakeCluster) -> None:
    async with Api(Endpoint(cluster.url), agent="probe/1.0") as api:
        reply = await api.create(MAPS, NAMESPACE, config_map("a"))
        await api.get(MAPS, NAMESPACE, "none")
    created, missed = cluster.requests.matching(Match(agent="probe"))
    assert (created.call.verb, created.call.name, created.status) == ("create", "a", 201)
    assert created.response_bytes == len(reply.raw)
    assert created.body is not None
    assert (missed.call.verb, missed.call.resource, missed.status) == ("get", "configmaps", 404)
    assert cluster.requests.writes() == [created]


async def test_watch_ends_when_its_time_is_no_round_number(cluster: FakeCluster, api: Api) -> None:
    # Virtual time counts whole microseconds: a watch must not wait for a fraction of one.
    chance = random.Random(1)
    for _ in range(50):
        await asyncio.sleep(chance.random())
        query = {"timeoutSeconds": "150", "allowWatchBookmarks": "true"}
        async with api.watch(MAPS, NAMESPACE, **query) as watch:
            assert await watch.take(1) == []
    assert cluster.faults.open_streams() == []


async def test_old_token_is_refused_when_the_users_have_changed(cluster: FakeCluster) -> None:
    cluster.reviews.users = {"old": "controller"}
    async with Api(Endpoint(cluster.url, token="old")) as api:
        assert (await api.list(MAPS)).status == 200
        cluster.reviews.users = {"new": "controller"}
        assert (await api.list(MAPS)).status == 401
    async with Api(Endpoint(cluster.url, token="new")) as api:
        assert (await api.list(MAPS)).status == 200
