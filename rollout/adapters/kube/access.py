"""How to get into a cluster: kubeconfig or service account, proxy, and credentials that can be renewed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from rollout import __version__
from rollout.errors import InvalidInput

SERVICE_HOST = "KUBERNETES_SERVICE_HOST"


@dataclass(slots=True)
class Access:
    """A way into one cluster. `files` empty means the service account of the pod we run in."""

    files: tuple[str, ...]
    context: str | None
    configuration: Configuration
    namespace: str = "default"
    """The namespace of the kubeconfig context."""

    async def load(self) -> None:
        """Read the configuration and run its credential plugin; call it again to renew expired credentials.

        Raises:
            InvalidInput: the kubeconfig cannot be used; says which file, never what it holds.
        """
        where = os.pathsep.join(self.files) or "the pod's service account"
        try:
            if not self.files:
                config.load_incluster_config(self.configuration)
                return
            loader = await config.load_kube_config(
                config_file=where, context=self.context, client_configuration=self.configuration, persist_config=False
            )
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 0
            raise InvalidInput("not valid YAML", where=f"{where}:{line}") from None
        except (config.ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # the library's texts quote whole entries of the file, tokens included
            raise self._unusable(where, error) from None
        self._check(loader, where)

    def _unusable(self, where: str, error: Exception) -> InvalidInput:
        check = "check it with: kubectl config view"
        if self.files and self.context:
            names = _contexts(where)
            if names and self.context not in names:
                return InvalidInput(
                    f"no context {self.context}; there are: {', '.join(names)}", where=where, hint=check
                )
        return InvalidInput(f"cannot be used as a kubeconfig ({type(error).__name__})", where=where, hint=check)

    def _check(self, loader: Any, where: str) -> None:
        """The library goes on without a server, and without credentials when their plugin failed: stop here instead."""
        if urlsplit(self.configuration.host).scheme not in ("http", "https"):
            raise InvalidInput("the cluster of this context has no server address", where=where)
        user = loader._user
        if user is not None and "exec" in user and not ({"token", "cert_file"} & set(vars(loader))):
            raise InvalidInput(
                "the credential plugin of this context failed",
                where=where,
                hint="run the command in its `exec` section by hand, or log in again",
            )
        context = loader.current_context
        self.context = context["name"]
        self.namespace = context["context"].get("namespace") or "default"


async def find(kubeconfig: str | None, context: str | None) -> tuple[Access, ApiClient]:
    """The access that kubectl would use: the named file, $KUBECONFIG, ~/.kube/config, or the pod's service account.

    Raises:
        InvalidInput: there is none, or it cannot be used.
    """
    access = Access(_files(kubeconfig), context, Configuration())
    # the session would look for proxies at every request, at more cost than the request itself: we look once
    access.configuration.client_session_kwargs = {"trust_env": False}
    await access.load()
    if not access.configuration.proxy:
        access.configuration.proxy = _proxy(access.configuration.host)
    client = ApiClient(configuration=access.configuration)
    client.user_agent = f"rollout/{__version__}"
    return access, client


def _files(kubeconfig: str | None) -> tuple[str, ...]:
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    candidates = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    candidates = candidates or [Path("~/.kube/config").expanduser()]
    found = tuple(str(path) for path in candidates if path.is_file())
    if found:
        return found
    if not named and os.environ.get(SERVICE_HOST):
        return ()
    missing = ", ".join(str(path) for path in candidates)
    raise InvalidInput(
        f"no kubeconfig: {missing} does not exist",
        hint="name one with --kubeconfig FILE or KUBECONFIG; without a cluster, try: rollout demo",
    )


def _contexts(where: str) -> tuple[str, ...]:
    try:
        contexts, _ = config.list_kube_config_contexts(where)
        return tuple(context["name"] for context in contexts)
    except (config.ConfigException, TypeError, KeyError):
        return ()


def _proxy(host: str) -> str | None:
    """The environment's proxy for this server, unless NO_PROXY excludes it."""
    url = urlsplit(host)
    if not url.hostname or proxy_bypass(url.hostname):
        return None
    return getproxies().get(url.scheme)
