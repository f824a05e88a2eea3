"""What the settings mean: defaults, bounds, and what goes with what."""

from typing import Any

import pydantic
import pytest

from workflowexecution import settings
from workflowexecution.api import duration

DURATIONS = ["runRetention", "maxCooldown", "cooldownPeriod"]


def fault(document: dict[str, Any]) -> str:
    with pytest.raises(pydantic.ValidationError) as caught:
        settings.Settings.model_validate(document)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize("value", ['{"suspend": true}', "no JSON"])
def test_settings_are_what_is_given_whatever_stands_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EXECUTION", value)
    assert not settings.Settings().execution.suspend
    assert not settings.Settings.model_validate({}).execution.suspend


@pytest.mark.requirement(
    "WE-SERVICE", "Health/Ready Port: 8081 (/health, /ready - no auth required)"
)
def test_defaults_are_those_that_are_documented() -> None:
    found = settings.Settings()
    execution = found.execution
    assert execution.namespace == "kubernaut-workflows"
    assert execution.service_account == "kubernaut-workflow-runner"
    assert execution.allowed_service_accounts == ("kubernaut-workflow-runner",)
    assert (execution.default_timeout, execution.run_retention) == (1800, 300)
    assert (execution.cooldown_period, execution.allowed_bundles) == (300, ())
    assert (execution.require_digest, execution.suspend, execution.log_tail) == (False, False, True)
    backoff = found.backoff
    assert (backoff.base_cooldown, backoff.max_cooldown) == (60, 600)
    assert (backoff.max_exponent, backoff.max_consecutive_failures) == (4, 5)
    controller = found.controller
    assert (controller.health_probe_addr, controller.metrics_addr) == (":8081", ":9090")
    assert (controller.workers, controller.leader_election) == (24, False)
    assert controller.metrics_auth
    assert controller.leader_election_id == "workflowexecution.kubernaut.ai"
    assert (controller.lease_duration, controller.renew_deadline) == (15, 10)
    assert (controller.retry_period, controller.shutdown_grace) == (2, 30)


