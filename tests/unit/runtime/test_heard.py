import asyncio

import pytest

from workflowexecution.runtime import heard

pytestmark = pytest.mark.looptime


async def test_nothing_is_heard_or_due_at_first() -> None:
    hearing = heard.Hearing()
    assert (hearing.silent_s, hearing.age_s) == (float("inf"), float("inf"))
    assert hearing.overdue_s == float("-inf")


async def test_answer_is_no_word_of_what_changes() -> None:
    hearing = heard.Hearing()
    hearing.told()
    await asyncio.sleep(3)
    hearing.heard()
    assert (hearing.silent_s, hearing.age_s) == (0, 3)


@pytest.mark.parametrize(
    ("lasts_s", "lived", "age_s"),
    [pytest.param(4.9, False, 14.9, id="short"), pytest.param(5.0, True, 5.0, id="lived")],
)
async def test_stream_is_a_word_from_its_opening_on_once_it_has_lived(
    lasts_s: float, lived: bool, age_s: float
) -> None:
    hearing = heard.Hearing()
    hearing.told()
    await asyncio.sleep(10)
    hearing.opened()
    await asyncio.sleep(lasts_s)
    assert hearing.age_s == pytest.approx(age_s)
    assert hearing.ended() is lived
    assert hearing.age_s == pytest.approx(age_s)
    await asyncio.sleep(10)
    assert hearing.ended() is False


async def test_word_by_a_stream_counts_for_more_than_its_opening() -> None:
    hearing = heard.Hearing()
    hearing.opened()
    await asyncio.sleep(6)
    hearing.told()
    assert hearing.age_s == 0
    hearing.ended()
    assert hearing.age_s == 0


async def test_what_is_due_is_overdue_after_its_time() -> None:
    hearing = heard.Hearing()
    hearing.expect_within(4)
    await asyncio.sleep(6)
    assert hearing.overdue_s == 2
