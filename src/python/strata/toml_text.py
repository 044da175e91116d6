"""TOML for lock files: read strictly, written so that changes make small diffs."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Tuple

from strata.errors import StrataError

# Everything that a basic string must not hold as it is (TOML v1.0.0, "String").
_ESCAPES = {number: f"\\u{number:04x}" for number in (*range(0x20), 0x7F)}
_ESCAPES.update({ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\t"): "\\t"})


def load_toml(text: str, origin: str) -> Dict[str, Any]:
    """Raises StrataError, naming ``origin``, for what is no TOML."""
    try:
        import tomllib
    except ImportError:  # Before Python 3.11.
        import toml as tomllib
    # Both libraries' errors are ValueErrors; the older one also trips over some broken files.
    try:
        return dict(tomllib.loads(text))
    except (ValueError, IndexError) as error:
        raise StrataError(f"{origin} is not valid TOML: {error}") from error


def typed(row: Mapping[str, Any], key: str, wanted: type, origin: str) -> Any:
    """``row[key]``. Raises StrataError, naming ``origin`` and ``key``, for another type."""
    value = row.get(key)
    if type(value) is not wanted:
        raise StrataError(f"{origin}: {key!r} must be a {wanted.__name__}, not {value!r}")
    return value


def strings(row: Mapping[str, Any], key: str, origin: str) -> Tuple[str, ...]:
    """``row[key]``, which must be a list of strings; raises StrataError as ``typed`` does."""
    values = typed(row, key, list, origin)
    if not all(isinstance(value, str) for value in values):
        raise StrataError(f"{origin}: {key!r} must be a list of strings")
    return tuple(values)


def quoted(text: str) -> str:
    """``text`` as a basic string."""
    return f'"{text.translate(_ESCAPES)}"'


def quoted_list(values: Iterable[str]) -> str:
    return f"[{', '.join(quoted(value) for value in values)}]"
