"""The proxy that a machine asks for: ``https_proxy``, ``http_proxy`` and ``no_proxy``."""

from __future__ import annotations

import base64
import ipaddress
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Dict, Optional

from strata.registry.errors import RegistryError
from strata.registry.url import Url


@dataclass(frozen=True)
class Proxy:
    host: str
    port: int
    headers: Dict[str, str] = field(default_factory=dict, repr=False, compare=False)


def proxy_for(url: Url) -> Optional[Proxy]:
    """None where ``url`` is to be reached directly; this machine itself always is.

    Raises RegistryError for a proxy that is not one over HTTP.
    """
    if _is_loopback(url.host):
        return None
    # The module's types do not have this function.
    proxies: Dict[str, str] = urllib.request.getproxies_environment()  # type: ignore[attr-defined]
    text = proxies.get(url.scheme)
    if not text or urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
        f"{url.host}:{url.port}", proxies
    ):
        return None
    parts = urllib.parse.urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or not parts.hostname:
        raise RegistryError(
            f"{url.scheme}_proxy in the environment is no proxy such as 'http://proxy.example:3128'"
        )
    headers = {}
    if parts.username is not None:
        user = urllib.parse.unquote(parts.username)
        password = urllib.parse.unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    return Proxy(parts.hostname, parts.port or 80, headers)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
