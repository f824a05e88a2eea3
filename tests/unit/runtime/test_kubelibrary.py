import importlib.util
import json
import subprocess
import sys

import pytest

from workflowexecution.runtime import kubelibrary

MEASURE = """
import json, sys

def rss_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6

import aiohttp, orjson, structlog, yaml
modules, before = len(sys.modules), rss_mb()
from workflowexecution.runtime import kubelibrary
found = kubelibrary.load()
after = rss_mb()
left = [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
print(json.dumps({"mb": after - before, "modules": len(sys.modules) - modules, "left": left}))
"""

FULL_IMPORT = """
from workflowexecution.runtime import kubelibrary
kubelibrary.load()
import kubernetes_asyncio
from kubernetes_asyncio import client, config
assert kubernetes_asyncio.__version__
assert config.kube_config.ApiClient is client.ApiClient
assert client.CoreV1Api and client.Configuration()
"""

FULL_IMPORT_FIRST = """
import kubernetes_asyncio
from workflowexecution.runtime import kubelibrary
assert kubelibrary.load().configuration is kubernetes_asyncio.client.configuration
assert kubernetes_asyncio.config.load_kube_config
"""


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_stays_small_and_leaves_nothing_behind() -> None:
    measured = json.loads(run(MEASURE))
    assert measured["left"] == []
    assert measured["modules"] < 150
    assert measured["mb"] < 10


@pytest.mark.parametrize("script", [FULL_IMPORT, FULL_IMPORT_FIRST], ids=["after", "before"])
def test_full_import_works_beside_it(script: str) -> None:
    run(script)


def test_load_gives_the_same_modules_each_time() -> None:
    assert kubelibrary.load() is kubelibrary.load()


def test_load_raises_when_the_library_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        return None

    kubelibrary.load.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    with pytest.raises(ImportError, match="not installed"):
        kubelibrary.load()


def test_load_uses_the_whole_library_when_it_is_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = kubelibrary.load()
    for name in ("client.configuration", "config.kube_config",
                 "config.incluster_config", "config.config_exception"):  # fmt: skip
        module = getattr(before, name.rpartition(".")[2])
        monkeypatch.setitem(sys.modules, f"kubernetes_asyncio.{name}", module)
    for name in ("kubernetes_asyncio", "kubernetes_asyncio.client", "kubernetes_asyncio.config"):
        monkeypatch.setitem(sys.modules, name, before.configuration)
    kubelibrary.load.cache_clear()
    assert kubelibrary.load() == before
