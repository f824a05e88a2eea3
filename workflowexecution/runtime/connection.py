"""The way to the API server: where it is, who we are, and sessions to talk through."""

import asyncio
import base64
import dataclasses
import datetime
import os
import pathlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp
import structlog
import yaml

from workflowexecution.runtime import (
    clock,
    credentials,
    errors,
    execplugin,
    kubeconfig,
    kubelibrary,
    proxy,
    resource,
    trust,
)

SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts token and CA certificate of a pod."""

_PROVIDERS = {"gcp", "oidc"}
"""Authentication providers that the library's loader renews by loading again."""

R = TypeVar("R")

_log = structlog.get_logger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and how to be let in; sessions are opened from it.

    `configuration` is the library's: host, CA, client certificate, proxy.
    """

    configuration: Any
    credentials: credentials.Credentials

    @property
    def server(self) -> str:
        """URL of the API server, without a slash at its end."""
        return str(self.configuration.host).rstrip("/")

    def request_options(self) -> dict[str, Any]:
        """Say what each request needs besides its content: proxy and TLS server name.

        Raises:
            errors.ConnectionConfigError: the proxy is of a kind that is not supported, or its URL
                or the server's is none.
        """
        options: dict[str, Any] = {}
        chosen = self.configuration.proxy or proxy.of_environment(self.server)
        if chosen:
            if not chosen.startswith(("http://", "https://")):
                message = "only http and https proxies are supported"
                raise errors.ConnectionConfigError(message)
            options["proxy"] = chosen
        if self.configuration.tls_server_name:
            options["server_hostname"] = self.configuration.tls_server_name
        return options

    def load_trust(self) -> trust.Trust:
        """Load the certificates; whoever does follows their files by itself.

        Raises:
            errors.ConnectionConfigError: one cannot be used.
        """
        configuration = self.configuration
        files = trust.Files(
            ca=configuration.ssl_ca_cert or "",
            cert=configuration.cert_file or "",
            key=configuration.key_file or "",
            verify=bool(configuration.verify_ssl),
        )
        try:
            return trust.Trust(files)
        except OSError as error:
            message = f"certificates cannot be loaded: {error}"
            raise errors.ConnectionConfigError(message) from error

    def open_session(
        self, *, limit: int, trace_configs: Sequence[aiohttp.TraceConfig] = ()
    ) -> aiohttp.ClientSession:
        """Open a session with connections of its own; the caller closes it.

        TLS is not its matter: each request brings the context of that moment.

        Args:
            limit: the most connections at the same time; further requests wait.
            trace_configs: hooks that see each request.
        """
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=list(trace_configs),
        )


async def connect(
    *,
    kubeconfig: str = "",
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime.datetime] = clock.utc_now,
) -> Connection:
    """Find the way to the API server and get the first credentials.

    In this order: the given file; the files of KUBECONFIG; the pod's service account; the file
    `~/.kube/config`.

    Args:
        kubeconfig: a file, or several separated by colons; empty: look around.
        environ: the environment.
        now: the wall time in UTC, for the expiry of credentials.

    Raises:
        errors.ConnectionConfigError: there is none, or it cannot be used. The text holds no secret.
    """
    paths = kubeconfig or environ.get("KUBECONFIG", "")
    if not paths and environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster(environ)
    paths = paths or "~/.kube/config"
    work = _from_kubeconfig(paths, environ, now)
    return await _explained(paths, 2 * credentials.FETCH_LIMIT_S, work)


async def _explained(paths: str, limit_s: float, work: Awaitable[R]) -> R:
    """Let the library do its work with a kubeconfig, for so long, and say why it cannot.

    Raises:
        errors.ConnectionConfigError: it cannot. The text holds no secret.
    """
    library = kubelibrary.load()
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except errors.ClusterError:
        raise
    except library.config_exception.ConfigException as error:
        # What follows quotes the file's contents, tokens included.
        reason = str(error).partition(" in ")[0]
    except TimeoutError:
        reason = "the authentication provider does not answer"
    except (OSError, yaml.YAMLError, aiohttp.ClientError) as error:
        reason = str(error)
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
        # The library's way to say that the structure is not what it expects.
        reason = f"{type(error).__name__} while it was read"
    message = f"kubeconfig {paths} cannot be used: {reason}"
    raise errors.ConnectionConfigError(message)


def own_namespace(environ: Mapping[str, str] = os.environ) -> str:
    """Return the namespace of the pod that this is; empty outside of one."""
    try:
        mounted = (SERVICE_ACCOUNT / "namespace").read_text("utf-8").strip()
    except (OSError, UnicodeError):
        mounted = ""
    return environ.get("POD_NAMESPACE") or mounted


def _new_configuration() -> Any:  # noqa: ANN401 - a class of the library, which is not typed
    return kubelibrary.load().configuration.Configuration()


def _in_cluster(environ: Mapping[str, str]) -> Connection:
    library = kubelibrary.load()
    configuration = _new_configuration()
    token = str(SERVICE_ACCOUNT / "token")
    try:
        library.incluster_config.InClusterConfigLoader(
            token_filename=token,
            cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
            try_refresh_token=False,
            environ=environ,
        ).load_and_set(configuration)
    except (library.config_exception.ConfigException, OSError) as error:
        message = f"service account cannot be used: {error}"
        raise errors.ConnectionConfigError(message) from error
    return Connection(configuration, credentials.TokenFile(token))


async def _from_kubeconfig(
    paths: str, environ: Mapping[str, str], now: Callable[[], datetime.datetime]
) -> Connection:
    """Load with the library, except for what it does once only: exec plugin and token file."""
    library = kubelibrary.load()
    merged = kubeconfig.merge(paths)
    context = kubeconfig.current_context(merged.config_files)
    chosen = kubeconfig.choose(merged.config.value, context)
    own = await _own_credentials(chosen, environ, now)
    configuration = _new_configuration()
    loader = library.kube_config.KubeConfigLoader(
        config_dict=merged.config, config_base_path=None, active_context=context
    )
    await loader.load_and_set(configuration)
    if not configuration.host:
        message = f"kubeconfig {paths} names no server"
        raise errors.ConnectionConfigError(message)

    async def load() -> credentials.Fetched:
        await loader.load_and_set(configuration)
        return credentials.Fetched(_authorization(configuration))

    async def load_again() -> credentials.Fetched:
        return await _explained(paths, credentials.FETCH_LIMIT_S, load())

    if own is None and loader.provider in _PROVIDERS:
        first = credentials.Fetched(_authorization(configuration))
        own = credentials.FetchedToken(first=first, fetch=load_again, now=now)
    return Connection(configuration, own or credentials.Fixed(_authorization(configuration)))


def _authorization(configuration: Any) -> str:  # noqa: ANN401 - a class of the untyped library
    """Return the header's value that the library has put together.

    Raises:
        errors.ConnectionConfigError: its token can be none.
    """
    value = str(configuration.api_key.get("BearerToken", "")).strip()
    kind, _, token = value.partition(" ")
    return credentials.bearer(token, "the kubeconfig's user") if kind == "Bearer" else value


async def _own_credentials(
    chosen: kubeconfig.Chosen,
    environ: Mapping[str, str],
    now: Callable[[], datetime.datetime],
) -> credentials.Credentials | None:
    """Take out of the user section what is renewed here, and make its paths absolute."""
    user, folder = chosen.user.fields, chosen.user.folder
    for name in ("client-certificate", "client-key"):
        if name in user:
            user[name] = str(pathlib.Path(folder, user[name]))
    token_file = user.pop("tokenFile", None)
    if token_file:
        return credentials.TokenFile(str(pathlib.Path(folder, token_file)))
    section = user.pop("exec", None)
    if not section:
        return None
    asks = kubeconfig.flag_of(section, "provideClusterInfo")
    plugin = execplugin.ExecPlugin(
        section,
        folder=folder,
        environ=environ,
        cluster=kubeconfig.describe(chosen.cluster) if asks else None,
    )
    status = await plugin.run()
    if _take_certificate(status, user) and not status.get("token"):
        return credentials.Fixed()

    async def fetch() -> credentials.Fetched:
        return execplugin.token_of(await plugin.run())

    return credentials.FetchedToken(first=execplugin.token_of(status), fetch=fetch, now=now)


def _take_certificate(status: resource.JsonObject, user: dict[str, Any]) -> bool:
    """Hand a plugin's certificate on as inline data, which the library puts into files for TLS.

    It is not renewed: whoever reads the log can restart the program in time.
    """
    found = execplugin.certificate_of(status)
    if found is None:
        return False
    for name, text in (
        ("client-certificate-data", found.certificate),
        ("client-key-data", found.key),
    ):
        user[name] = base64.standard_b64encode(text.encode()).decode()
    expires_at = execplugin.expiry_of(status)
    if expires_at is not None:
        _log.warning(
            "Client certificate of the credential plugin is not renewed: restart before it expires",
            expires_at=expires_at.isoformat(),
        )
    return True
