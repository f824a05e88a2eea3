"""The settings of the program: what they mean, their units and defaults; frozen.

Only `cli`, `config`, `app`, the package `wiring` and the commands that run beside the controller
see this module; every other part is handed the values it needs.
"""

from __future__ import annotations

import urllib.parse
from typing import Annotated, Literal, Self

import pydantic
import pydantic_settings
from pydantic import Field
from pydantic.alias_generators import to_camel

from workflowexecution import ports
from workflowexecution.api import duration, formats, reference
from workflowexecution.runtime import lease

MIN_RUN_RETENTION_S = 90.0
MAX_PORT = 65535
MAX_WORKERS = 256
MAX_S = 366 * 86400.0

_EVERYWHERE = frozenset({"0.0.0.0", "[::]"})


def _port(address: str) -> str:
    if int(address.rpartition(":")[2]) > MAX_PORT:
        msg = f"its port must not be above {MAX_PORT}"
        raise ValueError(msg)
    return address


def _url(text: str) -> str:
    """What a request can be sent to; the text may hold a password, so nothing of it is told."""
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        msg = f"its host or its port cannot be read; a port is 1 to {MAX_PORT}"
        raise ValueError(msg) from None
    if text and not host:
        msg = "must name a host"
        raise ValueError(msg)
    if port == 0:
        msg = "its port must not be 0"
        raise ValueError(msg)
    return text


def _meet(one: str, other: str) -> bool:
    """Whether two addresses cannot be listened at together; port 0 is any that is free."""
    (host, _, port), (their_host, _, their_port) = one.rpartition(":"), other.rpartition(":")
    if int(port) != int(their_port) or int(port) == 0:
        return False
    if host == their_host or "" in {host, their_host}:
        return True
    is_one_family = host.startswith("[") == their_host.startswith("[")
    return is_one_family and bool(_EVERYWHERE & {host, their_host})


def _prefix(text: str) -> str:
    if not reference.is_prefix(text):
        msg = "no image reference begins so"
        raise ValueError(msg)
    return text


def _tombstone(kept_s: float) -> float:
    """The kept run is what a create that comes late meets."""
    if 0 < kept_s < MIN_RUN_RETENTION_S:
        msg = f"must be 0 or at least {MIN_RUN_RETENTION_S:.0f}s"
        raise ValueError(msg)
    return kept_s


Seconds = Annotated[float, pydantic.BeforeValidator(duration.seconds_of), Field(le=MAX_S)]
Positive = Annotated[Seconds, Field(gt=0)]
NotNegative = Annotated[Seconds, Field(ge=0)]
RunTimeout = Annotated[Seconds, Field(ge=formats.MIN_TIMEOUT_S, le=formats.MAX_TIMEOUT_S)]
DnsLabel = Annotated[str, Field(pattern=rf"^{formats.LABEL}$")]
OptionalDnsLabel = Annotated[str, Field(pattern=rf"^({formats.LABEL})?$")]
DnsName = Annotated[str, Field(max_length=formats.MAX_NAME, pattern=rf"^{formats.SUBDOMAIN}$")]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Address = Annotated[
    str,
    Field(pattern=r"^[^\s:]*:[0-9]{1,5}$|^\[[0-9a-fA-F:]+\]:[0-9]{1,5}$"),
    pydantic.AfterValidator(_port),
]
Url = Annotated[str, Field(pattern=r"^(https?://\S+)?$"), pydantic.AfterValidator(_url)]
Prefix = Annotated[str, Field(min_length=1, pattern=r"^\S*$"), pydantic.AfterValidator(_prefix)]


class Section(pydantic.BaseModel):
    """Keys are camelCase in the file; a key nobody knows is an error."""

    model_config = pydantic.ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        """Take a section with nothing in it, which is read as null, for one of defaults."""
        return {} if value is None else value


class Execution(Section):
    """Where and how runs are started."""

    namespace: DnsLabel = "kubernaut-workflows"
    """Namespace of every PipelineRun; a run's name there is the lock of its target."""
    service_account: DnsName = "kubernaut-workflow-runner"
    """Account of the steps, unless an execution names another one that is allowed."""
    default_timeout: RunTimeout = 1800.0
    """Whole duration of a run whose execution sets none."""
    run_retention: Annotated[NotNegative, pydantic.AfterValidator(_tombstone)] = 300.0
    """How long a finished run is kept for people to look at; 0 keeps it with its execution."""
    require_digest: bool = False
    """Refuse an execution whose bundle is not pinned by a digest."""
    suspend: bool = False
    """Start nothing new; what runs goes on."""
    allowed_bundles: tuple[Prefix, ...] = ()
    """Prefixes of bundle references that may run; empty allows any."""
    allowed_service_accounts: tuple[DnsName, ...] = ("kubernaut-workflow-runner",)
    """Further accounts an execution may choose: who writes executions would own every other one."""
    cooldown_period: NotNegative = 300.0
    """After a completed run, how long the same workflow is refused on the same target."""
    log_tail: bool = True
    """Keep the end of a failing step's log as evidence."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account that an execution may name; without a name it gets the first one anyway."""
        return tuple(dict.fromkeys([self.service_account, *self.allowed_service_accounts]))


class Backoff(Section):
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


class Audit(Section):
    """What is sent to the audit store, and how it is spelled."""

    sink: Literal["http", "log", "none"] | None = None
    """None takes http when datastorage.url is set, else log."""
    dialect: Literal["december", "current"] = "december"
    """Which server reads the records: `current` takes fewer types and values."""
    category: Annotated[str, Field(min_length=1, max_length=50)] = "workflowexecution"
    """Must be one that the server takes."""
    skipped_outcome: Annotated[str, Field(min_length=1, max_length=20)] = "success"
    """Outcome of a skipped execution: `skipped` only where the server takes it."""


