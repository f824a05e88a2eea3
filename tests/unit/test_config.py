"""Where settings come from, and how faults are told."""

from pathlib import Path

import pytest

from workflowexecution import config, settingkeys, settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load(
    path: Path, text: str, environ: dict[str, str] | None = None, **flags: object
) -> settings.Settings:
    path.write_text(text)
    dotted = {name.replace("_", ".", 1): value for name, value in flags.items()}
    return config.load(path, environ or {}, dotted)


DEFAULTS = settings.Settings().model_dump()


def problems(path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(config.ConfigurationError) as caught:
        load(path, text, environ)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


class TestReload:
    def test_what_may_change_is_taken_and_the_rest_is_named(self, file: Path) -> None:
        running = load(file, "controller: {workers: 3}\nlogging: {level: info}")
        file.write_text("controller: {workers: 5, instance: other}\nlogging: {level: debug}")
        found, waiting = config.Source(file, environ={}).reload(running)
        assert (found.controller.workers, found.logging.level) == (5, "debug")
        assert (found.controller.instance, waiting) == ("", ["controller.instance"])

    def test_variable_that_is_called_as_a_section_is_none_of_ours(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOGGING", "verbose")
        monkeypatch.setenv("EXECUTION", '{"suspend": true}')
        running = load(file, "controller: {workers: 3}")
        file.write_text("controller: {workers: 5}")
        found, _ = config.Source(file).reload(running)
        assert (found.controller.workers, found.execution.suspend) == (5, False)

    def test_flags_and_environment_still_win(self, file: Path) -> None:
        running = load(file, "controller: {workers: 3}")
        source = config.Source(file, {"controller.workers": 4}, {"WE_LOGGING_LEVEL": "error"})
        found, _ = source.reload(running)
        assert (found.controller.workers, found.logging.level) == (4, "error")

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("Execution: {suspend: true}\nexecution: {logTail: false}", id="first"),
            pytest.param("execution: {logTail: false}\nExecution: {suspend: true}", id="last"),
            pytest.param("EXECUTION:\nexecution: {logTail: false}", id="empty"),
        ],
    )
    def test_section_in_another_case_beside_the_section_is_an_error(
        self, file: Path, text: str
    ) -> None:
        running = load(file, "execution: {logTail: false}")
        file.write_text(text)
        with pytest.raises(config.ConfigurationError, match=r"(?i)^execution: no such setting"):
            config.Source(file, environ={}).reload(running)

    def test_file_that_is_gone_is_an_error(self, file: Path) -> None:
        running = load(file, "")
        file.unlink()
        with pytest.raises(config.ConfigurationError, match=r"cannot read .*No such file"):
            config.Source(file, environ={}).reload(running)

    def test_default_file_that_is_gone_is_an_error(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(config, "DEFAULT_PATH", file)
        with pytest.raises(config.ConfigurationError, match=r"cannot read .*No such file"):
            config.Source(None, environ={}).reload(settings.Settings())

    def test_new_value_that_does_not_go_with_what_takes_a_restart_is_an_error(
        self, file: Path
    ) -> None:
        running = load(file, "controller: {leaseDuration: 5m}\nexecution: {runRetention: 10m}")
        file.write_text("execution: {runRetention: 2m}")
        with pytest.raises(config.ConfigurationError, match=r"execution\.runRetention: must be l"):
            config.Source(file, environ={}).reload(running)


def test_load_takes_the_defaults_when_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", Path("/nowhere/config.yaml"))
    assert config.load(None, {}).model_dump() == DEFAULTS


def test_load_reads_the_default_file_where_it_exists(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "DEFAULT_PATH", file)
    file.write_text("controller: {workers: 3}")
    assert config.load(None, {}).controller.workers == 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("# nothing", id="comment"),
        pytest.param("execution:\ndatastorage:\n  buffer:\n", id="empty-sections"),
    ],
)
def test_load_takes_an_empty_file_or_section_for_defaults(file: Path, text: str) -> None:
    assert load(file, text).model_dump() == DEFAULTS


