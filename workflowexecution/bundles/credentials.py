"""Who we are at a registry, as `docker login` has left it.

Source: `docs/reference/commandline/login.md` of docker/cli for the file and for credential helpers.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflowexecution.bundles import errors

HELPER_DEADLINE_S = 30
DOCKER_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password, or its token."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """The value of a header `Authorization`."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find(host: str) -> Login | None:
    """The login for a registry; None if nobody has logged in there.

    Raises:
        RegistryError: the file or a credential helper does not answer as it must.
    """
    folder = os.environ.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        message = f"{path}: {error}"
        raise errors.RegistryError(message) from error
    if not isinstance(config, dict):
        message = f"{path}: an object is wanted"
        raise errors.RegistryError(message)
    for key in _keys(host):
        helpers = _object(path, config, "credHelpers")
        helper = _text(path, helpers, key, "credHelpers.") or _text(path, config, "credsStore")
        found = _stored(path, config, key) or (_helped(helper, key) if helper else None)
        if found is not None:
            return found
    return None


def _keys(host: str) -> tuple[str, ...]:
    return (
        (host, f"https://{host}", DOCKER_HUB) if host == "docker.io" else (host, f"https://{host}")
    )


def _stored(path: Path, config: dict[str, Any], key: str) -> Login | None:
    entry = _object(path, _object(path, config, "auths"), key, "auths.")
    auth = _text(path, entry, "auth", f"auths.{key}.")
    if not auth:
        return None
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    # Of what is not base64, and of bytes that are no text.
    except ValueError as error:
        message = f"{path}: auths.{key}.auth is not base64: {error}"
        raise errors.RegistryError(message) from error
    return Login(user, password)


def _object(path: Path, owner: dict[str, Any], key: str, where: str = "") -> dict[str, Any]:
    """An object of the file; an empty one where there is none."""
    found = owner.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        message = f"{path}: {where}{key} is not an object"
        raise errors.RegistryError(message)
    return found


def _text(path: Path, owner: dict[str, Any], key: str, where: str = "") -> str:
    """A text of the file; empty where there is none."""
    found = owner.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        message = f"{path}: {where}{key} is not text"
        raise errors.RegistryError(message)
    return found


def _helped(helper: str, key: str) -> Login | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key,
            capture_output=True,
            text=True,
            timeout=HELPER_DEADLINE_S,
            check=False,
        )
        if done.returncode != 0:
            # Helpers end so when they have nothing for this registry.
            return None
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
        if isinstance(user, str) and isinstance(secret, str):
            return Login(user, secret)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        message = f"{program}: {error!r}"
        raise errors.RegistryError(message) from error
    message = f"{program}: Username and Secret are not text"
    raise errors.RegistryError(message)
