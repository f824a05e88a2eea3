"""The part of kubernetes_asyncio that is used: the configuration and its loaders.

Importing it the usual way loads some 860 modules and 38 MB (a process with aiohttp then has 72 MB
instead of 34), since its packages import all of the generated API. So the few modules needed are
imported under bare packages, which are taken away again; that costs 3 MB.
"""

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any

_ROOT = "kubernetes_asyncio"
_CLIENT = f"{_ROOT}.client"
_CONFIG = f"{_ROOT}.config"


@dataclasses.dataclass(frozen=True, slots=True)
class Library:
    """The modules that are used."""

    configuration: Any
    kube_config: Any
    incluster_config: Any
    config_exception: Any


@functools.cache
def load() -> Library:
    """Import what is needed, once.

    Not for two threads at once: a full import in another thread at the same moment could meet the
    bare packages.

    Raises:
        ImportError: kubernetes_asyncio is not installed.
    """
    with contextlib.nullcontext() if _ROOT in sys.modules else _bare_packages():
        return Library(
            configuration=importlib.import_module(f"{_CLIENT}.configuration"),
            kube_config=importlib.import_module(f"{_CONFIG}.kube_config"),
            incluster_config=importlib.import_module(f"{_CONFIG}.incluster_config"),
            config_exception=importlib.import_module(f"{_CONFIG}.config_exception"),
        )


@contextlib.contextmanager
def _bare_packages() -> Iterator[None]:
    """Let submodules be imported without running the `__init__` of their packages.

    Everything imported meanwhile is taken out of `sys.modules` again: whoever imports the library
    later gets it whole, with classes of its own.
    """
    spec = importlib.util.find_spec(_ROOT)
    if spec is None or spec.origin is None:
        message = f"{_ROOT} is not installed"
        raise ImportError(message)
    root = pathlib.Path(spec.origin).parent
    for name, folder in ((_ROOT, root), (_CLIENT, root / "client"), (_CONFIG, root / "config")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    try:
        # The loaders take both names from the client package; ApiClient only to build one, which
        # is not asked of them.
        configuration = importlib.import_module(f"{_CLIENT}.configuration")
        client = vars(sys.modules[_CLIENT])
        client.update(Configuration=configuration.Configuration, ApiClient=object)
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _ROOT]:
            del sys.modules[name]
