"""etcd, kube-apiserver and kube-controller-manager."""

import csv
import secrets
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.stack import api, kubeconfig, pki
from tests.stack.process import Spec
from tests.stack.settings import Port, Settings

ADMIN = "admin"
CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"

_ISSUER = "https://kubernetes.default.svc"
_LOOPBACK = "127.0.0.1"


def prepare(settings: Settings) -> None:
    """Write certificates, tokens, audit policy and kubeconfigs, unless they are there."""
    if (settings.run_dir / "admin.kubeconfig").exists():
        return
    authority = pki.Authority(folder=settings.pki)
    authority.issue_server("server", _host_names(settings))
    authority.issue_client("kubelet-client", group="system:masters")
    authority.write_key_pair("service-account")
    _write_tokens(settings)
    _write_audit_policy(settings)
    system_users = (CONTROLLER_MANAGER, SCHEDULER, node_user(settings))
    for user in (*system_users, *settings.users, ADMIN):
        write_kubeconfig(settings, user)


def write_kubeconfig(settings: Settings, user: str) -> Path:
    """Write a user's kubeconfig into the run folder and return its path."""
    return kubeconfig.write(
        kubeconfig_path(settings, user),
        server_url=settings.server_url,
        ca_file=settings.pki / "ca.crt",
        user=user,
        token=tokens(settings)[user],
    )


def kubeconfig_path(settings: Settings, user: str) -> Path:
    """Return where a user's kubeconfig is."""
    return settings.run_dir / f"{user.replace(':', '-')}.kubeconfig"


def node_user(settings: Settings) -> str:
    """Return the user that the kubelet is; its name is what the Node authorizer goes by."""
    return f"system:node:{settings.node_name}"


def tokens(settings: Settings) -> Mapping[str, str]:
    """Return the token of each user of the token file."""
    with (settings.pki / "tokens.csv").open(newline="") as file:
        return {row[1]: row[0] for row in csv.reader(file)}


def client(settings: Settings, *, timeout_s: float = 15.0) -> api.Api:
    """Return a client of the apiserver for the administrator."""
    return api.Api(
        timeout_s=timeout_s,
        server_url=settings.server_url,
        ca_file=settings.pki / "ca.crt",
        token=tokens(settings)[ADMIN],
    )


def audit_log(settings: Settings) -> Path:
    """Return the apiserver's audit log: a JSON event a line.

    Its level is Metadata; creates of PipelineRuns are there with what was sent.
    """
    return settings.run_dir / "logs" / "audit.log"


def end_with_whole_line(log: Path) -> None:
    """Take off what a killed server has left of a line: the next one would write on behind it."""
    if log.exists():
        with log.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def specs(settings: Settings, programs: Mapping[str, Path]) -> list[Spec]:
    """Return the processes of the control plane in the order in which they become ready."""
    return [
        _etcd(settings, programs["etcd"]),
        _apiserver(settings, programs["kube-apiserver"]),
        _controller_manager(settings, programs["kube-controller-manager"]),
    ]


def _host_names(settings: Settings) -> list[str]:
    cluster_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    cluster_names.append("kubernetes.default.svc.cluster.local")
    addresses = [_LOOPBACK, settings.service_ip, settings.bridge_ip]
    return ["localhost", *cluster_names, *addresses]


def _write_tokens(settings: Settings) -> None:
    users: dict[str, tuple[str, ...]] = {
        ADMIN: ("system:masters",),
        CONTROLLER_MANAGER: (),
        SCHEDULER: (),
        node_user(settings): ("system:nodes",),
        **settings.users,
    }
    path = settings.pki / "tokens.csv"
    path.touch(mode=0o600)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for user, groups in users.items():
            writer.writerow([secrets.token_hex(16), user, user, ",".join(groups)])


