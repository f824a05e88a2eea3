"""The bridge of one stack and its firewall rules.

Pods reach the apiserver under the address of the service `kubernetes`, which one DNAT rule leads
to the bridge. The apiserver and Tekton's webhook listen on all addresses then; two more rules let
the pods in and keep other machines out.
"""

import shlex
import subprocess
from pathlib import Path

from tests.stack import debian, errors
from tests.stack.settings import Port, Settings

_DEADLINE_S = 30


def create(settings: Settings) -> None:
    """Make the bridge and the rules, unless they are there."""
    bridge = settings.label
    if not Path(f"/sys/class/net/{bridge}").exists():
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "address", "add", f"{settings.bridge_ip}/24", "dev", bridge)
    _run("ip", "link", "set", bridge, "up")
    if not _rules(settings):
        for table, *rule in _wanted_rules(settings):
            _run("iptables", "--wait", "--table", table, "--insert", *rule)


def remove(settings: Settings) -> None:
    """Remove the rules and the bridge; what is not there is no error."""
    for table, rule in _rules(settings):
        _run("iptables", "--wait", "--table", table, "--delete", *rule)
    if Path(f"/sys/class/net/{settings.label}").exists():
        _run("ip", "link", "delete", settings.label)


def _wanted_rules(settings: Settings) -> list[list[str]]:
    port = str(settings.port(Port.APISERVER))
    bridge = settings.label
    comment = ["--match", "comment", "--comment", settings.label]
    redirect = ["--jump", "DNAT", "--to-destination", f"{settings.bridge_ip}:{port}"]
    to_service = ["--destination", settings.service_ip, "--protocol", "tcp", "--dport", "443"]
    to_stack = ["--protocol", "tcp", "--dport", f"{settings.base_port}:{settings.last_port}"]
    # Each is inserted at the top, so the last one is asked first.
    return [
        ["nat", "PREROUTING", "--in-interface", bridge, *to_service, *comment, *redirect],
        ["filter", "INPUT", "!", "--in-interface", "lo", *to_stack, *comment, "--jump", "DROP"],
        ["filter", "INPUT", "--in-interface", bridge, *comment, "--jump", "ACCEPT"],
    ]


def _rules(settings: Settings) -> list[tuple[str, list[str]]]:
    """Return this stack's rules, each as its table and what follows --delete."""
    found = []
    for table in ("nat", "filter"):
        for line in _run("iptables-save", "--table", table).splitlines():
            words = shlex.split(line)
            if words[:1] == ["-A"] and settings.label in words:
                found.append((table, words[1:]))
    return found


def _run(program: str, *arguments: str) -> str:
    command = [debian.find(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
    if done.returncode != 0:
        raise errors.StackError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
