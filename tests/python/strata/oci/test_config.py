"""Container configurations are validated key by key."""

from __future__ import annotations

from typing import Any

import pytest

from strata.errors import StrataError
from strata.oci.base import merged_config
from strata.oci.config import validated_config


def test_what_people_write_gets_the_shape_of_the_specification() -> None:
    assert validated_config(
        {
            "Env": {"B": "2", "A": "1=1"},
            "ExposedPorts": ["8080", "53/udp"],
            "Volumes": ["/data"],
            "Labels": {"b": "x", "a": "y"},
            "Entrypoint": ("/bin/x", "-v"),
            "Healthcheck": {"Test": ["CMD", "/x"], "Interval": 5},
            "StopSignal": "SIGINT",
            "User": "1000",
            "WorkingDir": "/work",
        }
    ) == {
        "Env": ["A=1=1", "B=2"],
        "ExposedPorts": {"53/udp": {}, "8080/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"a": "y", "b": "x"},
        "Entrypoint": ["/bin/x", "-v"],
        "Healthcheck": {"Test": ["CMD", "/x"], "Interval": 5},
        "StopSignal": "SIGINT",
        "User": "1000",
        "WorkingDir": "/work",
    }


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("Entrypont", [], "unknown key 'Entrypont'; did you mean 'Entrypoint'"),
        ("cmd", [], "did you mean 'Cmd'"),
        ("Zzz", [], "The keys are ArgsEscaped, Cmd,"),
        ("Cmd", "/bin/sh -c x", "'Cmd' must be a list of strings"),
        ("Cmd", [1], "'Cmd' must be a list of strings"),
        ("Env", ["PATH"], "'Env' must be a list of 'NAME=value'"),
        ("Env", ["=x"], "NAME=value"),
        ("Env", {"A": 1}, "'Env' must be a dict of strings"),
        ("ExposedPorts", ["http"], "'8080/tcp'"),
        ("ExposedPorts", ["0/tcp"], "'8080/tcp'"),
        ("ExposedPorts", ["70000"], "'8080/tcp'"),
        ("ExposedPorts", {"80": {"x": 1}}, "empty dicts"),
        ("Volumes", ["data"], "absolute paths"),
        ("Labels", {"a": 1}, "a dict of strings"),
        ("WorkingDir", "work", "an absolute path"),
        ("StopSignal", "TERM please", "a signal"),
        ("User", 1000, "'User' must be a string"),
        ("Memory", -1, "not negative"),
        ("Memory", True, "not negative"),
        ("ArgsEscaped", 1, "True or False"),
        ("Healthcheck", ["CMD"], "a dict with 'Test'"),
        ("Healthcheck", {"Tests": []}, "unknown key 'Healthcheck.Tests'"),
        ("Healthcheck", {"Retries": "3"}, "'Healthcheck.Retries'"),
    ],
)
def test_wrong_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(StrataError) as caught:
        validated_config({key: value})
    assert message in str(caught.value)


def test_configurations_are_inherited() -> None:
    base = {
        "Env": ["PATH=/bin", "A=1"],
        "Cmd": ["/bin/sh"],
        "Labels": {"a": "1", "b": "1"},
        "ExposedPorts": {"1/tcp": {}},
        "User": "root",
        "Volumes": None,
        "OnBuild": [],
    }
    config = {
        "Env": ["A=2", "B=3"],
        "Entrypoint": ["/x"],
        "Labels": {"b": "2"},
        "ExposedPorts": {"2/tcp": {}},
    }
    assert merged_config(base, config) == {
        "Env": ["PATH=/bin", "A=2", "B=3"],
        "Entrypoint": ["/x"],
        "Labels": {"a": "1", "b": "2"},
        "ExposedPorts": {"1/tcp": {}, "2/tcp": {}},
        "User": "root",
    }
    assert merged_config(base, {})["Cmd"] == ["/bin/sh"]
