"""The registry that bundles are pushed to, on loopback, where plain HTTP is spoken."""

from pathlib import Path

import yaml

from tests.stack import api, debian
from tests.stack.process import Spec
from tests.stack.settings import Settings


def spec(settings: Settings) -> Spec:
    """Return the registry's process."""
    config = settings.run_dir / "registry.yaml"
    return Spec(
        name="registry",
        argv=(debian.find("docker-registry"), "serve", str(config)),
        missing=lambda: api.answers(f"http://{settings.registry}/v2/"),
    )


def prepare(settings: Settings) -> None:
    """Write the registry's configuration."""
    document = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(_storage(settings))},
            "delete": {"enabled": True},
        },
        "http": {"addr": settings.registry},
    }
    (settings.run_dir / "registry.yaml").write_text(yaml.safe_dump(document))


def _storage(settings: Settings) -> Path:
    return settings.run_dir / "registry"
