from __future__ import annotations

import json
import uuid

import pytest

from workflowexecution.domain import tracecontext

UID = "b7e0c5a4-0d3f-4b7e-9a55-0123456789ab"


def test_trace_is_found_by_the_uid_of_its_execution() -> None:
    assert f"{tracecontext.trace_id(UID):032x}" == UID.replace("-", "")


@pytest.mark.parametrize("uid", ["uid-x", "", str(uuid.UUID(int=0))])
def test_uid_of_another_form_has_a_trace_of_its_own(uid: str) -> None:
    found = tracecontext.trace_id(uid)
    assert 0 < found < 1 << 128
    assert found == tracecontext.trace_id(uid)
    assert found != tracecontext.trace_id(f"{uid}x")


def test_span_ids_are_the_same_in_every_life_and_differ_by_what_they_are() -> None:
    names = [tracecontext.ROOT, tracecontext.PENDING, tracecontext.RUNNING]
    found = [tracecontext.span_id(UID, name) for name in names]
    assert found == [tracecontext.span_id(UID, name) for name in names]
    assert len({*found, tracecontext.span_id("other", tracecontext.ROOT)}) == 4
    assert all(0 < it < 1 << 64 for it in found)


def test_sample_has_the_part_that_was_asked_for() -> None:
    uids = [str(uuid.UUID(int=number, version=4)) for number in spread(2000)]
    for ratio, low, high in ((0.0, 0, 0), (0.1, 150, 250), (0.5, 900, 1100), (1.0, 2000, 2000)):
        assert low <= sum(tracecontext.is_sampled(uid, ratio) for uid in uids) <= high


def spread(count: int) -> list[int]:
    """Numbers of 128 bits, spread evenly."""
    step = 0x9E3779B97F4A7C15F39CC0605CEDC835
    return [number * step % (1 << 128) for number in range(count)]


@pytest.mark.parametrize(("ratio", "flags"), [(1.0, "01"), (0.0, "00")])
def test_run_is_handed_the_span_it_belongs_to_as_tekton_reads_it(ratio: float, flags: str) -> None:
    found = tracecontext.handed_on(UID, ratio)
    carrier = json.loads(found["tekton.dev/pipelinerunSpanContext"])
    span = f"{tracecontext.span_id(UID, 'running'):016x}"
    assert carrier == {"traceparent": f"00-{UID.replace('-', '')}-{span}-{flags}"}
