import hypothesis
import hypothesis.strategies as st
import pytest

from tests.unit.runtime import objects
from workflowexecution.runtime import store

Writer = store.StoreWriter[objects.Widget]

widgets = st.builds(
    objects.widget,
    st.sampled_from("abcde"),
    st.sampled_from("123"),
    uid=st.sampled_from(["", "other"]),
    color=st.sampled_from(["", "red", "blue", "red,blue", "red,red"]),
)


def writer(*contents: objects.Widget) -> Writer:
    filled: Writer = store.StoreWriter({"color": objects.colors})
    for item in contents:
        filled.apply(item)
    return filled


def by_color(cache: Writer) -> dict[str, set[str]]:
    return {
        color: {found.key.name for found in cache.by_index("color", color)}
        for color in ("red", "blue")
    }


def expected_by_color(cache: Writer) -> dict[str, set[str]]:
    return {
        color: {found.key.name for found in cache if color in objects.colors(found)}
        for color in ("red", "blue")
    }


def test_store_is_empty_and_not_synced_at_first() -> None:
    cache: Writer = store.StoreWriter()
    assert (len(cache), cache.synced, cache.get(objects.key())) == (0, False, None)


def test_apply_returns_what_it_replaces() -> None:
    cache, first, second = writer(), objects.widget(), objects.widget(version="2")
    assert cache.apply(first) is None
    assert cache.apply(second) is first
    assert cache.get(first.key) is second
    assert list(cache) == list(cache.values()) == [second]


def test_remove_returns_what_was_there() -> None:
    item = objects.widget(color="red")
    cache = writer(item)
    assert cache.remove(item.key) is item
    assert cache.remove(item.key) is None
    assert cache.by_index("color", "red") == []


def test_by_index_gives_all_that_share_a_value_in_order_of_arrival() -> None:
    cache = writer(*(objects.widget(name, color="red") for name in "cab"))
    assert [found.key.name for found in cache.by_index("color", "red")] == ["c", "a", "b"]


def test_changed_object_keeps_its_place_in_an_index() -> None:
    cache = writer(*(objects.widget(name, color="red") for name in "ab"))
    cache.apply(objects.widget("a", "2", color="red"))
    assert [found.key.name for found in cache.by_index("color", "red")] == ["a", "b"]


def test_by_index_gives_nothing_when_the_value_is_unknown() -> None:
    assert writer().by_index("color", "red") == []


def test_by_index_raises_when_there_is_no_such_index() -> None:
    with pytest.raises(KeyError):
        writer().by_index("size", "red")


def test_index_follows_a_changed_value() -> None:
    cache = writer(objects.widget(color="red"), objects.widget(version="2", color="blue"))
    assert by_color(cache) == {"red": set(), "blue": {"one"}}


@hypothesis.given(st.lists(st.tuples(st.booleans(), widgets), max_size=30))
def test_indexes_agree_with_the_contents_after_any_changes(
    changes: list[tuple[bool, objects.Widget]],
) -> None:
    cache = writer()
    for removing, item in changes:
        if removing:
            cache.remove(item.key)
        else:
            cache.apply(item)
        assert by_color(cache) == expected_by_color(cache)


@hypothesis.given(st.lists(widgets, max_size=8), st.lists(widgets, max_size=8))
def test_replace_returns_deltas_that_lead_from_old_to_new(
    before: list[objects.Widget], after: list[objects.Widget]
) -> None:
    cache = writer(*before)
    replayed = {item.key: item for item in cache}
    wanted = {item.key: item for item in after}
    for delta in cache.replace(after):
        if delta.old is not None:
            assert replayed.pop(delta.old.key) is delta.old
        if delta.new is not None:
            assert replayed.setdefault(delta.new.key, delta.new) is delta.new
    identity = {item: (found.uid, found.resource_version) for item, found in wanted.items()}
    for contents in (replayed, {item.key: item for item in cache}):
        got = {item: (found.uid, found.resource_version) for item, found in contents.items()}
        assert got == identity
    assert by_color(cache) == expected_by_color(cache)
    assert cache.synced


def test_replace_keeps_the_same_object_when_nothing_changed() -> None:
    item = objects.widget()
    cache = writer(item)
    assert cache.replace([objects.widget()]) == []
    assert cache.get(item.key) is item


def test_replace_tells_a_reused_name_as_disappearance_and_arrival() -> None:
    old, new = objects.widget(uid="old"), objects.widget(uid="new")
    assert writer(old).replace([new]) == [store.Delta(old, None), store.Delta(None, new)]


def test_replace_tells_disappearances_first() -> None:
    gone, changed, come = objects.widget("a"), objects.widget("b", "2"), objects.widget("c")
    before = objects.widget("b", "1")
    deltas = writer(gone, before).replace([come, changed])
    assert deltas == [
        store.Delta(gone, None),
        store.Delta(None, come),
        store.Delta(before, changed),
    ]
