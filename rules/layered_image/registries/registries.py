"""``[layered-images].registries``: where images go to and come from, by alias or address.

Aliases, defaults and keys mean what they mean in ``[docker].registries`` of Pants' docker backend;
``plain_http``, ``mirrors`` and ``ca_file`` say how a registry is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from strata.errors import StrataError
from strata.registry.reference import parse_reference

ALL_DEFAULT_REGISTRIES = "<all default registries>"

_OPTION = "[layered-images].registries"
_PLAIN_WAY: Tuple[bool, Tuple[str, ...], str] = (False, (), "")
_BOOLEANS = ("default", "skip_push", "use_local_alias", "plain_http", "sign")
_LISTS = ("extra_image_tags", "mirrors")
_STRINGS = ("address", "repository", "ca_file")


@dataclass(frozen=True)
class Registry:
    """``address`` is a host with an optional port, and may have the first part of a repository's
    name after it. ``repository`` is a template, or empty. ``ca_file`` is a path, relative to the
    build root unless it is absolute."""

    address: str
    alias: str = ""
    default: bool = False
    skip_push: bool = False
    extra_image_tags: Tuple[str, ...] = ()
    repository: str = ""
    use_local_alias: bool = False
    plain_http: bool = False
    sign: bool = False
    mirrors: Tuple[str, ...] = ()
    ca_file: str = ""

    @property
    def way(self) -> Tuple[bool, Tuple[str, ...], str]:
        """How it is reached."""
        return (self.plain_http, self.mirrors, self.ca_file)

    @property
    def host(self) -> str:
        """As it stands in names of images, with Docker Hub's names made one."""
        return parse_reference(f"{self.address}/name").registry


@dataclass(frozen=True)
class Registries:
    """``known`` is in the order of the option."""

    known: Tuple[Registry, ...] = ()

    @classmethod
    def from_option(cls, table: Mapping[str, Any]) -> "Registries":
        """Raises StrataError for an entry with unknown keys, wrong values or a bad address."""
        return cls(tuple(_registry(alias, entry) for alias, entry in table.items()))

    @property
    def defaults(self) -> Tuple[Registry, ...]:
        found = {item.address: item for item in self.known if item.default}
        return tuple(found[address] for address in sorted(found))

    def get(self, names: Iterable[str]) -> Tuple[Registry, ...]:
        """The registries that a ``registries`` field names: ``@alias``, an address, or all default
        ones. An address need not be configured.

        Raises StrataError for an alias that nobody defined.
        """
        found: List[Registry] = []
        for name in names:
            if name == ALL_DEFAULT_REGISTRIES:
                found += self.defaults
            else:
                found.append(self.find(name))
        return tuple(dict.fromkeys(found))

    def find(self, name: str) -> Registry:
        """One registry by ``@alias`` or address. Raises StrataError as ``get``."""
        for item in self.known:
            if name in (f"@{item.alias}", item.address):
                return item
        if name.startswith("@"):
            aliases = ", ".join(f"@{item.alias}" for item in self.known) or "none"
            raise StrataError(f"there is no registry {name} in {_OPTION}; it has {aliases}")
        _check_address(name)
        return Registry(name)

    def ways(self, hosts: Iterable[str]) -> Dict[str, Registry]:
        """By host, the entry that says how it is reached; nothing for a host that none speaks of.

        Raises StrataError where two entries say different things about one host.
        """
        found: Dict[str, Registry] = {}
        for host in hosts:
            saying = [item for item in self.known if item.host == host and item.way != _PLAIN_WAY]
            if len({item.way for item in saying}) > 1:
                raise StrataError(
                    f"{_OPTION}: {' and '.join(item.alias for item in saying)} differ in "
                    f"`plain_http`, `mirrors` or `ca_file`, and there is one way to reach {host}"
                )
            if saying:
                found[host] = saying[0]
        return found


def _registry(alias: str, entry: Any) -> Registry:
    where = f"{_OPTION}.{alias}"
    if not isinstance(entry, Mapping):
        raise StrataError(f"{where}: it must be a table with an `address`, not {entry!r}")
    unknown = sorted(set(entry) - {*_BOOLEANS, *_LISTS, *_STRINGS})
    if unknown:
        known = ", ".join(sorted((*_BOOLEANS, *_LISTS, *_STRINGS)))
        raise StrataError(f"{where}: there is no key {', '.join(unknown)}; there are {known}")
    if not entry.get("address"):
        raise StrataError(f"{where}: it has no `address`, such as 'registry.example:5000'")
    values: Dict[str, Any] = {"default": alias == "default"}
    for key, value in entry.items():
        if key in _BOOLEANS:
            values[key] = _boolean(where, key, value)
        elif key in _LISTS:
            if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
                raise StrataError(f"{where}: `{key}` must be a list of strings, not {value!r}")
            values[key] = tuple(value)
        elif not isinstance(value, str):
            raise StrataError(f"{where}: `{key}` must be a string, not {value!r}")
        else:
            values[key] = value
    values["address"] = values["address"].rstrip("/")
    try:
        _check_address(values["address"])
    except StrataError as error:
        raise StrataError(f"{where}: {error}") from error
    return Registry(alias=alias, **values)


def _check_address(address: str) -> None:
    host = address.partition("/")[0]
    if not ("." in host or ":" in host or host == "localhost") or "://" in address:
        raise StrataError(
            f"{address!r} is no address of a registry: that is a host with an optional port, such "
            "as 'registry.example' or 'localhost:5000', without 'https://' (for plain HTTP set "
            f"`plain_http = true` in {_OPTION})"
        )
    parse_reference(f"{address}/name")


def _boolean(where: str, key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    # Environment variables and files of options may have them as text.
    text = str(value).lower()
    if text not in ("true", "false"):
        raise StrataError(f"{where}: `{key}` must be true or false, not {value!r}")
    return text == "true"
