"""`workflowexecution lint` and `bundle push`, as they are typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support import keys
from tests.unit.bundles.test_lint import DIGEST, STEP, pipeline, task
from workflowexecution import cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.bundles import collector

    Files = tuple[Path, Path, Path]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A workflow that is right, one with a warning, one with an error."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = []
    for name, image in (("right", STEP["image"]), ("warned", "tools:1"), ("wrong", "tools")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(pipeline(tasks=[task({**STEP, "image": image})])))
        found.append(path)
    return found[0], found[1], found[2]


@pytest.mark.parametrize(
    ("which", "flags", "code"),
    [
        (0, [], 0),
        (1, [], 0),
        (1, ["--strict"], 1),
        (1, ["--strict", "--ignore", "WB004"], 0),
        (2, [], 1),
        (2, ["--ignore", "WB003"], 0),
        (2, ["--image", f"tools=r.example/tools:1@sha256:{DIGEST}", "--strict"], 0),
    ],
)
def test_lint_ends_with_a_code(files: Files, which: int, flags: list[str], code: int) -> None:
    assert cli.main(["lint", str(files[which]), *flags]) == code


def test_lint_prints_a_line_for_each_finding(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["lint", *map(str, files)])
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first.startswith(f"{files[1]}:")
    assert "warning WB004 image-without-digest: step run of task mend runs tools:1" in first
    assert "error WB003 image-latest" in second
    assert said.err == "1 errors, 1 warnings\n"


def test_lint_prints_json(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["lint", str(files[2]), "--format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["severity"]) == ("WB003", "error")
    assert found["path"] == "spec.tasks[0].taskSpec.steps[0].image"


def test_lint_takes_files_together(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "task.yaml"
    inner = {"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}}
    other.write_text(yaml.safe_dump({**inner, "spec": {"steps": [STEP]}}))
    assert cli.main(["lint", str(files[0]), str(other)]) == 1
    assert cli.main(["lint", "--together", str(files[0]), str(other)]) == 0


def test_lint_says_that_a_file_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.yaml"
    empty.touch()
    assert cli.main(["lint", str(empty)]) == 2
    assert "no object is in it" in capsys.readouterr().err
    assert cli.main(["lint", str(tmp_path / "none.yaml")]) == 2


def test_lint_explains_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "--explain", "WB001"]) == 0
    assert "quote or a semicolon" in capsys.readouterr().out
    assert cli.main(["lint", "--explain", "image-latest"]) == 0
    assert cli.main(["lint", "--explain", "WB999"]) == 2
    assert "no rule WB999, but WB001, " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["lint"], ["lint", "f", "--image", "tools"], ["bundle"]])
def test_command_wants_its_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_push_prints_the_pinned_reference(
    files: Files, there: collector.Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    to = f"{there.host}/workflows/restart:1.0.0"
    assert cli.main(["bundle", "push", to, "-f", str(files[0])]) == 0
    reference, _, digest = capsys.readouterr().out.strip().partition("@")
    assert reference == to
    assert list(there.manifests) == ["1.0.0"]
    assert digest.startswith("sha256:")


def test_push_refuses_what_the_linter_calls_an_error(
    files: Files, there: collector.Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    push = ["bundle", "push", f"{there.host}/workflows/restart:1", "-f", str(files[2])]
    assert cli.main(push) == 1
    assert there.manifests == {}
    assert "not pushed: mend the errors" in capsys.readouterr().err
    assert cli.main([*push, "--no-lint"]) == 0
    assert list(there.manifests) == ["1"]


@pytest.mark.parametrize(
    ("reference", "code", "says"),
    [
        ("restart", 2, "is not like registry.example"),
        (f"r.example/a@sha256:{DIGEST}", 2, "leave it out"),
        ("127.0.0.1:1/a:1", 1, "cannot be reached"),
    ],
)
def test_push_says_where_it_cannot_push(
    files: Files, capsys: pytest.CaptureFixture[str], reference: str, code: int, says: str
) -> None:
    assert cli.main(["bundle", "push", reference, "-f", str(files[0])]) == code
    assert says in capsys.readouterr().err


def test_push_names_the_login_that_cannot_be_read(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{")
    assert cli.main(["bundle", "push", "r.example/a:1", "-f", str(files[0])]) == 1
    assert "config.json" in capsys.readouterr().err


def test_push_signs_the_pipeline(
    files: Files, there: collector.Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(keys.private_pem(keys.generate()))
    push = ["bundle", "push", f"{there.host}/a:1", "-f", str(files[0])]
    assert cli.main(push) == 0
    plain = capsys.readouterr().out
    assert cli.main([*push, "--sign-key", str(key), "--tekton", "1.9"]) == 0
    assert capsys.readouterr().out != plain
    assert cli.main([*push, "--sign-key", str(key)]) == 2
    assert "--sign-key goes with --tekton" in capsys.readouterr().err
    assert cli.main([*push, "--sign-key", str(files[0]), "--tekton", "1.9"]) == 2
    assert "openssl ecparam" in capsys.readouterr().err
