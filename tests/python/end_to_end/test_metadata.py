"""Labels and annotations: from BUILD files into an image's JSON, and never into its layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from end_to_end.pants_checkout import PantsCheckout, PantsResult
from end_to_end.runtimes import run
from end_to_end.tools import require
from strata.oci.content import blob_path

_BUILD = """
files(name="data", sources=["*.txt"])

layered_image(
    name="plain",
    contents=[":data"],
    formats=["oci"],
    labels={"b": "{name}", "braces": "{{x}}", "both": "the field"},
    config={"Labels": {"both": "the configuration", "literal": "{name}"}},
    annotations={"of": "{full_directory} {image_name}"},
)

layered_image(
    name="stamped",
    image_name="Team/Stamped",
    architectures=["amd64", "arm64"],
    base=":below",
    contents=[":data"],
    formats=["oci", "tar"],
    extra_build_args=["OWN={ not a placeholder }", "FROM_OUTSIDE"],
    labels={
        "revision": "{git.commit}",
        "branch": "{git.branch}",
        "args": "{build_args.SHARED} {build_args.OWN} {build_args.FROM_OUTSIDE}",
        "base": "of the image on top",
    },
    annotations={"org.opencontainers.image.revision": "{git.commit}"},
)

layered_image(
    name="below",
    architectures=["amd64", "arm64"],
    contents=[":base-data"],
    formats=["oci"],
    labels={"base": "of the base", "kept": "{build_args.SHARED}"},
    annotations={"base": "of the base"},
)
files(name="base-data", sources=["base/*"])

layered_image(
    name="commanded",
    base=":programs",
    contents=[":data"],
    formats=["oci"],
    fakeroot_commands="/bin/busybox mkdir -p /var/made",
    fakeroot_chroot=True,
)
layered_image(
    name="programs",
    contents=["examples/minimal:os", "examples/minimal:sh"],
    formats=["oci"],
    labels={"of": "{git.commit} {build_args.SHARED}"},
)

