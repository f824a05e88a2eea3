import asyncio
import dataclasses
import gc
import importlib.metadata
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from workflowexecution import app, auditcommands, cli, config, identity, screen, uninstall
from workflowexecution import settings as api


@dataclasses.dataclass
class FakeRun:
    """Stands for `app.run`: keeps what it is called with, and ends as told."""

    error: Exception | None = None
    settings: api.Settings | None = None
    kubeconfig: Path | None = None
    identity: str = ""

    async def __call__(
        self,
        found: api.Settings,
        *,
        kubeconfig: Path | None,
        identity: str,
        source: config.Source,
    ) -> None:
        await asyncio.sleep(0)
        assert source.load().model_dump() == found.model_dump()
        self.settings, self.kubeconfig, self.identity = found, kubeconfig, identity
        if self.error is not None:
            raise self.error


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRun]:
    """Let the program end at once, and leave the process as it was."""
    fake = FakeRun()
    monkeypatch.setattr(app, "run", fake)
    for name in list(os.environ):
        if name.startswith("WE_"):
            monkeypatch.delenv(name)
    handlers, level, thresholds = logging.root.handlers[:], logging.root.level, gc.get_threshold()
    yield fake
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    gc.set_threshold(*thresholds)


def settings_of(ran: FakeRun, *argv: str) -> api.Settings:
    assert cli.main(argv) == cli.EXIT_OK
    assert ran.settings is not None
    return ran.settings


def test_main_runs_with_defaults_and_ends_well(ran: FakeRun) -> None:
    assert settings_of(ran).model_dump() == api.Settings().model_dump()
    assert (ran.kubeconfig, ran.identity) == (None, identity.identity_of())


def test_main_reads_the_file_the_environment_and_the_flags(
    ran: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("logging: {level: debug}\ncontroller: {workers: 2, instance: blue}")
    monkeypatch.setenv("WE_CONTROLLER_WORKERS", "3")
    found = settings_of(ran, "--config", str(file), "--log-level", "error", "--kubeconfig", "/k")
    assert (found.controller.workers, found.controller.instance) == (3, "blue")
    assert found.logging.level == "error"
    assert ran.kubeconfig == Path("/k")


@pytest.mark.parametrize(
    ("argument", "section", "name", "value"),
    [
        ("--metrics-bind-address=:1", "controller", "metrics_addr", ":1"),
        ("--health-probe-bind-address=:2", "controller", "health_probe_addr", ":2"),
        ("--leader-elect", "controller", "leader_election", True),
        ("--leader-elect=false", "controller", "leader_election", False),
        ("--execution-namespace=n", "execution", "namespace", "n"),
        ("--cooldown-period=7", "execution", "cooldown_period", 420.0),
        ("--cooldown-period=7s", "execution", "cooldown_period", 7.0),
        ("--service-account=my-runner", "execution", "service_account", "my-runner"),
        ("--base-cooldown-seconds=30", "backoff", "base_cooldown", 30.0),
        ("--max-cooldown-minutes=3", "backoff", "max_cooldown", 180.0),
        ("--max-backoff-exponent=2", "backoff", "max_exponent", 2),
        ("--max-consecutive-failures=9", "backoff", "max_consecutive_failures", 9),
        ("--datastorage-url=http://s:1", "datastorage", "url", "http://s:1"),
        ("--zap-log-level=2", "logging", "level", "debug"),
        ("--zap-log-level=0", "logging", "level", "info"),
        ("--zap-log-level=panic", "logging", "level", "error"),
        ("--zap-log-level=info", "logging", "level", "info"),
        ("--zap-encoder=console", "logging", "format", "console"),
        ("--zap-devel", "logging", "format", "console"),
        ("--zap-devel=false", "logging", "format", "json"),
    ],
)  # fmt: skip
def test_main_takes_the_flags_of_the_go_implementation(
    ran: FakeRun, argument: str, section: str, name: str, value: object
) -> None:
    assert getattr(getattr(settings_of(ran, argument), section), name) == value


@pytest.mark.parametrize(
    "argument",
    ["--zap-stacktrace-level=error", "--zap-time-encoding=iso8601", "--zap-time-encoding=epoch"],
)
def test_main_takes_the_flags_that_mean_nothing_here(ran: FakeRun, argument: str) -> None:
    assert settings_of(ran, argument).model_dump() == api.Settings().model_dump()


@pytest.mark.parametrize("flag", ["--zap-stacktrace-level", "--zap-time-encoding"])
def test_main_refuses_a_value_that_the_go_implementation_would(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([f"{flag}=odd"])
    assert ended.value.code == cli.EXIT_USAGE
    assert f"argument {flag}: invalid choice: 'odd'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE"])
