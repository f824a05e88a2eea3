"""What is wrong with a bundle, or with the way it is asked for, is a sentence and an exit code."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support import keys
from tests.unit.bundles.test_lint import DIGEST, STEP, pipeline, task
from workflowexecution import cli
from workflowexecution.bundles import documents

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.bundles import collector


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workflow that is right but for its image, which is called `tools`."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(pipeline(tasks=[task({**STEP, "image": "tools"})])))
    return path


NAMES = {
    "int": "metadata: {name: 123}",
    "null": "metadata: {name: }",
    "empty": "metadata: {name: ''}",
    "list": "metadata: [a]",
    "text": "metadata: abc",
    "none": "metadata: ",
}


@pytest.mark.parametrize("metadata", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("signs", [False, True], ids=["plain", "signed"])
def test_an_object_without_a_name_is_the_linters_finding_first(
    file: Path, there: collector.Registry, capsys: pytest.CaptureFixture[str],
    metadata: str, *, signs: bool,
) -> None:  # fmt: skip
    key = file.with_name("key.pem")
    key.write_text(keys.private_pem(keys.generate()))
    file.write_text(f"apiVersion: tekton.dev/v1\nkind: Pipeline\n{metadata}\nspec: {{}}\n")
    push = ["bundle", "push", f"{there.host}/a:1", "-f", str(file)]
    push += ["--sign-key", str(key), "--tekton", "1.9"] if signs else []
    assert cli.main(push) == 1
    assert "error WB007 not-called-workflow: no Pipeline is called" in capsys.readouterr().err
    assert cli.main([*push, "--no-lint"]) == 2
    assert re.search(r"metadata|ObjectMeta\.name", capsys.readouterr().err)
    assert there.manifests == {}


def test_the_linter_speaks_before_the_key_is_read(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: workflow}\n")
    file.write_text(file.read_text() + "spec: {tasks: [{name: a, taskRef: {name: b}}]}\n")
    push = ["bundle", "push", "127.0.0.1:1/a:1", "-f", str(file), "--sign-key", "/none"]
    assert cli.main([*push, "--tekton", "1.9"]) == 1
    said = capsys.readouterr().err
    assert "error WB010" in said
    assert "/none" not in said


@pytest.mark.parametrize("rule", ["WB003", "image-latest"])
def test_a_rule_is_left_out_by_its_number_or_its_name(file: Path, rule: str) -> None:
    assert cli.main(["lint", str(file), "--ignore", rule]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ignore", "WB03"], "no rule WB03, but WB001, WB002, "),
        (["--ignore", "wb003"], "no rule wb003, but"),
        (["--image", "tools=a:1", "--image", "tools=b:1"], "tools is given twice"),
    ],
)
def test_an_argument_that_has_no_effect_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lint", str(file), *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", [["lint"], ["bundle", "push", "127.0.0.1:1/a:1", "-f"]])
def test_an_image_that_no_file_calls_so_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    images = [f"--image={name}=r.example/x:1@sha256:{DIGEST}" for name in ("tools", "tolls")]
    assert cli.main([*command, str(file), *images]) == 2
    said = capsys.readouterr().err
    assert "--image tolls=...: no image is called tolls, but tools" in said


def test_an_image_of_one_of_the_files_is_enough(file: Path) -> None:
    other = file.with_name("other.yaml")
    other.write_text(yaml.safe_dump(pipeline()))
    image = f"tools=r.example/x:1@sha256:{DIGEST}"
    assert cli.main(["lint", str(file), str(other), "--image", image]) == 0


@pytest.mark.parametrize("command", [["lint"], ["bundle", "push", "127.0.0.1:1/a:1", "-f"]])
def test_who_breaks_off_gets_no_traceback(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:  # fmt: skip
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(documents, "read", interrupted)
    assert cli.main([*command, str(file)]) == 130
    assert capsys.readouterr().err == ""


def test_what_the_terminal_has_no_letters_for_is_escaped(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = file.with_name("\u00e4\udcff.yaml")
    odd.write_bytes(file.read_bytes())
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert cli.main(["lint", str(odd)]) == 1
    sys.stdout.flush()
    assert rb"\xe4\udcff.yaml:" in written.getvalue()
