import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.adapters import fakes
from workflowexecution import ports
from workflowexecution.adapters import tekton
from workflowexecution.adapters.events import EVENTS
from workflowexecution.api import names
from workflowexecution.domain import locking
from workflowexecution.runtime import errors, resource, store

NAME = locking.run_name(builders.TARGET)
WHERE = resource.ObjectKey("kubernaut-workflows", NAME)
UID = "uid-restart-payment"
RUN_UID = "run-of-restart-payment"


@pytest.fixture
def bed() -> fakes.Bed:
    return fakes.Bed()


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (tekton.PIPELINERUNS, "/apis/tekton.dev/v1/namespaces/n/pipelineruns"),
        (tekton.TASKRUNS, "/apis/tekton.dev/v1/namespaces/n/taskruns"),
        (tekton.PODS, "/api/v1/namespaces/n/pods"),
    ],
)
def test_kinds_are_where_the_api_serves_them(kind: resource.Resource, path: str) -> None:
    assert kind.path(namespace="n") == path
    assert kind.plural == kind.kind.lower() + "s"


def test_definitions_are_where_the_api_serves_them() -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert tekton.CRDS.path() == path
    assert tekton.CRDS.kind == "CustomResourceDefinition"


@pytest.mark.parametrize(
    ("missing", "synced", "why"),
    [
        pytest.param(False, True, "", id="there"),
        pytest.param(
            True, True, "Tekton's API (tekton.dev/v1) is not served by this cluster", id="gone"
        ),
        pytest.param(False, False, "Tekton's runs have not been listed yet", id="not-listed"),
    ],
)  # fmt: skip
async def test_unavailable_says_why_nothing_is_known(
    bed: fakes.Bed, missing: bool, synced: bool, why: str
) -> None:
    bed.informers[1].missing, bed.informers[1].synced = missing, synced
    assert bed.engine.unavailable() == why


async def test_observe_finds_a_run_by_its_execution(bed: fakes.Bed) -> None:
    assert bed.engine.observe(UID) is None
    bed.runs.apply(fakes.run())
    bed.runs.apply(fakes.run("nobodys", labels={}))
    assert bed.engine.observe(UID) == fakes.run()
    assert bed.engine.observe("") is None


def marked(name: str = "", **metadata: Any) -> tekton.Run:  # noqa: ANN401 - of the metadata
    """A run with the labels of one that was made here."""
    labels = {names.LABEL_EXECUTION_UID: UID, names.LABEL_TARGET: locking.target_label(NAME)}
    return fakes.run(name, labels=labels, **metadata)


async def test_copies_of_a_run_are_known_and_not_taken_for_it(bed: fakes.Bed) -> None:
    copies = [marked(f"{prefix}{NAME}", uid=prefix) for prefix in ("a-", "b-")]
    parent = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun"}
    child = marked("child", uid="c", ownerReferences=[parent])
    for it in (*copies, child):
        bed.runs.apply(it)
    assert bed.engine.observe(UID) is None
    bed.runs.apply(marked())
    assert bed.engine.observe(UID) == marked()
    assert bed.engine.runs_of(UID) == [*copies, marked()]
    assert bed.engine.copies(locking.target_label(NAME)) == copies
    assert bed.engine.copies("") == []


async def test_observe_finds_no_run_before_its_tasks_are_listed() -> None:
    unlisted = fakes.Bed(listed=False)
    unlisted.runs.apply(fakes.run())
    assert unlisted.engine.observe(UID) is None
    unlisted.tasks.replace(())
    assert unlisted.engine.observe(UID) == fakes.run()


async def test_children_finds_tasks_by_their_run(bed: fakes.Bed) -> None:
    task = tekton.project_task(builders.raw_task("restart"))
    stray = builders.raw_task("stray")
    stray["metadata"]["labels"] = {}
    for it in (task, tekton.project_task(stray)):
        bed.tasks.apply(it)
    assert task.key == resource.ObjectKey("kubernaut-workflows", f"{NAME}-restart")
    assert bed.engine.children(RUN_UID) == (task,)
    assert bed.engine.children("") == ()


async def test_a_run_that_disappears_is_remembered(bed: fakes.Bed) -> None:
    assert bed.engine.last_seen(UID) is None
    bed.gone.run_changed(store.Delta(fakes.run(), None))
    assert bed.engine.last_seen(UID) == fakes.run()


@pytest.mark.parametrize("cached", [False, True], ids=["cache-late", "cache-first"])
async def test_a_created_run_is_known_before_the_cache_has_it(bed: fakes.Bed, cached: bool) -> None:
    bed.client.answer = builders.raw_run()
    if cached:
        bed.runs.apply(fakes.run())
    await bed.engine.create(fakes.KEY, {"metadata": {"name": NAME}})
    assert bed.engine.last_seen(UID) == (None if cached else fakes.run())


