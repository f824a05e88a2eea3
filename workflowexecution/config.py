"""The settings of the program: read once, checked together, frozen.

Only `cli` and `app` see this module; every other part is handed the values it needs. Sources, the
later ones win: defaults, the YAML file, the environment (`WE_<SECTION>_<KEY>`), the flags.

Source: configuration interface of the project (docs/configuration.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_origin

import pydantic
import pydantic_settings
import yaml
from pydantic import Field
from pydantic.alias_generators import to_camel, to_snake

from workflowexecution.api import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

DEFAULT_PATH = Path("/etc/workflowexecution/config.yaml")
ENV_PREFIX = "WE"
ENV_COOLDOWN = "WE_COOLDOWN_PERIOD"
MIN_RUN_RETENTION_S = 90.0
REQUEST_DEADLINE_S = 15.0
RETRY_JITTER = 1.2

_NOT_OBEYED = (
    "audit.",
    "backoff.",
    "controller.lease",
    "controller.leaderElectionId",
    "controller.leaderElectionNamespace",
    "controller.metrics",
    "controller.renewDeadline",
    "controller.retryPeriod",
    "datastorage.",
    "execution.cooldownPeriod",
    "execution.logTail",
    "limits.auditBeforeDeletion",
    "limits.deadlineGrace",
    "limits.stallAfter",
)
"""Accepted and checked, so that a configuration can be written for what is to come."""


def _one_replica(wished: bool) -> bool:
    if wished:
        msg = "not in this version; run one replica"
        raise ValueError(msg)
    return wished


Seconds = Annotated[float, pydantic.BeforeValidator(duration.seconds_of)]
Positive = Annotated[Seconds, Field(gt=0)]
NotNegative = Annotated[Seconds, Field(ge=0)]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
OptionalDnsLabel = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")]
DnsName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Address = Annotated[str, Field(pattern=r"^[^\s:]*:[0-9]{1,5}$|^\[[0-9a-fA-F:]+\]:[0-9]{1,5}$")]


class ConfigurationError(Exception):
    """The settings cannot be used.

    Attributes:
        problems: one sentence each, every one naming its key.
    """

    def __init__(self, problems: list[str]) -> None:
        """Keep every problem, so that a user mends them in one go."""
        self.problems = problems
        super().__init__("; ".join(problems))


class _Section(pydantic.BaseModel):
    """Keys are camelCase in the file; a key nobody knows is an error."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Execution(_Section):
    """Where and how runs are started."""

    namespace: DnsLabel = "kubernaut-workflows"
    """Namespace of every PipelineRun; a run's name there is the lock of its target."""
    service_account: DnsName = "kubernaut-workflow-runner"
    """Account of the steps, unless an execution names another one that is allowed."""
    default_timeout: Annotated[Seconds, Field(ge=1, le=86400)] = 1800.0
    """Whole duration of a run whose execution sets none."""
    run_retention: NotNegative = 300.0
    """How long a finished run is kept for people to look at; 0 keeps it with its execution."""
    require_digest: bool = False
    """Refuse an execution whose bundle is not pinned by a digest."""
    suspend: bool = False
    """Start nothing new; what runs goes on."""
    allowed_bundles: tuple[str, ...] = ()
    """Prefixes of bundle references that may run; empty allows any."""
    allowed_service_accounts: tuple[DnsName, ...] = ("kubernaut-workflow-runner",)
    """Accounts an execution may choose: whoever writes executions would own every other one too."""
    cooldown_period: NotNegative = 300.0
    """After a completed run, how long the same workflow is refused on the same target."""
    log_tail: bool = True
    """Keep the end of a failing step's log as evidence."""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if 0 < self.run_retention < MIN_RUN_RETENTION_S:
            msg = f"runRetention: must be 0 or at least {MIN_RUN_RETENTION_S:.0f}s"
            raise ValueError(msg)
        if self.service_account not in self.allowed_service_accounts:
            msg = f"serviceAccount: {self.service_account!r} is not in allowedServiceAccounts"
            raise ValueError(msg)
        return self