class Buffer(Section):
    """Audit events on their way."""

    buffer_size: Annotated[int, Field(ge=1)] = 10000
    """What finds no room is due all the same, and read again from the API later."""
    batch_size: Annotated[int, Field(ge=1, le=500)] = 100
    """Records in one request."""
    flush_interval: Positive = 1.0
    """How long a record waits for others."""
    max_retries: Annotated[int, Field(ge=0)] = 3
    """Attempts of a batch after the first one, before it goes back to those that wait."""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if self.batch_size > self.buffer_size:
            msg = "batchSize: must not be larger than bufferSize"
            raise ValueError(msg)
        return self


class DataStorage(Section):
    """The audit store."""

    url: Url = ""
    timeout: Positive = 10.0
    """Of one request; one without an answer counts as undecided for three times as long."""
    token_file: str = ""
    """Holds the bearer token; read again each minute, and when it was rejected."""
    ca_file: str = ""
    """Certificates that are trusted; empty takes the system's."""
    buffer: Buffer = Buffer()

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if self.token_file and "@" in urllib.parse.urlsplit(self.url).netloc:
            msg = "tokenFile: does not go with a user in url; a request has one of the two"
            raise ValueError(msg)
        return self


class MetricsTLS(Section):
    """Certificate of the metrics port; both files or neither."""

    cert_file: str = ""
    key_file: str = ""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            msg = "certFile: goes with keyFile"
            raise ValueError(msg)
        return self


class Controller(Section):
    """The process itself."""

    instance: LabelValue = ""
    """Value of the label kubernaut.ai/instance of the executions that are served."""
    watch_namespace: OptionalDnsLabel = ""
    """Serve the executions of this namespace only; empty serves all."""
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 24
    """How many executions are worked on at once."""
    health_probe_addr: Address = ":8081"
    """Where /healthz and /readyz answer."""
    metrics_addr: Address = ":9090"
    """Where /metrics answers."""
    metrics_auth: bool = True
    """Ask the apiserver who may read the metrics."""
    metrics_tls: Annotated[MetricsTLS, Field(alias="metricsTLS")] = MetricsTLS()
    leader_election: bool = False
    """Only the holder of the lease acts; needed for more than one replica."""
    leader_election_id: DnsName = "workflowexecution.kubernaut.ai"
    """Name of the lease; as long as it is the default, that of an instance begins with its name."""
    leader_election_namespace: OptionalDnsLabel = ""
    """Empty: the pod's own namespace, outside a cluster kubernaut-system."""
    lease_duration: Positive = 15.0
    """Others wait so long without a sign of the holder before they act."""
    renew_deadline: Positive = 10.0
    """The holder stops to write so long after the start of its last good renewal, and ends."""
    retry_period: Positive = 2.0
    """How often the holder renews, and tries again."""
    shutdown_grace: Positive = 30.0
    """How long running reconciles may take to end after SIGTERM."""

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        if _meet(self.metrics_addr, self.health_probe_addr):
            msg = "metricsAddr: must not be where healthProbeAddr is"
            raise ValueError(msg)
        if self.lease_duration <= self.renew_deadline:
            msg = "leaseDuration: must be longer than renewDeadline"
            raise ValueError(msg)
        if self.renew_deadline <= lease.JITTER * self.retry_period:
            msg = f"renewDeadline: must be longer than retryPeriod x {lease.JITTER}"
            raise ValueError(msg)
        return self


class Limits(Section):
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


class Logging(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Tracing(Section):
    """Traces of executions, by OpenTelemetry."""

    endpoint: Url = ""
    """A collector that takes OTLP over HTTP; empty turns tracing off."""
    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Which part of the executions is traced."""


class Settings(pydantic_settings.BaseSettings):
    """All settings: what is given, and defaults; `config` looks for them elsewhere."""

    model_config = pydantic_settings.SettingsConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True
    )

    execution: Execution = Execution()
    backoff: Backoff = Backoff()
    audit: Audit = Audit()
    datastorage: DataStorage = DataStorage()
    controller: Controller = Controller()
    limits: Limits = Limits()
    logging: Logging = Logging()
    tracing: Tracing = Tracing()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[pydantic_settings.BaseSettings],
        init_settings: pydantic_settings.PydanticBaseSettingsSource,
        env_settings: pydantic_settings.PydanticBaseSettingsSource,
        dotenv_settings: pydantic_settings.PydanticBaseSettingsSource,
        file_secret_settings: pydantic_settings.PydanticBaseSettingsSource,
    ) -> tuple[pydantic_settings.PydanticBaseSettingsSource, ...]:
        """Only what is handed over: the library would take variables named as sections, too."""
        return (init_settings,)

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        kept = self.execution.run_retention
        late = self.controller.lease_duration + ports.CREATE_DEADLINE_S
        if 0 < kept <= late:
            # The kept run is the tombstone that a late create of a former leader meets.
            msg = f"execution.runRetention: must be longer than {late:.0f}s here"
            raise ValueError(msg)
        if self.audit.sink == "http" and not self.datastorage.url:
            msg = "datastorage.url: must be set when audit.sink is http"
            raise ValueError(msg)
        return self

    @property
    def audit_sink(self) -> Literal["http", "log", "none"]:
        """Where audit records go."""
        return self.audit.sink or ("http" if self.datastorage.url else "log")