image_index(
    name="index",
    images=[":one", ":two"],
    formats=["oci"],
    annotations={"of": "{name} {build_args.SHARED} {git.commit}"},
)
layered_image(name="one", contents=[":data"], formats=["oci"], annotations={"of": "{name}"})
layered_image(name="two", architecture="arm64", contents=[":data"], formats=["oci"])
"""
# What Pants says in a debug log when it is asked for the work tree.
_NO_GIT = "No git repository at"
_GIT_FOUND = "Detected git repository at"
_GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"]


class Described:
    def __init__(self, folder: Path) -> None:
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        self.checkout.write("said/BUILD", _BUILD)
        self.checkout.write("said/a.txt", "hello\n")
        self.checkout.write("said/base/b.txt", "base\n")
        text = (self.checkout.root / "pants.toml").read_text()
        options = '[layered-images]\nbuild_args = ["SHARED", "UNUSED"]\n'
        self.checkout.write("pants.toml", f"{text}\n{options}")
        # On a busy machine Pants does not wait long enough for its daemon the first time.
        self.checkout.run("roots", check=False)

    def git(self, *arguments: str) -> str:
        return run(*_GIT, "-C", str(self.checkout.root), *arguments).strip()

    def commit(self) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def package(self, *arguments: str, check: bool = True, **environment: str) -> PantsResult:
        values = {"SHARED": "s", "FROM_OUTSIDE": "o", **environment}
        return self.checkout.run("package", *arguments, environment=values, check=check)

    def read(self, path: str, digest: str) -> Dict[str, Any]:
        layout = self.checkout.root / "dist" / f"{path}.oci"
        data: Dict[str, Any] = json.loads((layout / blob_path(digest)).read_text())
        return data

    def labels(self, path: str, report: Dict[str, Any]) -> Dict[str, str]:
        labels: Dict[str, str] = self.read(path, report["config_digest"])["config"]["Labels"]
        return labels


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    require("git")
    made = Described(tmp_path_factory.mktemp("metadata"))
    try:
        yield made
    finally:
        made.checkout.stop()


def made_anew(result: PantsResult) -> List[str]:
    """What ran, but for archives and for what asks the machine in each run."""
    usual = ("Write said/", "Find Debian mirrors")
    return [name for name in result.processes if not name.startswith(usual)]


def layers(report: Dict[str, Any]) -> List[str]:
    return [layer["digest"] for layer in report["layers"]]


def test_what_is_asked_for_is_said_and_git_is_asked_only_then(described: Described) -> None:
    """Outside of a repository at first."""
    plain = described.package("said:plain")
    report = described.checkout.report("said/plain")
    assert described.labels("said/plain", report) == {
        "b": "plain",
        "both": "the field",
        "braces": "{x}",
        "literal": "{name}",
    }
    manifest = described.read("said/plain", report["digest"])
    assert manifest["annotations"] == {"of": "said plain"}
    # Its name is still the hash of all of it.
    assert report["references"] == [f"plain:{report['digest'][7:39]}"]
    failed = described.package("said:stamped", check=False)
    assert failed.exit_code != 0
    for words in ("`labels` of said:stamped", "{git.commit}", "does not run in a git repository"):
        assert words in failed.output
    assert _NO_GIT in failed.output and _NO_GIT not in plain.output


def test_another_commit_or_argument_makes_no_layer(described: Described) -> None:
    described.git("init", "-q", "-b", "trunk")
    first = described.commit()
    plain = described.package("said:plain", PANTS_LEVEL="debug")
    asking = described.package("said:stamped", "said:index", PANTS_LEVEL="debug")
    assert _GIT_FOUND in asking.output and _GIT_FOUND not in plain.output
    before = described.checkout.report("said/stamped")
    amd64 = before["platforms"]["amd64"]
    assert described.labels("said/stamped", amd64) == {
        "args": "s { not a placeholder } o",
        "base": "of the image on top",
        "branch": "trunk",
        "kept": "s",
        "revision": first,
    }
    # The base's annotations were about the base.
    said = {"org.opencontainers.image.revision": first}
    assert described.read("said/stamped", amd64["digest"])["annotations"] == said
    assert described.read("said/stamped", before["digest"])["annotations"] == said
    index = described.checkout.report("said/index")
    assert described.read("said/index", index["digest"])["annotations"] == {
        "of": f"index s {first}"
    }
    one = index["platforms"]["amd64"]["digest"]
    assert described.read("said/index", one)["annotations"] == {"of": "one"}
    # What a layout says of its names is as for any image.
    named = json.loads((described.checkout.root / "dist/said/stamped.oci/index.json").read_text())
    assert set(named["manifests"][0]["annotations"]) == {
        "io.containerd.image.name",
        "org.opencontainers.image.ref.name",
    }

    # HEAD moves while Pants' daemon runs.
    second = described.commit()
    described.git("checkout", "-q", "-b", "other")
    result = described.package("said:stamped", FROM_OUTSIDE="changed")
    after = described.checkout.report("said/stamped")
    for platform in ("amd64", "arm64"):
        old, new = before["platforms"][platform], after["platforms"][platform]
        assert old["digest"] != new["digest"] and old["config_digest"] != new["config_digest"]
        assert layers(old) == layers(new)
        found = described.labels("said/stamped", new)
        assert (found["revision"], found["branch"]) == (second, "other")
        assert found["args"].endswith(" changed")
    assert made_anew(result) == []
    assert second != first


def test_keys_of_layers_have_none_of_it(described: Described) -> None:
    """Without the daemon each process is looked up by its key alone. Commands see all layers of the
    base, and nothing of what it says."""
    described.package("said:stamped", "said:commanded")
    before = described.checkout.report("said/stamped")
    third = described.commit()
    changed = {"PANTS_PANTSD": "False", "SHARED": "of another machine"}
    result = described.package("said:stamped", "said:commanded", **changed)
    after = described.checkout.report("said/stamped")
    assert made_anew(result) == []
    for platform in ("amd64", "arm64"):
        old, new = before["platforms"][platform], after["platforms"][platform]
        assert layers(old) == layers(new) and old["digest"] != new["digest"]
        found = described.labels("said/stamped", new)
        assert (found["revision"], found["kept"]) == (third, "of another machine")


def test_what_cannot_be_filled_is_named(described: Described) -> None:
    described.commit()
    described.git("checkout", "-q", "--detach")
    failed = described.package("said:stamped", check=False)
    assert failed.exit_code != 0
    for words in ("`labels` of said:stamped", "{git.branch}", "on no branch", "{git.commit}"):
        assert words in failed.output
    build = (described.checkout.root / "said/BUILD").read_text()
    for fields, complaints in (
        ('annotations={"a": "{build_args.NOBODY}"}', ["`annotations`", "NOBODY", "SHARED"]),
        ('labels={"a": "{build_args.UNUSED}"}', ["`labels`", "variable UNUSED is not set"]),
        ('labels={"a": "{pants.hash}"}', ["`labels`", "{pants.hash}", "digest"]),
        ('labels={"a": "{nothing}"}', ["`labels`", "{nothing}", "{image_name}"]),
    ):
        bad = f'layered_image(name="bad", contents=[":data"], formats=["oci"], {fields})\n'
        described.checkout.write("said/BUILD", build + bad)
        failed = described.package("said:bad", check=False)
        assert failed.exit_code != 0
        for words in [*complaints, "said:bad"]:
            assert words in failed.output, failed.output
    described.checkout.write("said/BUILD", build)
