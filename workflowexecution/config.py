"""Reads the settings: from the YAML file, the environment and the flags, all faults at once.

Sources, the later ones win: defaults, the file, the environment (`WE_<SECTION>_<KEY>`), the flags.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import pydantic
import yaml
from pydantic.alias_generators import to_snake

from workflowexecution import settingkeys, settings
from workflowexecution.runtime import filestate

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from pydantic.fields import FieldInfo

DEFAULT_PATH = Path("/etc/workflowexecution/config.yaml")
ENV_PREFIX = "WE"
ENV_COOLDOWN = "WE_COOLDOWN_PERIOD"


class ConfigurationError(Exception):
    """The settings cannot be used.

    Attributes:
        problems: one sentence each, every one naming its key.
    """

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem, so that a user mends them in one go."""
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(slots=True)
class Source:
    """Where the settings of a process come from.

    Attributes:
        path: the YAML file; None takes `DEFAULT_PATH` where that exists.
        flags: as `load` takes them.
        environ: the process's environment.
        loaded: the file's state before it was last read, so that no edit is ever missed: one that
            comes meanwhile is read again.
    """

    path: Path | None
    flags: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    loaded: filestate.State | None = field(default=None, init=False)

    @property
    def file(self) -> Path:
        """The file, be it there or not."""
        return self.path or DEFAULT_PATH

    def state(self) -> filestate.State | None:
        """What changes with the file; None while it cannot be looked at."""
        try:
            return filestate.state(self.file)
        except OSError:
            return None

    def load(self) -> settings.Settings:
        """Read and check the settings as they are now.

        Raises:
            ConfigurationError: with every problem of every source at once.
        """
        self.loaded = self.state()
        return load(self.path, self.environ, self.flags)

    def strangers(self) -> list[str]:
        """Variables of the environment that begin as a setting's and are none.

        They may be another program's: in a pod Kubernetes names some after each Service, as
        `WE_SERVICE_HOST` after one of the name `we`.
        """
        prefix = f"{ENV_PREFIX}_"
        known = _known_variables()
        return [it for it in sorted(self.environ) if it.startswith(prefix) and it not in known]

    def reload(self, running: settings.Settings) -> tuple[settings.Settings, list[str]]:
        """What the running settings become, and which keys that differ take a restart.

        Raises:
            ConfigurationError: there is no file now, or it cannot be used, or what is reloaded of
                it does not go with what is not.
        """
        # By its name: of a file that goes meanwhile the defaults would be taken, unrestricted.
        wished = load(self.file, self.environ, self.flags)
        try:
            return settingkeys.reloaded(running, wished)
        except pydantic.ValidationError as error:
            problems = [_describe(detail, {}) for detail in error.errors(include_url=False)]
            raise ConfigurationError(problems) from error


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> settings.Settings:
    """Read and check the settings.

    Args:
        path: the YAML file; None takes `DEFAULT_PATH` where that exists.
        environ: the process's environment.
        flags: dotted keys, as `controller.workers`, to values of the command line.

    Raises:
        ConfigurationError: with every problem of every source at once.
    """
    problems: list[str] = []
    wished = _read_file(path, problems)
    origins = {}
    for key, name, value in _from_environ(environ, problems):
        _put(wished, key, value)
        origins[key] = name
    for key, value in (flags or {}).items():
        _put(wished, key, value)
        origins.pop(key, None)
    try:
        found = settings.Settings(**wished)
    except pydantic.ValidationError as error:
        problems += [_describe(detail, origins) for detail in error.errors(include_url=False)]
        raise ConfigurationError(problems) from error
    if problems:
        raise ConfigurationError(problems)
    return found


def env_name(key: str) -> str:
    """Name of the environment variable of a dotted key: WE_EXECUTION_DEFAULT_TIMEOUT."""
    return "_".join([ENV_PREFIX, *(to_snake(part).upper() for part in key.split("."))])


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which the first would count for nothing.

    A value that only looks like a date or a number, the library fails at in many ways.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - as yaml
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
            problem = f"{node.value!r} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                problem = f"{name} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)
        # What is no text (`on`, `1`) is no setting either, and is told by its name.
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


def _read_file(path: Path | None, problems: list[str]) -> dict[str, Any]:
    chosen = path or DEFAULT_PATH
    if path is None and not _is_there(chosen):
        return {}
    try:
        document = yaml.load(chosen.read_text("utf-8"), _StrictLoader)
    except OSError as error:
        problems.append(f"--config: cannot read {chosen}: {error.strerror}")
        return {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.append(f"--config: {chosen} is not YAML: {' '.join(str(error).split())}")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"--config: {chosen} must hold a mapping of sections")
        return {}
    found = {}
    for key, value in document.items():
        if key not in settings.Settings.model_fields:
            # What reads the sections takes one in another case for the section, or in its place.
            problems.append(f"{key}: no such setting{_meant(key)}")
        elif value is None or isinstance(value, dict):
            found[key] = value
        else:
            problems.append(f"{key}: must be a mapping of settings")
    return found


def _is_there(path: Path) -> bool:
    """Whether there is a file, be it one that can be looked at or not."""
    try:
        os.stat(path)  # noqa: PTH116 - Path.exists raises of some errors what reading tells better
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _meant(key: str) -> str:
    """Which section a key may have been meant for."""
    plain = key.replace("_", "").replace("-", "").lower()
    near = difflib.get_close_matches(plain, settings.Settings.model_fields, n=1)
    return f"; there is {near[0]}" if near else ""


def _known_variables() -> dict[str, tuple[str, FieldInfo]]:
    """The key and the field of each variable."""
    known = {env_name(key): (key, field) for key, field in settingkeys.known_keys()}
    known[ENV_COOLDOWN] = known[env_name("execution.cooldownPeriod")]
    return known


def _from_environ(
    environ: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, str, Any]]:
    known = _known_variables()
    sections = tuple(
        f"{ENV_PREFIX}_{section.upper()}_" for section in settings.Settings.model_fields
    )
    for name in sorted(environ):
        if name not in known:
            if name.startswith(sections):
                problems.append(f"{name}: no such setting")
            continue
        key, field = known[name]
        value: Any = environ[name]
        if get_origin(field.annotation) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
            if not value:
                # Taken as it is, it would put "any" or "none" in the place of the file's list.
                problems.append(f"{name}: must name something; unset it for the file's list")
                continue
        yield key, name, value


def _put(wished: dict[str, Any], key: str, value: object) -> None:
    """Set one key in place of what an earlier source says of it."""
    *sections, name = key.split(".")
    for section in sections:
        earlier = wished.get(section)
        # A copy: one mapping of the file may stand for several sections, by an alias of YAML.
        wished[section] = dict(earlier) if isinstance(earlier, dict) else {}
        wished = wished[section]
    wished[name] = value


def _describe(detail: Any, origins: Mapping[str, str]) -> str:  # noqa: ANN401 - ErrorDetails
    """One sentence that begins with the key, whichever level of the settings found the fault."""
    key = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "no such setting"
    elif detail["type"] == "value_error" and not _is_leaf(key):
        # A check over several settings names its own key, relative to where it stands.
        return f"{key}.{message}" if key else message
    origin = next(
        (name for of, name in origins.items() if key == of or key.startswith(f"{of}.")), ""
    )
    return f"{key}{f' ({origin})' if origin else ''}: {message}"


def _is_leaf(key: str) -> bool:
    return any(key == known or key.startswith(f"{known}.") for known, _ in settingkeys.known_keys())