def _write_audit_policy(settings: Settings) -> None:
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        # A line at the arrival too tells a reader what has no line of its end yet.
        "rules": [
            {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived"]},
            {"level": "Metadata", "nonResourceURLs": ["*"], "omitStages": ["RequestReceived"]},
            # Whose run it is stands in the body alone.
            {
                "level": "Request",
                "verbs": ["create"],
                "resources": [{"group": "tekton.dev", "resources": ["pipelineruns"]}],
            },
            {"level": "Metadata"},
        ],
    }
    (settings.pki / "audit-policy.yaml").write_text(yaml.safe_dump(policy))


def _etcd(settings: Settings, program: Path) -> Spec:
    url = f"http://{_LOOPBACK}:{settings.port(Port.ETCD)}"
    peer_url = f"http://{_LOOPBACK}:{settings.port(Port.ETCD_PEER)}"
    return Spec(
        name="etcd",
        argv=(
            str(program),
            f"--data-dir={settings.run_dir / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        missing=lambda: api.answers(f"{url}/health"),
    )


def _apiserver(settings: Settings, program: Path) -> Spec:
    keys = settings.pki
    flags = [
        f"--etcd-servers=http://{_LOOPBACK}:{settings.port(Port.ETCD)}",
        f"--secure-port={settings.port(Port.APISERVER)}",
        f"--tls-cert-file={keys / 'server.crt'}",
        f"--tls-private-key-file={keys / 'server.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--token-auth-file={keys / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={keys / 'service-account.pub'}",
        f"--service-account-signing-key-file={keys / 'service-account.key'}",
        f"--service-cluster-ip-range={settings.service_subnet}",
        "--allow-privileged=true",
        # Webhook services are reached at their endpoints, which needs no service proxy.
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={keys / 'audit-policy.yaml'}",
        f"--audit-log-path={audit_log(settings)}",
        # In MiB; a rotated file would hide earlier requests from those who count them.
        "--audit-log-maxsize=100000",
        # Without it an orderly stop waits a minute for watches that never end.
        "--shutdown-watch-termination-grace-period=1s",
    ]
    if settings.real_node:
        flags += ["--bind-address=0.0.0.0", f"--advertise-address={settings.bridge_ip}"]
    else:
        flags += [f"--bind-address={_LOOPBACK}", "--endpoint-reconciler-type=none"]
    return Spec(
        name="kube-apiserver",
        argv=(str(program), *flags, *settings.apiserver_flags),
        missing=lambda: _apiserver_missing(settings),
    )


def _apiserver_missing(settings: Settings) -> str | None:
    return api.answers(f"{settings.server_url}/readyz", settings.pki / "ca.crt")


def _controller_manager(settings: Settings, program: Path) -> Spec:
    config = kubeconfig_path(settings, CONTROLLER_MANAGER)
    keys = settings.pki
    return Spec(
        name="kube-controller-manager",
        argv=(
            str(program),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--authentication-tolerate-lookup-failure",
            f"--bind-address={_LOOPBACK}",
            f"--secure-port={settings.port(Port.CONTROLLER_MANAGER)}",
            f"--tls-cert-file={keys / 'server.crt'}",
            f"--tls-private-key-file={keys / 'server.key'}",
            f"--root-ca-file={keys / 'ca.crt'}",
            f"--service-account-private-key-file={keys / 'service-account.key'}",
            "--use-service-account-credentials=true",
            # The default of 20 requests a second would spend five seconds on making the accounts.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--leader-elect=false",
            "--controllers=*,-nodeipam,-cloud-node-lifecycle,-service-lb-controller,"
            "-node-route-controller",
            *settings.controller_manager_flags,
        ),
        missing=lambda: _controller_manager_missing(settings),
    )


def _controller_manager_missing(settings: Settings) -> str | None:
    url = f"https://{_LOOPBACK}:{settings.port(Port.CONTROLLER_MANAGER)}/healthz"
    if (missing := api.answers(url, settings.pki / "ca.crt")) is not None:
        return missing
    administrator = client(settings, timeout_s=api.PROBE_TIMEOUT_S)
    for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
        try:
            if not administrator.exists(f"/api/v1/namespaces/default/{path}"):
                return f"{path} is not there yet"
        except OSError as error:
            return str(error)
    return None
