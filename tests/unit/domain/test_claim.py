"""The mark of a claim, by which a restored copy shows as one."""

from __future__ import annotations

import pytest

from tests import builders
from workflowexecution.api import names
from workflowexecution.domain import claim

NAME, UID = "restart-payment", "uid-restart-payment"
OWN = f"{NAME}/{UID}"
PLACE = names.ANNOTATION_CLAIMED_IN


@pytest.mark.parametrize(
    ("mark", "former", "written"),
    [
        pytest.param(None, None, True, id="never-claimed"),
        pytest.param(OWN, None, False, id="own"),
        pytest.param(f"{NAME}/another", "another", False, id="restored"),
        pytest.param(f"other/{UID}", None, True, id="of-another-name"),
        pytest.param(NAME, "", False, id="cut"),
        pytest.param("", None, True, id="empty"),
    ],
)
def test_a_mark_with_its_own_name_and_another_uid_is_of_what_was_restored(
    mark: str | None, former: str | None, *, written: bool
) -> None:
    given = {} if mark is None else {names.ANNOTATION_CLAIMED: mark}
    metadata = builders.execution(metadata={"annotations": given}).metadata
    assert claim.former_uid(metadata) == former
    expected = {names.ANNOTATION_CLAIMED: OWN} if written else {}
    assert claim.marks(metadata) == expected


@pytest.mark.parametrize(
    ("mark", "written"),
    [
        pytest.param(None, {names.ANNOTATION_CLAIMED: OWN, PLACE: None}, id="never-claimed"),
        pytest.param(OWN, {}, id="own"),
        pytest.param(f"{NAME}/another", {}, id="restored"),
        pytest.param(
            f"other/{UID}", {names.ANNOTATION_CLAIMED: OWN, PLACE: None}, id="of-another-name"
        ),
    ],
)
def test_the_place_of_a_claim_goes_with_the_mark_that_is_replaced(
    mark: str | None, written: dict[str, str | None]
) -> None:
    given = {PLACE: "former"} | ({names.ANNOTATION_CLAIMED: mark} if mark else {})
    metadata = builders.execution(metadata={"annotations": given}).metadata
    assert claim.marks(metadata) == written


@pytest.mark.parametrize(
    ("mark", "place"),
    [
        pytest.param(OWN, "former", id="own"),
        pytest.param(f"{NAME}/another", "", id="restored"),
        pytest.param(f"other/{UID}", "", id="of-another-name"),
        pytest.param(None, "", id="never-claimed"),
    ],
)
def test_a_place_counts_with_the_mark_of_the_very_object_alone(
    mark: str | None, place: str
) -> None:
    given = {names.ANNOTATION_CLAIMED_IN: "former"}
    given |= {names.ANNOTATION_CLAIMED: mark} if mark else {}
    assert claim.namespace(NAME, UID, given) == place


def test_no_place_is_known_where_a_claim_tells_none() -> None:
    assert claim.namespace(NAME, UID, {names.ANNOTATION_CLAIMED: OWN}) == ""


@pytest.mark.parametrize(("uid", "named"), [("1-2", "UID 1-2"), ("", "UID unknown")])
def test_a_refusal_says_what_it_is_and_what_to_do(uid: str, named: str) -> None:
    said = claim.refusal(uid)
    assert named in said
    assert "under another name" in said
    assert names.ANNOTATION_CLAIMED in said
