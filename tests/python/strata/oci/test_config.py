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
        ("Zzz", [], "unknown key 'Zzz'. The keys are ArgsEscaped, Cmd,"),
        ("Cmd", "/bin/sh -c x", "'Cmd' must be a list of strings"),
        ("Cmd", [1], "'Cmd' must be a list of strings"),
        ("Env", ["PATH"], "'Env' must be a list of 'NAME=value'"),
        ("Env", ["=x"], "NAME=value"),
        ("Env", {"A": 1}, "'Env' must be a dict of strings"),
        ("Env", {"A=B": "1"}, "'Env' must be a dict of strings"),
        ("Env", {"": "1"}, "NAME=value"),
        ("Env", "A=1", "'Env' must be a list of strings"),
        ("ExposedPorts", {80: {}}, "'ExposedPorts' must be a list of strings"),
        ("ExposedPorts", {"80": {}, 90: {}}, "'ExposedPorts' must be a list of strings"),
        ("ExposedPorts", "80", "'ExposedPorts' must be a list of strings"),
        ("ExposedPorts", ["80/icmp"], "'8080/tcp'"),
        ("ExposedPorts", ["80-65536"], "'8080/tcp'"),
        ("ExposedPorts", ["http"], "'8080/tcp'"),
        ("ExposedPorts", ["0/tcp"], "'8080/tcp'"),
        ("ExposedPorts", ["70000"], "'8080/tcp'"),
        ("ExposedPorts", {"80": {"x": 1}}, "empty dicts"),
        ("Volumes", ["data"], "absolute paths"),
        ("Volumes", {"/data": {"size": 1}}, "empty dicts"),
        ("Labels", {"a": 1}, "a dict of strings"),
        ("Labels", {1: "a"}, "a dict of strings"),
        ("Labels", ["a=1"], "a dict of strings"),
        ("Entrypoint", "/bin/x", "'Entrypoint' must be a list of strings"),
        ("OnBuild", {"RUN": "x"}, "'OnBuild' must be a list of strings"),
        ("Shell", "bash -c", "'Shell' must be a list of strings"),
        ("CpuShares", 1.5, "'CpuShares' must be a number"),
        ("MemorySwap", "1g", "'MemorySwap' must be a number"),
        ("WorkingDir", "work", "an absolute path"),
        ("StopSignal", "TERM please", "a signal"),
        ("User", 1000, "'User' must be a string"),
        ("Memory", -1, "not negative"),
        ("Memory", True, "not negative"),
        ("ArgsEscaped", 1, "True or False"),
        ("Healthcheck", ["CMD"], "a dict with 'Test'"),
        ("Healthcheck", {"Tests": []}, "unknown key 'Healthcheck.Tests'"),
        ("Healthcheck", {"Retries": "3"}, "'Healthcheck.Retries'"),
        ("Healthcheck", {"Test": "curl"}, "'Healthcheck.Test' must be a list of strings"),
    ],
)
def test_wrong_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(StrataError) as caught:
        validated_config({key: value})
    assert message in str(caught.value)


def test_every_key_of_the_specification_is_accepted() -> None:
    config = {
        "ArgsEscaped": False,
        "Cmd": [],
        "CpuShares": 0,
        "Entrypoint": ["/x"],
        "Env": ["A="],
        "ExposedPorts": {"1-2/sctp": {}},
        "Healthcheck": {"Test": ["NONE"], "StartInterval": 0, "StartPeriod": 1, "Timeout": 2},
        "Labels": {},
        "Memory": 1,
        "MemorySwap": 2,
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/sh", "-c"],
        "StopSignal": "SIGRTMIN+3",
        "User": "app:app",
        "Volumes": {"/data": {}, "/cache": None},
        "WorkingDir": "/",
    }
    checked = validated_config(config)
    assert checked == {**config, "Volumes": {"/cache": {}, "/data": {}}}
    assert list(checked) == sorted(config)
    # What is valid stays as it is.
    assert validated_config(checked) == checked


def test_order_of_what_people_write_does_not_matter() -> None:
    one = {"Env": {"A": "1", "B": "2"}, "Labels": {"a": "1", "b": "2"}, "Volumes": ["/a", "/b"]}
    two = {"Volumes": ["/b", "/a"], "Labels": {"b": "2", "a": "1"}, "Env": {"B": "2", "A": "1"}}
    assert repr(validated_config(one)) == repr(validated_config(two))


def test_order_of_a_list_of_variables_is_kept() -> None:
    assert validated_config({"Env": ["B=1", "A=2"]}) == {"Env": ["B=1", "A=2"]}


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