def test_main_reads_a_switch_as_go_does(ran: FakeRun, text: str) -> None:
    assert settings_of(ran, f"--zap-devel={text}").logging.format == "json"
    assert not settings_of(ran, f"--leader-elect={text}").controller.leader_election


@pytest.mark.parametrize("text", ["1", "t", "True"])
def test_main_reads_a_switch_that_is_on_as_go_does(ran: FakeRun, text: str) -> None:
    assert settings_of(ran, f"--zap-devel={text}").logging.format == "console"
    assert settings_of(ran, f"--leader-elect={text}").controller.leader_election


def test_main_sets_the_process_up_before_it_runs(
    ran: FakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_of(ran, "--log-level=warning")
    structlog.get_logger().info("unheard")
    structlog.get_logger().warning("heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["identity"] == identity.identity_of()
    assert gc.get_threshold() == cli.GC_THRESHOLDS


def test_main_warns_of_variables_that_are_no_settings_by_their_names_alone(
    ran: FakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WE_LOG_LEVEL", "WE_DATA_STORAGE_URL", "WE_COOLDOWN_PERIOD", "WEEK"):
        monkeypatch.setenv(name, "5m")
    settings_of(ran)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(it["level"], it["event"], it["variable"]) for it in said] == [
        ("warning", "Environment variable is no setting", "WE_DATA_STORAGE_URL"),
        ("warning", "Environment variable is no setting", "WE_LOG_LEVEL"),
    ]
    assert "5m" not in str(said)


def test_main_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--config FILE settings in YAML (default: /etc/workflowexecution/config.yaml" in text
    assert "--kubeconfig FILE default: KUBECONFIG, else the service account in a pod" in text
    assert "--log-level LEVEL debug, info, warning or error" in text
    assert "flags of the Go implementation, each for one setting or for none" in text
    assert "--zap-time-encoding VALUE without effect: times are ISO 8601 in UTC" in text


def test_main_names_every_wrong_setting(
    ran: FakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("foo: 1")
    assert cli.main(["--config", str(file), "--log-level", "loud"]) == cli.EXIT_USAGE
    second, first = capsys.readouterr().err.splitlines()
    assert first.startswith("workflowexecution: logging.level: ")
    assert second == "workflowexecution: foo: no such setting"
    assert ran.settings is None


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--leader-elect=perhaps"], id="no-boolean"),
        pytest.param(["--log-lev", "info"], id="abbreviated"),
        pytest.param(["run"], id="no-such-command"),
    ],
)
def test_main_ends_with_2_when_arguments_are_wrong(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == cli.EXIT_USAGE
    assert "usage: workflowexecution" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--kubeconfig", ""], id="kubeconfig"),
        pytest.param(["--config="], id="config"),
        pytest.param(["uninstall", "--finalizers", "--kubeconfig="], id="of-a-command"),
    ],
)
def test_main_refuses_a_file_without_a_name(
    ran: FakeRun, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == cli.EXIT_USAGE
    assert re.search(r"argument --(kube)?config: must name a file", capsys.readouterr().err)
    assert ran.settings is None


AUDIT = ("audit", "verify", "--export", "/rows")


@pytest.mark.parametrize("place", range(3))
def test_audit_takes_its_files_before_and_after_its_name(
    ran: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("controller: {instance: blue}")
    found: list[tuple[str, auditcommands.Wish, Path | None]] = []

    def run(used: api.Settings, wish: auditcommands.Wish, *, kubeconfig: Path | None) -> int:
        found.append((used.controller.instance, wish, kubeconfig))
        return 0

    monkeypatch.setattr(auditcommands, "run", run)
    files = ("--config", str(file), "--kubeconfig", "/k")
    assert cli.main([*AUDIT[:place], *files, *AUDIT[place:]]) == cli.EXIT_OK
    assert found == [("blue", auditcommands.Wish(export=Path("/rows")), Path("/k"))]
    assert ran.settings is None


@pytest.mark.parametrize("namespace", ["", " ", "a/../../x?y", "A", "a.b", "-a", "a\n", "n" * 64])
def test_uninstall_refuses_what_is_no_namespace(
    namespace: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(uninstall, "run", None)
    with pytest.raises(SystemExit) as caught:
        cli.main(["uninstall", "--finalizers", f"--namespace={namespace}", "--yes"])
    assert caught.value.code == cli.EXIT_USAGE
    assert "is not the name of a namespace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "namespace"),
    [pytest.param([], "", id="all"), pytest.param(["--namespace", "a-1"], "a-1", id="one")],
)
def test_uninstall_is_of_one_namespace_or_of_all(
    argv: list[str], namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[uninstall.Wish] = []

    async def run(wish: uninstall.Wish, **_: object) -> uninstall.Outcome:
        await asyncio.sleep(0)
        wishes.append(wish)
        return uninstall.Outcome()

    monkeypatch.setattr(uninstall, "run", run)
    assert cli.main(["uninstall", "--finalizers", *argv]) == cli.EXIT_OK
    assert wishes == [uninstall.Wish(namespace)]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(app.CannotStart("no kubeconfig"), 2, "workflowexecution: no kubeconfig\n",
                     id="cannot-start"),
        pytest.param(app.Failed(), 1, "", id="failed"),
    ],
)  # fmt: skip
def test_main_turns_errors_into_exit_codes(
    ran: FakeRun, error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ran.error = error
    assert cli.main([]) == code
    assert capsys.readouterr().err == said


@pytest.mark.usefixtures("ran")
def test_controller_goes_on_where_nobody_takes_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run(*_: object, **__: object) -> None:
        structlog.get_logger().warning("said")
        raise ConnectionResetError

    monkeypatch.setattr(app, "run", run)
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(ConnectionResetError):
            cli.main([])


def test_controller_that_cannot_start_says_so_to_nobody(
    ran: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran.error = app.CannotStart("no kubeconfig")
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert cli.main([]) == cli.EXIT_USAGE


@pytest.mark.parametrize(
    ("module", "name", "argv"),
    [
        pytest.param(uninstall, "run", ["uninstall", "--finalizers"], id="uninstall"),
        pytest.param(auditcommands, "_run", ["audit", "verify", "--export", "/none"], id="audit"),
    ],
)
def test_who_breaks_off_while_a_command_waits_gets_no_traceback(
    ran: FakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: object,
    name: str,
    argv: list[str],
) -> None:
    async def silent(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Future()

    monkeypatch.setattr(module, name, silent)
    assert cli.main(argv) == screen.EXIT_INTERRUPTED
    assert capsys.readouterr() == ("", "")
    assert ran.settings is None


def test_main_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == cli.EXIT_OK
    assert capsys.readouterr().out.strip() == importlib.metadata.version("workflowexecution")


@pytest.mark.timeout(60)
def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflowexecution", "--no-such-flag"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == cli.EXIT_USAGE
    assert "unrecognized arguments: --no-such-flag" in done.stderr
