import pytest

from workflowexecution.api import reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("busybox", "", "busybox", "", ""),
        ("r.example", "", "r.example", "", ""),
        ("busybox:V1.2_3-Rc", "", "busybox", "V1.2_3-Rc", ""),
        ("library/busybox:1", "", "library/busybox", "1", ""),
        ("r.example/workflows/a:1.0", "r.example", "workflows/a", "1.0", ""),
        ("R.Example/a", "R.Example", "a", "", ""),
        ("REGISTRY/a", "REGISTRY", "a", "", ""),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", "", ""),
        ("registry:5000/a:v1", "registry:5000", "a", "v1", ""),
        ("[::1]:5000/a:v1", "[::1]:5000", "a", "v1", ""),
        ("[2001:db8::1]/a", "[2001:db8::1]", "a", "", ""),
        ("localhost/a", "localhost", "a", "", ""),
        (f"r.example/a@{DIGEST}", "r.example", "a", "", DIGEST),
        (f"r.example:5000/a/b:v1@{DIGEST}", "r.example:5000", "a/b", "v1", DIGEST),
        ("r.example/a@md5:1", "r.example", "a", "", "md5:1"),
        ("r.example/a.b_c__d-e---f/0", "r.example", "a.b_c__d-e---f/0", "", ""),
        ("r.example/a:" + "x" * 128, "r.example", "a", "x" * 128, ""),
    ],
)
def test_reference_is_read(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    assert reference.parse(text) == (host, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a\n",
        "A",
        "r.example/",
        "r.example/A",
        "r.example//a",
        "r.example/a/",
        "r.example/../a",
        "r.example/a..b",
        "r.example/a___b",
        "r.example/a._b",
        "r.example/-a",
        "r.example/a-",
        "r.example/a:",
        "r.example/a:-1",
        "r.example/a:1:2",
        "r.example/a:" + "x" * 129,
        "r.example/a@",
        "r.example/a@b@c",
        "r.example:port/a",
        "r..example/a",
        "-r.example/a",
        "https://r.example/a",
        "::1/a",
        "$(params.P)",
        "r.example/$(params.P)",
        "\u0661/a",
    ],
)
def test_what_no_registry_takes_is_no_reference(text: str) -> None:
    assert reference.parse(text) is None


@pytest.mark.parametrize(
    "text", ["r.example", "r.example:5000", "localhost", "[::1]", "REGISTRY", "a:1"]
)
def test_a_registry_is_known_by_its_name(text: str) -> None:
    assert reference.is_host(text)


@pytest.mark.parametrize("text", ["", "a", "r.example/", "r.example:", "a:v1", "::1", "https://a"])
def test_no_other_name_is_one_of_a_registry(text: str) -> None:
    assert not reference.is_host(text)


@pytest.mark.parametrize(
    "text",
    [
        "r.example", "r.example:5000", "localhost", "busybox", "busybox:1.36", "a/", "r.example/",
        "r.example/team", "r.example/team-", "r.example/team/", "r.example/team:", "r.example/a:1.",
        "r.example/a@", "r.example/a:" + "x" * 127 + ".",
    ],
)  # fmt: skip
def test_a_reference_may_begin_so(text: str) -> None:
    assert reference.is_prefix(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "team-", "r.example:", "r.example.", "https://r.example/", "oci://r.example/a",
        "r.example/A", "r.example//", "r.example/../", "r.example/$(params.P)", "r.example/a*",
    ],
)  # fmt: skip
def test_no_reference_begins_so(text: str) -> None:
    assert not reference.is_prefix(text)