async def test_create_makes_the_run_and_waits_for_the_cache(bed: fakes.Bed) -> None:
    bed.client.answer = builders.raw_run()
    manifest = {"metadata": {"name": NAME}}
    assert await bed.engine.create(fakes.KEY, manifest) == fakes.run()
    assert bed.client.calls == [
        ("create", tekton.PIPELINERUNS, WHERE.namespace, manifest, ports.CREATE_DEADLINE_S)
    ]
    assert bed.freshness.parked(fakes.KEY)
    bed.freshness.seen(tekton.PIPELINERUNS, WHERE, RUN_UID, "7")
    assert not bed.freshness.parked(fakes.KEY)


async def test_a_refused_create_keeps_nothing_waiting(bed: fakes.Bed) -> None:
    bed.client.answer = fakes.refusal(errors.AlreadyExists)
    with pytest.raises(errors.AlreadyExists):
        await bed.engine.create(fakes.KEY, {"metadata": {"name": NAME}})
    assert not bed.freshness.parked(fakes.KEY)


async def test_read_asks_the_server(bed: fakes.Bed) -> None:
    bed.client.answer = builders.raw_run()
    assert await bed.engine.read(NAME) == fakes.run()
    assert bed.client.calls == [("get", tekton.PIPELINERUNS, WHERE)]
    bed.client.answer = fakes.refusal(errors.NotFound)
    assert await bed.engine.read(NAME) is None


async def test_read_takes_no_missing_api_for_a_missing_run(bed: fakes.Bed) -> None:
    bed.client.answer = fakes.refusal(errors.EndpointMissing)
    with pytest.raises(errors.EndpointMissing):
        await bed.engine.read(NAME)


async def test_a_place_in_which_nothing_may_be_read_is_told_until_it_opens(bed: fakes.Bed) -> None:
    bed.client.answer = fakes.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await bed.engine.read(NAME)
    assert "Nothing may be read in namespace 'kubernaut-workflows'" in bed.engine.closed()
    assert (bed.engine.unavailable(), bed.engine.trouble()) == ("", bed.engine.closed())
    bed.informers[0].synced = False
    assert bed.engine.unavailable() == bed.engine.closed()
    bed.informers[0].synced = True
    bed.client.answer = fakes.refusal(errors.NotFound)
    assert bed.engine.unsettled() == ""
    assert await bed.engine.read(NAME) is None
    assert (bed.engine.trouble(), bool(bed.engine.unsettled())) == ("", True)


async def test_a_place_that_is_not_there_is_told_until_a_run_is_in_it(bed: fakes.Bed) -> None:
    for answer in (builders.raw_run(), None):
        bed.client.answer = fakes.refusal(errors.NotFound)
        with pytest.raises(errors.NotFound):
            await bed.engine.create(fakes.KEY, {"metadata": {"name": NAME}})
        assert not bed.freshness.parked(fakes.KEY)
        assert bed.engine.closed() == "Namespace 'kubernaut-workflows' of the runs does not exist"
        # Who may read everywhere finds nothing there, which says nothing.
        assert await bed.engine.read(NAME) is None
        assert bed.engine.closed()
        bed.client.answer = builders.raw_run()
        if answer is None:
            await bed.engine.create(fakes.KEY, {"metadata": {"name": NAME}})
        else:
            assert await bed.engine.read(NAME) is not None
        assert bed.engine.closed() == ""


async def test_uninstalled_tells_an_api_that_goes(bed: fakes.Bed) -> None:
    bed.client.answer = {"metadata": {}}
    assert await bed.engine.uninstalled() == ""
    bed.client.answer = {"metadata": {"deletionTimestamp": builders.stamp()}}
    said = await bed.engine.uninstalled()
    assert "tekton.dev/v1" in said
    bed.client.answer = fakes.refusal(errors.NotFound)
    assert await bed.engine.uninstalled() == said
    assert {call[2] for call in bed.client.calls} == {("", "pipelineruns.tekton.dev")}


async def test_read_children_lists_by_the_runs_uid(bed: fakes.Bed) -> None:
    bed.client.items = [builders.raw_task("restart")]
    (task,) = await bed.engine.read_children(RUN_UID)
    assert task.task == "restart"
    selector = f"tekton.dev/pipelineRunUID={RUN_UID}"
    assert bed.client.calls == [("list", tekton.TASKRUNS, WHERE.namespace, selector, "", 0)]


@pytest.mark.parametrize("read", ["read_children", "read_pods"])
async def test_others_have_their_turns_while_many_tasks_or_pods_are_read(
    bed: fakes.Bed, read: str
) -> None:
    bed.client.items = [builders.raw_task(f"task-{number}") for number in range(500)]
    reading = asyncio.create_task(getattr(bed.engine, read)(RUN_UID))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    names = [it.name.rpartition("-")[2] for it in await reading]
    assert names == [str(number) for number in range(500)]
    assert turns >= 10