def test_defaults_of_limits_audit_and_logging_are_those_that_are_documented() -> None:
    found = settings.Settings()
    limits = found.limits
    assert (limits.deadline_grace, limits.stall_after, limits.resync_period) == (120, 600, 600)
    assert (limits.watch_idle, limits.create_retry_for) == (90, 600)
    assert (limits.deletion_give_up, limits.audit_before_deletion) == (600, 300)
    audit = found.audit
    assert (audit.sink, audit.dialect, audit.category) == (None, "december", "workflowexecution")
    assert audit.skipped_outcome == "success"
    store = found.datastorage
    assert (store.url, store.timeout, store.token_file, store.ca_file) == ("", 10, "", "")
    buffer = store.buffer
    assert (buffer.buffer_size, buffer.batch_size) == (10000, 100)
    assert (buffer.flush_interval, buffer.max_retries) == (1, 3)
    assert (found.logging.level, found.logging.format) == ("info", "json")


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("execution", "namespace", "Not_a_label", "String should match pattern"),
        ("execution", "namespace", "a.b", "String should match pattern"),
        ("execution", "serviceAccount", "O", "String should match pattern"),
        ("execution", "serviceAccount", "a..b", "String should match pattern"),
        ("execution", "serviceAccount", "a.-b", "String should match pattern"),
        ("execution", "serviceAccount", "a-.b", "String should match pattern"),
        ("execution", "serviceAccount", ".a", "String should match pattern"),
        ("execution", "serviceAccount", "a\n", "String should match pattern"),
        ("execution", "serviceAccount", "n" * 254, "at most 253 characters"),
        ("execution", "allowedServiceAccounts", ["a..b"], "String should match pattern"),
        ("controller", "leaderElectionId", "a..b", "String should match pattern"),
        ("execution", "defaultTimeout", "0s", "greater than or equal to 1"),
        ("execution", "defaultTimeout", "25h", "less than or equal to 86400"),
        ("execution", "runRetention", "89s", "must be 0 or at least 90s"),
        ("execution", "allowedBundles", [""], "at least 1 character"),
        ("execution", "allowedBundles", ["a b"], "String should match pattern"),
        ("execution", "allowedBundles", ["r.example:"], "no image reference begins so"),
        (
            "execution",
            "allowedBundles",
            ["a/", "https://r.example/"],
            "no image reference begins so",
        ),
        ("execution", "cooldownPeriod", float("inf"), "less than or equal to"),
        ("execution", "cooldownPeriod", float("nan"), "less than or equal to"),
        ("execution", "cooldownPeriod", True, "is not a duration"),
        ("execution", "cooldownPeriod", "8785h", "less than or equal to"),
        ("backoff", "maxCooldown", "59s", "maxCooldown: must not be shorter than baseCooldown"),
        ("backoff", "maxExponent", 11, "less than or equal to 10"),
        ("backoff", "maxExponent", 0, "greater than or equal to 1"),
        ("audit", "sink", "file", "Input should be 'http', 'log' or 'none'"),
        ("datastorage", "url", "ftp://x", "String should match pattern"),
        ("controller", "instance", "-a", "String should match pattern"),
        ("controller", "workers", 0, "greater than or equal to 1"),
        ("controller", "metricsAddr", "9090", "String should match pattern"),
        ("controller", "metricsAddr", ":8081", "metricsAddr: must not be where healthProbeAddr is"),
        ("controller", "metricsAddr", "[::]:8081", "metricsAddr: must not be where"),
        ("controller", "metricsAddr", "127.0.0.1:08081", "metricsAddr: must not be where"),
        ("controller", "healthProbeAddr", "127.0.0.1:9090", "metricsAddr: must not be where"),
        ("controller", "metricsAddr", ":65536", "its port must not be above 65535"),
        ("controller", "renewDeadline", "15s", "leaseDuration: must be longer than renewDeadline"),
        ("controller", "retryPeriod", "9s", "renewDeadline: must be longer than retryPeriod x 1.2"),
        ("controller", "renewDeadline", 2.4, "renewDeadline: must be longer than retryPeriod"),
        ("controller", "leaseDuration", "285s", "execution.runRetention: must be longer than 300s"),
        ("controller", "metricsTLS", {"keyFile": "/x"}, "certFile: goes with keyFile"),
        ("controller", "leaseDuration", "300s", "execution.runRetention: must be longer than 315s"),
        ("limits", "watchIdle", "4s", "greater than or equal to 5"),
        ("limits", "resyncPeriod", "9s", "greater than or equal to 10"),
        ("limits", "createRetryFor", 0, "greater than 0"),
    ],
    ids=lambda it: str(it)[:20],
)
def test_a_value_out_of_bounds_is_refused(
    section: str, key: str, value: object, message: str
) -> None:
    assert message in fault({section: {key: value}})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("execution", "namespace", "n" * 63),
        ("execution", "allowedBundles", ["registry.example/workflows/"]),
        ("execution", "allowedBundles", ["registry.example", "localhost:5000", "busybox:1.36"]),
        ("execution", "cooldownPeriod", "8784h"),
        ("execution", "runRetention", 0),
        ("execution", "runRetention", "90s"),
        ("execution", "allowedServiceAccounts", ["kubernaut-workflow-runner", "a.b"]),
        ("backoff", "baseCooldown", 0),
        ("backoff", "maxCooldown", "60s"),
        ("execution", "serviceAccount", "n" * 253),
        ("execution", "serviceAccount", "a.b-c.0"),
        ("controller", "instance", "Blue_1.a"),
        ("controller", "watchNamespace", "payment"),
        ("controller", "metricsAddr", ":65535"),
        ("controller", "metricsAuth", False),
        ("controller", "retryPeriod", 8),
        ("backoff", "maxConsecutiveFailures", 0),
        ("controller", "metricsAddr", "127.0.0.1:9090"),
        ("controller", "metricsAddr", "[::1]:9090"),
        ("controller", "metricsTLS", {"certFile": "/c", "keyFile": "/k"}),
        ("controller", "leaderElection", True),
        ("datastorage", "url", "https://store:8080"),
        ("limits", "deadlineGrace", 0),
    ],
    ids=lambda it: str(it)[:20],
)
def test_a_value_within_bounds_is_taken(section: str, key: str, value: object) -> None:
    found = settings.Settings.model_validate({section: {key: value}})
    taken = found.model_dump(mode="json", by_alias=True)[section][key]
    assert taken == (duration.seconds_of(value) if key in DURATIONS else value)