def test_the_later_source_wins_key_by_key(file: Path) -> None:
    text = "execution: {defaultTimeout: 5m, namespace: from-file, serviceAccount: a, "
    text += "allowedServiceAccounts: [a]}"
    environ = {"WE_EXECUTION_DEFAULT_TIMEOUT": "6m", "WE_EXECUTION_NAMESPACE": "from-env"}
    found = load(file, text, environ, execution_defaultTimeout="7m").execution
    assert (found.default_timeout, found.namespace) == (420.0, "from-env")
    assert found.service_account == "a"


def test_a_list_of_the_environment_replaces_that_of_the_file(file: Path) -> None:
    environ = {"WE_EXECUTION_ALLOWED_BUNDLES": "b/, c/,"}
    text = "execution: {allowedBundles: [a/]}"
    assert load(file, text).execution.allowed_bundles == ("a/",)
    assert load(file, text, environ).execution.allowed_bundles == ("b/", "c/")


@pytest.mark.parametrize("value", ["", " , "])
@pytest.mark.parametrize(
    "name", ["WE_EXECUTION_ALLOWED_BUNDLES", "WE_EXECUTION_ALLOWED_SERVICE_ACCOUNTS"]
)
def test_a_list_of_the_environment_that_names_nothing_is_a_problem(
    file: Path, name: str, value: str
) -> None:
    found = problems(file, "execution: {allowedBundles: [a/]}", {name: value})
    assert found == [f"{name}: must name something; unset it for the file's list"]


@pytest.mark.parametrize(
    ("environ", "cooldown"),
    [
        pytest.param({"WE_COOLDOWN_PERIOD": "3m"}, 180.0, id="short-name"),
        pytest.param({"WE_EXECUTION_COOLDOWN_PERIOD": "4m"}, 240.0, id="full-name"),
        pytest.param(
            {"WE_COOLDOWN_PERIOD": "3m", "WE_EXECUTION_COOLDOWN_PERIOD": "4m"}, 240.0, id="both"
        ),
    ],
)
def test_the_cooldown_has_a_short_name_too(
    file: Path, environ: dict[str, str], cooldown: float
) -> None:
    assert load(file, "", environ).execution.cooldown_period == cooldown


def test_every_setting_has_a_variable_of_its_own() -> None:
    names = [config.env_name(key) for key, _ in settingkeys.known_keys()]
    assert len(names) == len(set(names))
    assert config.env_name("controller.metricsTLS.certFile") in names
    assert "WE_CONTROLLER_METRICS_TLS_CERT_FILE" in names
    assert "WE_DATASTORAGE_BUFFER_BATCH_SIZE" in names


def test_variables_of_others_are_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTION", '{"suspend": true}')
    assert load(file, "", {"WE_ARE": "fine", "WEEK": "1"}).model_dump() == DEFAULTS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("foo: {}", "foo: no such setting", id="section"),
        pytest.param(
            "executions: {}", "executions: no such setting; there is execution", id="near-section"
        ),
        pytest.param(
            "Execution: {suspend: true}",
            "Execution: no such setting; there is execution",
            id="section-in-another-case",
        ),
        pytest.param(
            "data_storage: {url: 'http://x'}",
            "data_storage: no such setting; there is datastorage",
            id="section-in-two-words",
        ),
        pytest.param("execution: {foo: 1}", "execution.foo: no such setting", id="key"),
        pytest.param(
            "execution: {default_timeout: 5m}",
            "execution.default_timeout: no such setting",
            id="snake-case",
        ),
        pytest.param("1: {}", "1: no such setting", id="number-as-a-key"),
        pytest.param("execution: 5", "execution: must be a mapping of settings", id="no-mapping"),
        pytest.param(
            "datastorage: {buffer: 5}",
            "datastorage.buffer: Input should be a valid dictionary or instance of Buffer",
            id="no-inner-mapping",
        ),
        pytest.param(
            "execution: {defaultTimeout: soon}",
            "execution.defaultTimeout: 'soon' is not a duration such as 90s, 5m or 1h30m",
            id="duration",
        ),
        pytest.param(
            "backoff: {maxCooldown: 1s}",
            "backoff.maxCooldown: must not be shorter than baseCooldown",
            id="two-settings",
        ),
        pytest.param(
            "controller: {leaseDuration: 300s}",
            "execution.runRetention: must be longer than 315s here",
            id="two-sections",
        ),
    ],
)
def test_a_problem_begins_with_its_key(file: Path, text: str, problem: str) -> None:
    assert problems(file, text) == [problem]


