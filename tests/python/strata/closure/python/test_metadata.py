"""References, tags and constraints, for the image's interpreter."""

from __future__ import annotations

from typing import Tuple

import pytest

from strata.closure.python.metadata import (
    PythonPlatform,
    WheelMetadata,
    check_constraints,
    check_wheel,
    parse_metadata,
    wheel_references,
)
from strata.errors import StrataError

PLATFORM = PythonPlatform("3.11.2", "amd64", "2.36")


def test_metadata_is_parsed() -> None:
    text = (
        "Metadata-Version: 2.1\nName: Zope.Interface\nVersion: 6.4\nRequires-Python: >=3.7\n"
        "Requires-Dist: setuptools\nRequires-Dist: Sphinx ; extra == 'docs'\n\nA description\n"
    )
    assert parse_metadata(text) == WheelMetadata(
        "zope-interface", "6.4", ("setuptools", "Sphinx ; extra == 'docs'"), ">=3.7"
    )


def references(*wheels: WheelMetadata, roots: "tuple[str, ...]" = ()) -> dict:
    return wheel_references(wheels, roots, PLATFORM)


def test_markers_are_evaluated_for_the_image() -> None:
    app = WheelMetadata(
        "app",
        "1",
        (
            "linux; sys_platform == 'linux'",
            "windows; sys_platform == 'win32'",
            "old; python_version < '3.10'",
            "patch; python_full_version >= '3.11.2'",
            "arm; platform_machine == 'aarch64'",
        ),
    )
    others = [WheelMetadata(n, "1") for n in ("linux", "windows", "old", "patch", "arm")]
    assert references(app, *others)["app"] == ("linux", "patch")


def test_extras_pass_on_along_references() -> None:
    wheels = [
        WheelMetadata("a", "1", ("B[Fast]>=1",)),
        WheelMetadata(
            "b",
            "1",
            (
                "c; extra == 'fast'",
                "d; extra == 'slow'",
                "b[more]; extra == 'fast'",
                "e; extra == 'more'",
            ),
        ),
        *(WheelMetadata(name, "1") for name in "cde"),
    ]
    found = references(*wheels)
    assert found == {"a": ("b",), "b": ("c", "e"), "c": (), "d": (), "e": ()}


def test_extras_of_the_roots_count() -> None:
    wheels = [WheelMetadata("a", "1", ("c; extra == 'x'",)), WheelMetadata("c", "1")]
    assert references(*wheels)["a"] == ()
    assert references(*wheels, roots=("A[x]==1",))["a"] == ("c",)


def test_what_was_excluded_is_no_reference() -> None:
    assert references(WheelMetadata("a", "1", ("gone",)))["a"] == ()


@pytest.mark.parametrize(
    "tags",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "py311-none-any",
        "cp311-cp311-linux_x86_64",
        "cp311-cp311-manylinux_2_36_x86_64",
        "cp39-abi3-manylinux2014_x86_64",
        "cp36-abi3-manylinux1_x86_64.manylinux_2_5_x86_64",
        "cp311-none-any",
    ],
)
def test_wheels_that_fit(tags: str) -> None:
    check_wheel(f"x-1-{tags}.whl", WheelMetadata("x", "1"), PLATFORM)


@pytest.mark.parametrize(
    "tags",
    [
        "cp310-cp310-manylinux2014_x86_64",
        "cp312-abi3-manylinux2014_x86_64",
        "cp311-cp311-manylinux2014_aarch64",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp311-cp311-manylinux_2_37_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "py2-none-any",
        "py312-none-any",
        "pp39-pypy39_pp73-manylinux2014_x86_64",
    ],
)
def test_wheels_that_do_not_fit(tags: str) -> None:
    with pytest.raises(
        StrataError, match=r"cp311.*Linux x86_64 with glibc 2.36.*complete_platforms"
    ):
        check_wheel(f"x-1-{tags}.whl", WheelMetadata("x", "1"), PLATFORM)


def test_python_that_a_wheel_requires() -> None:
    check_wheel("x-1-py3-none-any.whl", WheelMetadata("x", "1", (), ">=3.8,!=3.11.1"), PLATFORM)
    with pytest.raises(StrataError, match="requires Python >=3.12.*3.11.2"):
        check_wheel("x-1-py3-none-any.whl", WheelMetadata("x", "1", (), ">=3.12"), PLATFORM)


@pytest.mark.parametrize(
    "constraints",
    [(), ("CPython>=3.9,<3.13",), (">=3.9",), ("CPython==3.9.*", "CPython==3.11.*"), ("==3.11.2",)],
)
def test_constraints_that_are_satisfied(constraints: "tuple[str, ...]") -> None:
    check_constraints(constraints, PLATFORM)


@pytest.mark.parametrize("constraints", [("CPython==3.9.*",), ("PyPy>=3.9",), (">=3.12", "<3.11")])
def test_constraints_that_are_not(constraints: "tuple[str, ...]") -> None:
    with pytest.raises(StrataError, match="CPython 3.11.2, which does not satisfy"):
        check_constraints(constraints, PLATFORM)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", ("MIT OR Apache-2.0",)),
        ("License: BSD-3-Clause\nClassifier: License :: OSI Approved\n", ("BSD-3-Clause",)),
        (
            "License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n",
            ("MIT License",),
        ),
        # A whole text is no name.
        ("License: Copyright\n        All rights\nClassifier: License :: Other\n", ("Other",)),
        (
            "Classifier: License :: B\nClassifier: Topic :: A\nClassifier: License :: X :: A\n",
            ("A", "B"),
        ),
        ("Classifier: License :: OSI Approved\n", ()),
    ],
)
def test_licences_are_as_the_wheel_states_them(lines: str, expected: Tuple[str, ...]) -> None:
    assert parse_metadata(f"Name: demo\nVersion: 1\n{lines}").licenses == expected