@pytest.mark.parametrize(
    ("probes", "metrics"),
    [
        pytest.param(":0", ":0", id="any-free-port"),
        pytest.param("127.0.0.1:9090", "127.0.0.2:9090", id="two-hosts"),
        pytest.param("0.0.0.0:9090", "[::1]:9090", id="two-families"),
        pytest.param("[::]:9090", "0.0.0.0:9090", id="all-of-two-families"),
    ],
)
def test_probes_and_metrics_are_taken_where_they_do_not_meet(probes: str, metrics: str) -> None:
    found = settings.Controller.model_validate({"healthProbeAddr": probes, "metricsAddr": metrics})
    assert (found.health_probe_addr, found.metrics_addr) == (probes, metrics)


def test_settings_never_change() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(settings.Settings().execution, "suspend", True)  # noqa: B010 - mypy forbids it too


def test_records_go_to_the_data_storage_where_there_is_one() -> None:
    assert settings.Settings().audit_sink == "log"
    stored = settings.Settings.model_validate({"datastorage": {"url": "http://x"}})
    assert stored.audit_sink == "http"
    none = stored.model_copy(update={"audit": settings.Audit(sink="none")})
    assert none.audit_sink == "none"


def test_a_data_storage_must_be_named_to_be_sent_to() -> None:
    said = fault({"audit": {"sink": "http"}})
    assert said == "datastorage.url: must be set when audit.sink is http"


def test_a_batch_fits_into_the_buffer() -> None:
    said = fault({"datastorage": {"buffer": {"bufferSize": 5, "batchSize": 6}}})
    assert said == "batchSize: must not be larger than bufferSize"


URLS = [("datastorage", "url"), ("tracing", "endpoint")]


@pytest.mark.parametrize(("section", "key"), URLS)
@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://[", "its host or its port cannot be read", id="bracket"),
        pytest.param("http://[::1", "its host or its port cannot be read", id="no-end"),
        pytest.param("http://x:abc", "its host or its port cannot be read", id="no-number"),
        pytest.param("http://127.0.0.1:99999", "a port is 1 to 65535", id="too-high"),
        pytest.param("http://x:0", "its port must not be 0", id="zero"),
        pytest.param("http://:8080", "must name a host", id="no-host"),
        pytest.param("https:///v1/traces", "must name a host", id="path-alone"),
        pytest.param("http://me:s3cret@:1", "must name a host", id="user-alone"),
    ],
)
def test_url_that_nothing_can_be_sent_to_is_refused(
    section: str, key: str, url: str, says: str
) -> None:
    said = fault({section: {key: url}})
    assert says in said
    assert "s3cret" not in said


def test_a_token_does_not_go_with_a_user_in_the_url() -> None:
    said = fault({"datastorage": {"url": "http://me:s3cret@x", "tokenFile": "/token"}})
    assert "tokenFile: does not go with a user in url" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(("section", "key"), URLS)
@pytest.mark.parametrize(
    "url",
    ["", "http://x", "https://x:443/v1/traces", "http://[::1]:8080", "http://me:it@x.y:1?a=b"],
)
def test_url_that_something_can_be_sent_to_is_taken(section: str, key: str, url: str) -> None:
    assert settings.Settings.model_validate({section: {key: url}}) is not None