def test_a_problem_names_the_variable_it_comes_from(file: Path) -> None:
    environ = {
        "WE_LOGGING_LEVEL": "loud",
        "WE_EXECUTION_ALLOWED_SERVICE_ACCOUNTS": "fine,Not Fine",
    }
    level, account = sorted(problems(file, "", environ), reverse=True)
    assert level.startswith("logging.level (WE_LOGGING_LEVEL): Input should be 'debug'")
    assert account.startswith(
        "execution.allowedServiceAccounts.1 (WE_EXECUTION_ALLOWED_SERVICE_ACCOUNTS): "
    )


def test_a_problem_of_a_flag_names_the_key_alone(file: Path) -> None:
    file.write_text("")
    environ = {"WE_CONTROLLER_WORKERS": "4"}
    with pytest.raises(config.ConfigurationError, match=r"^controller\.workers: Input should be"):
        config.load(file, environ, {"controller.workers": "none"})


def test_all_problems_of_all_sources_are_told_at_once(file: Path) -> None:
    found = problems(
        file,
        "execution: 5\nfoo: 1\nlimits: {watchIdle: 1s}",
        {"WE_CONTROLLER_FOO": "1", "WE_CONTROLLER_WORKERS": "0"},
    )
    assert [it.split(":")[0] for it in found] == [
        "execution",
        "foo",
        "WE_CONTROLLER_FOO",
        "controller.workers (WE_CONTROLLER_WORKERS)",
        "limits.watchIdle",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: [", "is not YAML: while parsing", id="yaml"),
        pytest.param("- a", "must hold a mapping of sections", id="list"),
        pytest.param(
            "execution: {suspend: true, suspend: false}", "suspend stands twice", id="key-twice"
        ),
        pytest.param(
            "controller: {instance: 2024-13-01}", "'2024-13-01' is no timestamp", id="date"
        ),
        pytest.param("a: !!int x", "'x' is no int", id="int"),
        pytest.param("a: !!bool x", "'x' is no bool", id="bool"),
        pytest.param("a: !!float ''", "'' is no float", id="float"),
        pytest.param("a: !!timestamp x", "'x' is no timestamp", id="timestamp"),
        pytest.param("a: !!set x", "is not YAML: ", id="set"),
        pytest.param("a: " + "[" * 3000, "is not YAML: ", id="deep"),
        pytest.param("execution: {}\nexecution: {}", "execution stands twice", id="section-twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem(file: Path, text: str, problem: str) -> None:
    (found,) = problems(file, text)
    assert found.startswith(f"--config: {file} ")
    assert problem in found
    assert "\n" not in found


def test_a_file_that_cannot_be_read_is_a_problem(file: Path) -> None:
    with pytest.raises(config.ConfigurationError) as caught:
        config.load(file, {"WE_CONTROLLER_WORKERS": "0"})
    unreadable, workers = caught.value.problems
    assert unreadable == f"--config: cannot read {file}: No such file or directory"
    assert workers.startswith("controller.workers")


def test_a_file_that_is_no_text_is_a_problem(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(config.ConfigurationError, match="is not YAML"):
        config.load(file, {})


class TestFileThatCannotBeLookedAt:
    """As in a folder that may not be searched; a name that is too long stops root as well."""

    @pytest.fixture
    def hidden(self, tmp_path: Path) -> Path:
        return tmp_path / ("n" * 300)

    def test_is_a_problem_where_it_is_the_default(
        self, hidden: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(config, "DEFAULT_PATH", hidden)
        with pytest.raises(config.ConfigurationError, match=r"cannot read .* too long$"):
            config.load(None, {})

    def test_is_a_problem_when_it_is_read_again(self, hidden: Path) -> None:
        with pytest.raises(config.ConfigurationError, match=r"cannot read .* too long$"):
            config.Source(hidden, environ={}).reload(settings.Settings())
