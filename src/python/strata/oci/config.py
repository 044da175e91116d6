"""The container configuration of an image, validated.

Keys are those of the "config" object in the Docker image specification v1.3 and the OCI image
specification, "OCI Image Configuration". Values may be written the way people write them (a dict
for ``Env``, a list for ``ExposedPorts``); the result has the specification's shapes.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Callable, Dict, List, Mapping

from strata.errors import StrataError

_PORT = re.compile(r"\d{1,5}(-\d{1,5})?(/(tcp|udp|sctp))?")
_SIGNAL = re.compile(r"SIG[A-Z0-9+-]+|\d{1,2}")


def validated_config(config: Mapping[str, Any]) -> Dict[str, Any]:
    """Raises StrataError for an unknown key and for a value of the wrong shape, naming the key."""
    result: Dict[str, Any] = {}
    for key in sorted(config):
        check = _KEYS.get(key)
        if check is None:
            lower = {known.lower(): known for known in _KEYS}
            near = difflib.get_close_matches(key.lower(), lower, n=1)
            hint = f"; did you mean {lower[near[0]]!r}?" if near else "."
            raise StrataError(
                f"config: unknown key {key!r}{hint} The keys are {', '.join(sorted(_KEYS))}."
            )
        result[key] = check(key, config[key])
    return result


def _wrong(key: str, wanted: str, value: Any) -> StrataError:
    return StrataError(f"config: {key!r} must be {wanted}, not {value!r}")


def _string(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(key, "a string", value)
    return value


def _strings(key: str, value: Any) -> List[str]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise _wrong(key, "a list of strings", value)
    if not all(isinstance(item, str) for item in value):
        raise _wrong(key, "a list of strings", value)
    return list(value)


def _environment(key: str, value: Any) -> List[str]:
    if isinstance(value, Mapping):
        for name, text in value.items():
            if not isinstance(name, str) or not isinstance(text, str) or "=" in name:
                raise _wrong(key, "a dict of strings or a list of 'NAME=value'", value)
        value = [f"{name}={text}" for name, text in sorted(value.items())]
    result = _strings(key, value)
    for item in result:
        if not item.partition("=")[0] or "=" not in item:
            raise _wrong(key, "a list of 'NAME=value'", item)
    return result


def _set(key: str, value: Any) -> Dict[str, Dict[str, Any]]:
    """A JSON set: an object whose values are empty objects."""
    if isinstance(value, Mapping) and any(value.values()):
        raise _wrong(key, "a list of strings, or a dict with empty dicts as values", value)
    names = _strings(key, list(value) if isinstance(value, Mapping) else value)
    return {name: {} for name in sorted(names)}


def _ports(key: str, value: Any) -> Dict[str, Dict[str, Any]]:
    ports = _set(key, value)
    for port in ports:
        numbers = re.findall(r"\d+", port.partition("/")[0])
        if not _PORT.fullmatch(port) or any(not 0 < int(n) < 65536 for n in numbers):
            raise _wrong(key, "ports as '8080/tcp'", port)
    return {port if "/" in port else f"{port}/tcp": {} for port in ports}


def _volumes(key: str, value: Any) -> Dict[str, Dict[str, Any]]:
    volumes = _set(key, value)
    for volume in volumes:
        if not volume.startswith("/"):
            raise _wrong(key, "absolute paths", volume)
    return volumes


def _labels(key: str, value: Any) -> Dict[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(item, str) for pair in value.items() for item in pair
    ):
        raise _wrong(key, "a dict of strings", value)
    return dict(sorted(value.items()))


def _directory(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise _wrong(key, "an absolute path", value)
    return value


def _signal(key: str, value: Any) -> str:
    if not isinstance(value, str) or not _SIGNAL.fullmatch(value):
        raise _wrong(key, "a signal such as 'SIGTERM'", value)
    return value


def _number(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(key, "a number that is not negative", value)
    return int(value)


def _healthcheck(key: str, value: Any) -> Dict[str, Any]:
    numbers = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
    if not isinstance(value, Mapping):
        raise _wrong(key, "a dict with 'Test' and times in nanoseconds", value)
    result: Dict[str, Any] = {}
    for name in sorted(value):
        if name == "Test":
            result[name] = _strings(f"{key}.Test", value[name])
        elif name in numbers:
            result[name] = _number(f"{key}.{name}", value[name])
        else:
            raise StrataError(
                f"config: unknown key '{key}.{name}'. The keys are Test, {', '.join(numbers)}."
            )
    return result


def _boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, "True or False", value)
    return value


_KEYS: Dict[str, Callable[[str, Any], Any]] = {
    "ArgsEscaped": _boolean,
    "Cmd": _strings,
    "CpuShares": _number,
    "Entrypoint": _strings,
    "Env": _environment,
    "ExposedPorts": _ports,
    "Healthcheck": _healthcheck,
    "Labels": _labels,
    "Memory": _number,
    "MemorySwap": _number,
    "OnBuild": _strings,
    "Shell": _strings,
    "StopSignal": _signal,
    "User": _string,
    "Volumes": _volumes,
    "WorkingDir": _directory,
}
