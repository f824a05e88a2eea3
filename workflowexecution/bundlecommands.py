"""`workflowexecution lint` and `workflowexecution bundle push`: for those who write workflows.

Neither knows a cluster. What is asked for goes to standard output, the rest to standard error.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution.bundles import (
    catalogue,
    credentials,
    documents,
    errors,
    image,
    lint,
    reference,
    registry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from workflowexecution.bundles.documents import Document, JsonObject
    from workflowexecution.bundles.lint import Finding

EXIT_OK, EXIT_FOUND, EXIT_USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What is to be checked, and how.

    Attributes:
        together: the files are one bundle; else each is one.
        ignore: rules that are left out.
        images: what replaces the images of that name first.
        strict: a warning counts as an error.
    """

    files: Sequence[Path]
    together: bool = False
    ignore: frozenset[str] = frozenset()
    images: Mapping[str, str]
    strict: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What is to be pushed, where to, and how.

    Attributes:
        key: the private key that signs; None leaves the objects as they are.
        tekton: the version that verifies the signature.
        unchecked: also what the linter calls an error.
    """

    to: str
    files: Sequence[Path]
    images: Mapping[str, str]
    key: Path | None = None
    tekton: str = ""
    plain_http: bool = False
    ca_file: Path | None = None
    unchecked: bool = False


def check(wish: Check) -> int:
    """Print what is wrong with bundles; returns the exit code."""
    try:
        found = _found(wish)
    except errors.BundleError as error:
        return _failed("lint", error, EXIT_USAGE)
    left = [it for it in found if it.rule not in wish.ignore]
    if wish.as_json:
        sys.stdout.write(json.dumps([it.as_dict() for it in left], indent=2) + "\n")
    else:
        _tell(left, sys.stdout)
    bad = len(left) if wish.strict else _errors_in(left)
    sys.stderr.write(f"{_errors_in(left)} errors, {len(left) - _errors_in(left)} warnings\n")
    return EXIT_FOUND if bad else EXIT_OK


def explain(identity: str) -> int:
    """Print a rule, why it is one, and its examples; returns the exit code."""
    rule = catalogue.find(identity)
    if rule is None:
        return _failed("lint", errors.BundleError(no_rule(identity)), EXIT_USAGE)
    parts = (f"{rule.id} {rule.name} ({rule.severity.value})", rule.reason)
    examples = f"wrong:\n\n{rule.wrong}\nright:\n\n{rule.right}"
    sys.stdout.write("\n\n".join((*parts, examples)))
    return EXIT_OK


def no_rule(word: str) -> str:
    """What to say to who asks for a rule that is none."""
    known = ", ".join(rule.id for rule in catalogue.RULES)
    return f"no rule {word}, but {known}"


def push(wish: Push) -> int:
    """Check, sign if asked for, pack and push a bundle; prints its reference with the digest.

    Returns:
        The exit code: 1 when the linter or the registry refuses.
    """
    try:
        where = reference.parse(wish.to)
        if where.digest:
            message = f"{wish.to}: a digest is what a push ends with: leave it out"
            raise errors.BundleError(message)
        (bundle,) = _read([wish.files], wish.images)
        # What packs and signs takes for granted much of what the linter has a better word for.
        findings = lint.check(bundle)
        _tell(findings, sys.stderr)
        if _errors_in(findings) and not wish.unchecked:
            sys.stderr.write("not pushed: mend the errors, or push --no-lint\n")
            return EXIT_FOUND
        objects = [it.content for it in bundle]
        if wish.key is not None:
            objects = _signed(objects, wish.key, wish.tekton)
        packed = image.build(objects)
        access = registry.Access(wish.plain_http, wish.ca_file, credentials.find(where.host))
        registry.Registry(where, access).push(packed)
    except errors.RegistryError as error:
        return _failed("bundle push", error, EXIT_FOUND)
    except errors.BundleError as error:
        return _failed("bundle push", error, EXIT_USAGE)
    sys.stdout.write(f"{where.pinned(packed.digest)}\n")
    return EXIT_OK


def _found(wish: Check) -> list[Finding]:
    groups = [list(wish.files)] if wish.together else [[file] for file in wish.files]
    found: list[Finding] = []
    for files, bundle in zip(groups, _read(groups, wish.images), strict=True):
        if not bundle:
            message = f"{files[0]}: no object is in it"
            raise errors.NotReadable(message)
        found.extend(lint.check(bundle))
    return found


def _read(groups: Sequence[Sequence[Path]], images: Mapping[str, str]) -> list[list[Document]]:
    """The bundles that groups of files are, their images replaced."""
    bundles = [documents.read(files) for files in groups]
    known = {it for bundle in bundles for one in bundle for it in documents.images_in(one.content)}
    for name in images:
        if name not in known:
            others = f", but {', '.join(sorted(known))}" if known else ""
            message = f"--image {name}=...: no image is called {name}{others}"
            raise errors.BundleError(message)
    return [[_replaced(it, images) for it in bundle] for bundle in bundles]


def _signed(objects: list[JsonObject], key: Path, tekton: str) -> list[JsonObject]:
    """The objects, the Pipelines among them with a signature."""
    try:
        from workflowexecution.bundles import signing
    except ImportError as error:
        message = f"signing needs pip install 'workflowexecution[sign]': {error}"
        raise errors.BundleError(message) from error
    if not tekton:
        message = (
            "--sign-key goes with --tekton: a signature holds for versions to 1.9, or from then on"
        )
        raise errors.BundleError(message)
    private = signing.load(key)
    return [
        signing.sign(it, private, tekton=tekton) if it.get("kind") == "Pipeline" else it
        for it in objects
    ]


def _replaced(document: Document, images: Mapping[str, str]) -> Document:
    content = documents.with_images(document.content, images)
    return documents.Document(document.file, content, document.node)


def _tell(findings: Sequence[Finding], stream: TextIO) -> None:
    stream.writelines(
        f"{it.file}:{it.line}: {it.severity} {it.rule} {it.name}: {it.message}\n" for it in findings
    )


def _errors_in(findings: Sequence[Finding]) -> int:
    return sum(it.severity == catalogue.Severity.ERROR.value for it in findings)


def _failed(command: str, error: errors.BundleError, code: int) -> int:
    sys.stderr.write(f"workflowexecution {command}: {error}\n")
    return code
