import asyncio
from typing import Any

from workflowexecution import logcontext


def bound() -> dict[str, Any]:
    return dict(logcontext.merge(None, "info", {}))


def test_a_lines_own_values_go_before_what_is_bound() -> None:
    logcontext.bind({"name": "bound", "uid": "u"})
    assert logcontext.merge(None, "info", {"name": "own"}) == {"name": "own", "uid": "u"}


def test_what_is_bound_takes_the_place_of_what_was() -> None:
    logcontext.bind({"name": "x", "correlation_id": "rr"})
    logcontext.bind({"name": "y"})
    assert bound() == {"name": "y"}
    logcontext.clear()
    assert bound() == {}


async def test_each_task_has_its_own() -> None:
    async def work(name: str) -> dict[str, str]:
        logcontext.bind({"name": name})
        await asyncio.sleep(0)
        return bound()

    logcontext.bind({"name": "outer"})
    async with asyncio.TaskGroup() as group:
        works = [group.create_task(work(name)) for name in ("a", "b")]
    assert [it.result() for it in works] == [{"name": "a"}, {"name": "b"}]
    assert bound() == {"name": "outer"}