class Backoff(_Section):
    """How often a target may be tried again after a failure that changed nothing."""

    base_cooldown: NotNegative = 60.0
    """Wait after the first failure; 0 turns the back-off off."""
    max_cooldown: NotNegative = 600.0
    """Longest wait."""
    max_exponent: Annotated[int, Field(ge=1, le=10)] = 4
    """The wait doubles at most this often."""
    max_consecutive_failures: Annotated[int, Field(ge=0)] = 5
    """After this many failures in a row a person is needed; 0 never asks for one."""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if self.max_cooldown < self.base_cooldown:
            msg = "maxCooldown: must not be shorter than baseCooldown"
            raise ValueError(msg)
        return self


class Audit(_Section):
    """What is sent to the audit store, and how it is spelled."""

    sink: Literal["http", "log", "none"] | None = None
    """None takes http when datastorage.url is set, else log."""
    dialect: Literal["december", "current"] = "december"
    category: Annotated[str, Field(min_length=1, max_length=50)] = "workflowexecution"
    skipped_outcome: Annotated[str, Field(min_length=1, max_length=50)] = "success"


class Buffer(_Section):
    """Audit events on their way."""

    buffer_size: Annotated[int, Field(ge=1)] = 10000
    batch_size: Annotated[int, Field(ge=1, le=500)] = 100
    flush_interval: Positive = 1.0
    max_retries: Annotated[int, Field(ge=0)] = 3


class DataStorage(_Section):
    """The audit store."""

    url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    timeout: Positive = 10.0
    token_file: str = ""
    ca_file: str = ""
    buffer: Buffer = Buffer()


class MetricsTLS(_Section):
    """Certificate of the metrics port; both files or neither."""

    cert_file: str = ""
    key_file: str = ""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            msg = "certFile: goes with keyFile"
            raise ValueError(msg)
        return self


class Controller(_Section):
    """The process itself."""

    instance: LabelValue = ""
    """Value of the label kubernaut.ai/instance of the executions that are served."""
    watch_namespace: OptionalDnsLabel = ""
    """Serve the executions of this namespace only; empty serves all."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many executions are worked on at once."""
    health_probe_addr: Address = ":8081"
    """Where /healthz and /readyz answer."""
    metrics_addr: Address = ":9090"
    """Where /metrics answers."""
    metrics_auth: bool = True
    """Ask the apiserver who may read the metrics."""
    metrics_tls: Annotated[MetricsTLS, Field(alias="metricsTLS")] = MetricsTLS()
    leader_election: Annotated[bool, pydantic.AfterValidator(_one_replica)] = False
    """Only the holder of the lease acts; needed for more than one replica."""
    leader_election_id: DnsName = "workflowexecution.kubernaut.ai"
    leader_election_namespace: OptionalDnsLabel = ""
    """Empty: the pod's own namespace, outside a cluster kubernaut-system."""
    lease_duration: Positive = 15.0
    renew_deadline: Positive = 10.0
    retry_period: Positive = 2.0
    shutdown_grace: Positive = 30.0
    """How long running reconciles may take to end after SIGTERM."""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if self.lease_duration <= self.renew_deadline:
            msg = "leaseDuration: must be longer than renewDeadline"
            raise ValueError(msg)
        if self.renew_deadline <= RETRY_JITTER * self.retry_period:
            msg = f"renewDeadline: must be longer than retryPeriod x {RETRY_JITTER}"
            raise ValueError(msg)
        return self


class Limits(_Section):
    """Bounds on waiting."""

    deadline_grace: NotNegative = 120.0
    """How long Tekton may be late in ending a run that is over its timeout."""
    stall_after: Positive = 600.0
    """A run that does not change for this long is said to make no progress."""
    deletion_give_up: Positive = 600.0
    """How long a deleted execution waits for its run to go."""
    audit_before_deletion: NotNegative = 300.0
    """How long a deleted execution waits for its audit records to be acknowledged."""

    resync_period: Annotated[Seconds, Field(ge=10)] = 600.0
    """Every execution is looked at again this often, spread over the period."""
    watch_idle: Annotated[Seconds, Field(ge=5)] = 90.0
    """A watch that is silent for this long (bookmarks included) is replaced."""
    create_retry_for: Positive = 600.0
    """How long a run's create is retried while its failure looks passing."""


