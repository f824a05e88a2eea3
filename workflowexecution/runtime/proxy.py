"""The proxy that the environment names for a server, by the rules of client-go.

Source: Go, golang.org/x/net/http/httpproxy, Config and FromEnvironment.
"""

import ipaddress
import os
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from workflowexecution.runtime import errors

_PORTS = {"http": 80, "https": 443}

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Server(NamedTuple):
    """What a rule is compared with; `ip` where the host is an address."""

    host: str
    port: int
    ip: _Ip | None


def of_environment(server: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the proxy for a server; empty: none.

    `HTTPS_PROXY` or `HTTP_PROXY`, by the server's scheme, unless `NO_PROXY` holds the server:
    separated by commas an address, a range as `10.96.0.0/12`, a host with all below it, `.host` for
    what is below it alone, each but the range with a port or without; or `*` for all. The names may
    be in small letters, too; capitals win. This machine is asked directly.

    Args:
        server: its URL.
        environ: the environment.

    Raises:
        errors.ConnectionConfigError: the server's URL is none, or the proxy's is.
    """
    try:
        parts = urllib.parse.urlsplit(server)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # Without its text, which may hold a password, and without the cause, which quotes it.
        message = "the server's URL is none: its host or its port cannot be read"
        raise errors.ConnectionConfigError(message) from None
    if parts.scheme not in _PORTS:
        return ""
    named = _variable(environ, f"{parts.scheme.upper()}_PROXY")
    asked = _Server(host, _PORTS[parts.scheme] if port is None else port, _ip(host))
    if not named or _is_here(asked) or _is_spared(asked, _variable(environ, "NO_PROXY")):
        return ""
    return _url(named)


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.lower(), "")


def _url(named: str) -> str:
    """Return the proxy's URL: without a scheme it is an HTTP proxy's."""
    url = named if "://" in named else f"http://{named}"
    try:
        parts = urllib.parse.urlsplit(url)
        # A port that is none raises.
        is_url = bool(parts.scheme and parts.hostname) and parts.port != -1
    except ValueError:
        is_url = False
    if not is_url:
        # Without its text, which may hold a password.
        message = "the proxy that the environment names is no URL"
        raise errors.ConnectionConfigError(message)
    return url


def _ip(text: str) -> _Ip | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    # The same address in the other family's form.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _is_here(asked: _Server) -> bool:
    return asked.host == "localhost" or (asked.ip is not None and asked.ip.is_loopback)


def _is_spared(asked: _Server, no_proxy: str) -> bool:
    rules = (it.strip().lower() for it in no_proxy.split(","))
    return any(_holds(rule, asked) for rule in rules if rule)


def _holds(rule: str, asked: _Server) -> bool:
    """Whether one entry of NO_PROXY means the server."""
    if rule == "*":
        return True
    if "/" in rule:
        return _is_within(rule, asked.ip)
    host, port = _split(rule)
    if not host or port not in {"", str(asked.port)}:
        return False
    ip = _ip(host)
    if ip is not None:
        return ip == asked.ip
    below = host[1:] if host.startswith("*.") else host
    if below.startswith("."):
        return asked.host.endswith(below)
    return asked.host == below or asked.host.endswith(f".{below}")


def _is_within(rule: str, ip: _Ip | None) -> bool:
    try:
        network = ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
    return ip is not None and ip in network


def _split(rule: str) -> tuple[str, str]:
    """Return host and port of an entry; an IPv6 address has brackets where it has a port."""
    if rule.startswith("["):
        host, _, port = rule[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = rule.rpartition(":")
    return (host, port) if colon and ":" not in host else (rule, "")
