"""The image: what it says of itself, what is in it, and that it is the same each time."""

from __future__ import annotations

import json
import re
import tarfile
from typing import Any

import pytest

from tests.stack import imagebuild

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

MAX_MB = 200


@pytest.fixture(scope="module")
def image() -> imagebuild.Built:
    return imagebuild.build("v0.1.0", version="0.1.0")


def config(image: imagebuild.Built) -> dict[str, Any]:
    with tarfile.open(image.archive) as opened:
        member = opened.extractfile(image.digest)
        assert member is not None
        found: dict[str, Any] = json.load(member)
    return found


def files(image: imagebuild.Built) -> set[str]:
    """Every path of every layer."""
    found = set()
    with tarfile.open(image.archive) as opened:
        for layer in image.layers:
            with tarfile.open(fileobj=opened.extractfile(layer)) as content:
                found |= {f"/{name.lstrip('./')}" for name in content.getnames()}
    return found


def test_image_says_what_it_is_and_runs_as_nobody(image: imagebuild.Built) -> None:
    said = config(image)["config"]
    assert said["User"] == "65532:65532"
    assert said["Entrypoint"] == ["python3", "-P", "-m", "workflowexecution"]
    assert said["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert said["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_image_has_no_shell_and_nothing_to_install_with(image: imagebuild.Built) -> None:
    found = files(image)
    assert "/opt/app/workflowexecution/cli.py" in found
    assert not [path for path in found if re.search(r"bin/(ba|da|z)?sh$|busybox", path)]
    assert not [path for path in found if "/pip/" in path or path.startswith("/opt/app/setuptools")]


def test_image_has_what_is_locked_and_nothing_else(image: imagebuild.Built) -> None:
    lock = (imagebuild.ROOT / "requirements/tracing.txt").read_text("utf-8")
    locked = {name.replace("-", "_") for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    pattern = re.compile(r"/opt/app/([\w.]+)-[^/-]+\.dist-info$")
    found = {it[1].lower() for path in files(image) if (it := pattern.match(path))}
    # Some are for other systems.
    assert found - {"workflowexecution"} <= locked
    assert {"aiohttp", "pydantic", "orjson"} <= found


def test_image_is_small(image: imagebuild.Built) -> None:
    assert image.size < MAX_MB * 1e6


def test_image_is_the_same_when_it_is_built_again(image: imagebuild.Built) -> None:
    again = imagebuild.build("v0.1.0", version="0.1.0", anew=True)
    assert (again.digest, again.layers) == (image.digest, image.layers)