@pytest.mark.parametrize("items", [[], [{"metadata": {"name": "p"}}]], ids=["none", "one"])
async def test_has_live_pods_asks_for_one_that_has_not_ended(
    bed: fakes.Bed, items: list[resource.JsonObject]
) -> None:
    bed.client.items = items
    assert await bed.engine.has_live_pods(RUN_UID) is bool(items)
    ended = "status.phase!=Succeeded,status.phase!=Failed"
    selector = f"tekton.dev/pipelineRunUID={RUN_UID}"
    assert bed.client.calls == [("list", tekton.PODS, WHERE.namespace, selector, ended, 1)]


async def test_delete_deletes_exactly_this_run_and_waits_for_the_cache(bed: fakes.Bed) -> None:
    bed.client.answer = builders.raw_run(metadata={"resourceVersion": "8"})
    await bed.engine.delete(fakes.KEY, fakes.run())
    assert bed.client.calls == [("delete", tekton.PIPELINERUNS, WHERE, RUN_UID)]
    assert bed.freshness.parked(fakes.KEY)


@pytest.mark.parametrize("kind", [errors.NotFound, errors.Conflict])
async def test_delete_is_done_when_the_run_is_no_more(
    bed: fakes.Bed, kind: type[errors.ApiError]
) -> None:
    bed.client.answer = fakes.refusal(kind)
    await bed.engine.delete(fakes.KEY, fakes.run())
    assert not bed.freshness.parked(fakes.KEY)


async def test_delete_tells_of_any_other_refusal(bed: fakes.Bed) -> None:
    bed.client.answer = fakes.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await bed.engine.delete(fakes.KEY, fakes.run())


async def test_change_changes_exactly_this_run_and_waits_for_the_cache(bed: fakes.Bed) -> None:
    """By its UID, on whatever version Tekton has written by now."""
    bed.client.answer = builders.raw_run(metadata={"resourceVersion": "8"})
    changes = {"spec": {"status": "Cancelled"}, "metadata": {"annotations": {"a": "b"}}}
    await bed.engine.change(fakes.KEY, fakes.run(), changes)
    body = {"spec": changes["spec"], "metadata": {"annotations": {"a": "b"}, "uid": RUN_UID}}
    assert bed.client.calls == [("patch", tekton.PIPELINERUNS, WHERE, body, "")]
    assert changes["metadata"] == {"annotations": {"a": "b"}}
    assert bed.freshness.parked(fakes.KEY)


async def test_change_of_nothing_but_the_spec_carries_the_uid_too(bed: fakes.Bed) -> None:
    bed.client.answer = builders.raw_run()
    await bed.engine.change(fakes.KEY, fakes.run(), {"spec": {"status": "Cancelled"}})
    assert bed.client.calls[0][3]["metadata"] == {"uid": RUN_UID}


@pytest.mark.parametrize("kind", [errors.NotFound, errors.Conflict, errors.BadRequest])
async def test_change_tells_of_every_refusal(bed: fakes.Bed, kind: type[errors.ApiError]) -> None:
    bed.client.answer = fakes.refusal(kind)
    with pytest.raises(kind):
        await bed.engine.change(fakes.KEY, fakes.run(), {})
    assert not bed.freshness.parked(fakes.KEY)


async def test_runs_are_those_of_the_cache(bed: fakes.Bed) -> None:
    assert list(bed.engine.runs()) == []
    bed.runs.apply(fakes.run())
    assert list(bed.engine.runs()) == [fakes.run()]


async def test_read_log_asks_for_the_end_of_what_a_step_has_written(bed: fakes.Bed) -> None:
    bed.client.text = "went wrong"
    assert await bed.engine.read_log("pod", "run") == "went wrong"
    ((verb, path, params, max_bytes),) = bed.client.calls
    assert (verb, path) == ("text", "/api/v1/namespaces/kubernaut-workflows/pods/pod/log")
    assert params == {"container": "step-run", "tailLines": "501"}
    assert max_bytes == 2 * 1024 * 1024


async def test_read_pod_events_lists_those_about_the_pod(bed: fakes.Bed) -> None:
    bed.client.items = [{"reason": "Evicted"}]
    assert await bed.engine.read_pod_events("pod") == [{"reason": "Evicted"}]
    selector = "involvedObject.kind=Pod,involvedObject.name=pod"
    assert bed.client.calls == [("list", EVENTS, WHERE.namespace, "", selector, 0)]


async def test_warnings_are_of_pods_whose_tasks_are_not_done(bed: fakes.Bed) -> None:
    done = builders.raw_task("done", condition=("True", "Succeeded", ""))
    waits = builders.raw_task("waits", condition=("Unknown", "Pending", ""))
    new = builders.raw_task("new", status={"podName": ""})
    for raw in (done, waits, new):
        bed.tasks.apply(tekton.project_task(raw))
    pods = [raw["status"]["podName"] for raw in (done, waits)]
    await bed.engine.pod_warnings.renew()
    assert list(bed.engine.pod_warnings.known) == [pods[1]]


def test_owner_selector_finds_what_this_program_made() -> None:
    assert tekton.owner_selector() == names.LABEL_EXECUTION_UID
    assert names.LABEL_EXECUTION_UID in builders.raw_run()["metadata"]["labels"]