class Logging(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(pydantic_settings.BaseSettings):
    """All settings."""

    model_config = pydantic_settings.SettingsConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    execution: Execution = Execution()
    backoff: Backoff = Backoff()
    audit: Audit = Audit()
    datastorage: DataStorage = DataStorage()
    controller: Controller = Controller()
    limits: Limits = Limits()
    logging: Logging = Logging()

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        kept = self.execution.run_retention
        late = self.controller.lease_duration + REQUEST_DEADLINE_S
        if 0 < kept <= late:
            # The kept run is the tombstone that a late create of a former leader meets.
            msg = f"execution.runRetention: must be longer than {late:.0f}s here"
            raise ValueError(msg)
        return self

    def without_effect(self) -> list[str]:
        """Keys that were set though nothing in this version obeys them yet."""
        return sorted(key for key in _set_keys(self, "") if key.startswith(_NOT_OBEYED))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Take what `load` hands in and nothing behind its back: it merges the sources itself."""
        return (init_settings,)


def _set_keys(section: pydantic.BaseModel, prefix: str) -> Iterator[str]:
    for name in section.model_fields_set:
        value = getattr(section, name)
        key = prefix + (type(section).model_fields[name].alias or to_camel(name))
        if isinstance(value, _Section):
            yield from _set_keys(value, f"{key}.")
        else:
            yield key


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read and check the settings.

    Args:
        path: the YAML file; None takes `DEFAULT_PATH` where that exists.
        environ: the process's environment.
        flags: dotted keys, as `controller.workers`, to values of the command line.

    Raises:
        ConfigurationError: with every problem of every source at once.
    """
    problems: list[str] = []
    merged = _read_file(path, problems)
    origins = {}
    for key, name, value in _from_environ(environ, problems):
        _put(merged, key, value)
        origins[key] = name
    for key, value in (flags or {}).items():
        _put(merged, key, value)
        origins.pop(key, None)
    try:
        settings = Settings.model_validate(merged)
    except pydantic.ValidationError as error:
        problems += [_describe(detail, origins) for detail in error.errors(include_url=False)]
        raise ConfigurationError(problems) from error
    if problems:
        raise ConfigurationError(problems)
    return settings


def keys() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as its dotted camelCase key, with its field."""
    return _keys_of(Settings, "")


def env_name(key: str) -> str:
    """Name of the environment variable of a dotted key: WE_EXECUTION_DEFAULT_TIMEOUT."""
    return "_".join([ENV_PREFIX, *(to_snake(part).upper() for part in key.split("."))])


def _keys_of(model: type[pydantic.BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or to_camel(name))
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Section):
            yield from _keys_of(kind, f"{key}.")
        else:
            yield key, field


def _read_file(path: Path | None, problems: list[str]) -> dict[str, Any]:
    chosen = path or DEFAULT_PATH
    if path is None and not chosen.exists():
        return {}
    try:
        document = yaml.safe_load(chosen.read_text("utf-8"))
    except OSError as error:
        problems.append(f"--config: cannot read {chosen}: {error.strerror}")
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"--config: {chosen} is not YAML: {' '.join(str(error).split())}")
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(f"--config: {chosen} must hold a mapping of sections")
        return {}
    return document


def _from_environ(
    environ: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, str, Any]]:
    known = {env_name(key): (key, field) for key, field in keys()}
    known[ENV_COOLDOWN] = known[env_name("execution.cooldownPeriod")]
    sections = tuple(f"{ENV_PREFIX}_{section.upper()}_" for section in Settings.model_fields)
    for name in sorted(environ):
        if name not in known:
            if name.startswith(sections):
                problems.append(f"{name}: no such setting")
            continue
        key, field = known[name]
        value: Any = environ[name]
        if get_origin(field.annotation) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
        yield key, name, value


def _put(merged: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401 - raw YAML
    *sections, name = key.split(".")
    inner: Any = merged
    for section in sections:
        if not isinstance(inner, dict):
            # The file holds no mapping here; the check of the whole says so with its key.
            return
        if inner.get(section) is None:
            inner[section] = {}
        inner = inner[section]
    if isinstance(inner, dict):
        inner[name] = value


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
    return any(key == known or key.startswith(f"{known}.") for known, _ in keys())
