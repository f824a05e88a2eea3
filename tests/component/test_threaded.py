"""The fake cluster serves from a thread of its own."""

import json
import urllib.request

from tests.fake import kinds, threaded


def test_cluster_answers_and_can_be_changed_when_it_runs_in_a_thread() -> None:
    with threaded.running() as cluster:
        item = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "default"},
        }
        created = cluster.call(lambda inside: inside.create(item))
        path = kinds.CONFIG_MAPS.path("default", "a")
        with urllib.request.urlopen(cluster.url + path, timeout=10) as answer:
            assert json.load(answer) == created
