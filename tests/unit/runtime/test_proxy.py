"""Which servers are asked through a proxy; each case as Go's httpproxy decides it."""

import traceback

import pytest

from workflowexecution.runtime import errors, proxy

PROXY = "http://proxy:3128"


def chosen(server: str, spared: str = "", **environ: str) -> str:
    given = {"HTTPS_PROXY": PROXY, "NO_PROXY": spared, **environ}
    return proxy.of_environment(server, given)


@pytest.mark.parametrize(
    "server",
    ["http://localhost:1", "https://localhost", "https://127.0.0.1:6443", "https://127.9.9.9",
     "https://[::1]:6443", "https://[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_this_machine_is_asked_directly(server: str) -> None:
    assert chosen(server, HTTP_PROXY=PROXY) == ""


@pytest.mark.parametrize(
    ("server", "no_proxy"),
    [
        pytest.param("https://10.96.0.1:443", "10.96.0.0/12", id="range"),
        pytest.param("https://10.96.0.1", "10.97.1.2/12", id="range-with-host-bits"),
        pytest.param("https://[fd00::1]", "fd00::/8", id="range-of-ipv6"),
        pytest.param("https://[::ffff:10.0.0.1]", "10.0.0.0/8", id="mapped-in-a-range"),
        pytest.param("https://10.96.0.1", "10.96.0.1", id="address"),
        pytest.param("https://10.96.0.1", "10.96.0.1:443", id="address-and-default-port"),
        pytest.param("https://10.96.0.1:6443", "10.96.0.1:6443", id="address-and-port"),
        pytest.param("https://[fd00::1]", "fd00::1", id="ipv6"),
        pytest.param("https://[fd00::1]", "[fd00::1]", id="ipv6-in-brackets"),
        pytest.param("https://[fd00::1]:6443", "[fd00:0::1]:6443", id="ipv6-and-port"),
        pytest.param("https://api.example", "api.example", id="host"),
        pytest.param("https://API.example", "api.Example", id="host-in-another-case"),
        pytest.param("https://api.example:6443", "api.example:6443", id="host-and-port"),
        pytest.param("https://a.b.example", "example", id="below-a-host"),
        pytest.param("https://kubernetes.default.svc", ".svc", id="below"),
        pytest.param("https://kubernetes.default.svc", "*.svc:443", id="below-and-port"),
        pytest.param("https://api.example", "*", id="all"),
        pytest.param("https://api.example", " one ,, api.example ", id="one-of-several"),
    ],
)
def test_server_that_is_spared_is_asked_directly(server: str, no_proxy: str) -> None:
    assert chosen(server, no_proxy) == ""
    assert chosen(server, no_proxy=no_proxy) == ""


@pytest.mark.parametrize(
    ("server", "no_proxy"),
    [
        pytest.param("https://api.example", "", id="none"),
        pytest.param("https://10.96.0.1", "10.112.0.0/12", id="another-range"),
        pytest.param("https://10.96.0.1", "10.96.0.0/99", id="no-range"),
        pytest.param("https://api.example", "10.96.0.0/12", id="range-for-a-host"),
        pytest.param("https://10.96.0.1", "10.96.0.2", id="another-address"),
        pytest.param("https://10.96.0.1:6443", "10.96.0.1:443", id="another-port"),
        pytest.param("https://api.example", "api.example:80", id="another-port-of-a-host"),
        pytest.param("https://fapi.example", "api.example", id="end-of-a-host"),
        pytest.param("https://svc", ".svc", id="not-below"),
        pytest.param("https://svc", "*.svc", id="not-below-by-star"),
        pytest.param("https://api.example", ":443", id="port-alone"),
        pytest.param("https://[fd00::1]", "[]:443", id="brackets-alone"),
        pytest.param("https://kubernetes", "kubernetes.default.svc", id="host-above"),
    ],
)
def test_server_that_is_not_spared_is_asked_through_the_proxy(server: str, no_proxy: str) -> None:
    assert chosen(server, no_proxy) == PROXY


@pytest.mark.parametrize(
    ("named", "url"),
    [
        pytest.param("proxy:3128", "http://proxy:3128", id="no-scheme"),
        pytest.param("proxy", "http://proxy", id="host-alone"),
        pytest.param("10.0.0.1:3128", "http://10.0.0.1:3128", id="address"),
        pytest.param("u:p@proxy:3128", "http://u:p@proxy:3128", id="password"),
        pytest.param("https://proxy:3128", "https://proxy:3128", id="scheme"),
        pytest.param("socks5://proxy:3128", "socks5://proxy:3128", id="another-scheme"),
    ],
)
def test_proxy_may_lack_its_scheme(named: str, url: str) -> None:
    assert chosen("https://one", HTTPS_PROXY=named) == url


@pytest.mark.parametrize("named", ["http://", "http://[::1", "[", "proxy:secret", "http:///secret"])
def test_proxy_that_is_no_url_is_refused_without_its_text(named: str) -> None:
    with pytest.raises(errors.ConnectionConfigError, match=r"names is no URL$"):
        chosen("https://one", HTTPS_PROXY=named)


def test_proxy_is_that_of_the_scheme() -> None:
    environ = {"HTTP_PROXY": "http://a", "https_proxy": "http://b", "ALL_PROXY": "http://c"}
    assert proxy.of_environment("http://one", environ) == "http://a"
    assert proxy.of_environment("https://one", environ) == "http://b"
    assert proxy.of_environment("https://one", {"ALL_PROXY": "http://c"}) == ""
    assert proxy.of_environment("one:443", environ) == ""


def test_capitals_win_over_small_letters() -> None:
    assert chosen("https://one", https_proxy="http://small") == PROXY
    assert chosen("https://one", "two", no_proxy="one") == PROXY


@pytest.mark.parametrize("server", ["https://[::1", "https://one:999999", "https://u:secret"])
def test_server_that_is_no_url_is_refused_without_its_text(server: str) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="the server's URL is none") as caught:
        chosen(server)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
