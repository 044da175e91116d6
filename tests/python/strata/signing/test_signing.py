"""Signatures by a command into a real registry: before tags, or no tags if something is wrong."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from registries.clients import client, repository
from registries.fault_proxy import FaultProxy
from registries.layouts import CONFIG, EMPTY, MANIFEST, LayoutBuilder, noise
from registries.server import DockerRegistry
from strata.errors import StrataError
from strata.registry.layout import Layout, LayoutImage
from strata.registry.progress import Progress
from strata.registry.push import push_layout
from strata.registry.referrers import referrers
from strata.signing import command as signing_command
from strata.signing.attach import sign_image
from strata.signing.command import SigningCommand

_OPTION = "[some].option"
_SIGNATURE = "application/vnd.example.signature"
_REF_NAME = "org.opencontainers.image.ref.name"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FaultProxy]:
    with DockerRegistry(tmp_path / "registry") as registry:
        with FaultProxy(registry.host) as started:
            yield started


def packed(folder: Path) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def sig_tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"


def by_tag(built: LayoutBuilder, tag: str, signature: str) -> Dict[str, Any]:
    """As cosign has it: one layer, with the signature as its annotation."""
    layer = built.blob(b"payload of " + tag.encode(), _SIGNATURE)
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": built.blob(json.dumps({"rootfs": rootfs}).encode(), CONFIG),
        "layers": [{**layer, "annotations": {"signature": signature}}],
    }
    descriptor = built.blob(json.dumps(manifest).encode(), MANIFEST)
    return built.listed({**descriptor, "annotations": {_REF_NAME: tag}})


class Signing:
    """An image to be signed, and a command that answers with what a test has prepared."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self.image = LayoutBuilder(folder / "image")
        self.descriptor = self.image.image([noise(5000, "layer")])
        self.digest: str = self.descriptor["digest"]
        self.name = f"{host}/team/app"
        self.lines: List[str] = []
        self._answers = 0

    def answer(self) -> LayoutBuilder:
        self._answers += 1
        return LayoutBuilder(self.folder / f"answer{self._answers}")

    def command(self, script: str, timeout: float = 30, **environment: str) -> SigningCommand:
        variables = {"PATH": os.environ["PATH"], **environment}
        argv = ("sh", "-c", script)
        return SigningCommand(argv, variables, str(self.folder), timeout, _OPTION)

    def answering(self, content: bytes) -> SigningCommand:
        (self.folder / "answer.tar").write_bytes(content)
        return self.command("cat >seen.json; cat answer.tar")

    def push(self, command: SigningCommand, recursive: bool = False, digest: str = "") -> None:
        with client(self.host) as used:
            target = repository(used, self.name)

            def sign(image: LayoutImage) -> None:
                sign_image(target, image, command, recursive, Progress(self.lines.append))

            push_layout(
                Layout(self.image.folder), target, ["latest"], digest=digest, before_tags=sign
            )

    def tags(self) -> Tuple[str, ...]:
        with client(self.host) as used:
            target = repository(used, self.name)
            return tuple(t for t in ("latest", sig_tag(self.digest)) if target.resolve(t))


@pytest.fixture
def signing(tmp_path: Path, proxy: FaultProxy) -> Signing:
    return Signing(tmp_path, proxy.host)


def test_a_referrer_is_there_before_the_tag(signing: Signing, proxy: FaultProxy) -> None:
    answer = signing.answer()
    referrer = answer.referrer(signing.descriptor, _SIGNATURE, b"a signature")
    signing.push(signing.answering(packed(answer.folder)))
    puts = [exchange.path.rpartition("/")[2] for exchange in proxy.requests("^PUT .*/manifests/")]
    # The registry of Debian has no list of referrers, so there is the tag that stands in for it.
    fallback = signing.digest.replace(":", "-")
    assert puts == [signing.digest, referrer["digest"], fallback, "latest"]
    with client(signing.host) as used:
        (found,) = referrers(repository(used, signing.name), signing.digest, _SIGNATURE)
    assert found.digest == referrer["digest"]
    # The command was told what was pushed, and nothing else.
    seen = json.loads((signing.folder / "seen.json").read_text())
    assert seen == {key: signing.descriptor[key] for key in ("mediaType", "digest", "size")}
    assert [line for line in signing.lines if referrer["digest"] in line and "signs" in line]


def test_a_command_sees_its_own_environment_alone(
    signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of somebody else")
    monkeypatch.setenv("WANTED", "yes")
    (signing.folder / "sign").write_text(
        "#!/bin/sh\nenv >seen.env\npwd >seen.pwd\ncat answer.tar\n"
    )
    (signing.folder / "sign").chmod(0o755)
    answer = signing.answer()
    answer.referrer(signing.descriptor, _SIGNATURE, b"a signature")
    (signing.folder / "answer.tar").write_bytes(packed(answer.folder))
    command = SigningCommand.from_json(
        {
            "argv": ["./sign"],
            "environment": ["PATH", "WANTED", "NOT_SET"],
            "directory": str(signing.folder),
            "timeout": 30,
            "option": _OPTION,
        }
    )
    signing.push(command)
    lines = (signing.folder / "seen.env").read_text().splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    # A shell adds these.
    assert set(seen) - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "WANTED", "STRATA_REPOSITORY"}
    assert seen["STRATA_REPOSITORY"] == signing.name
    assert (signing.folder / "seen.pwd").read_text().strip() == str(signing.folder.resolve())


def test_signatures_under_cosign_s_tag_add_up(signing: Signing, proxy: FaultProxy) -> None:
    tag = sig_tag(signing.digest)
    for signature in ("of one", "of another", "of one"):
        answer = signing.answer()
        by_tag(answer, tag, signature)
        proxy.forget()
        signing.push(signing.answering(packed(answer.folder)))
    # The last time there was nothing to add.
    assert not proxy.requests("^PUT ")
    with client(signing.host) as used:
        target = repository(used, signing.name)
        manifest = target.manifest(tag)
        layers = manifest.data["layers"]
        assert [layer["annotations"]["signature"] for layer in layers] == ["of one", "of another"]
        config = json.loads(target.read_blob(manifest.blobs[0]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in layers]
        for blob in manifest.blobs:
            assert target.read_blob(blob)
    assert signing.tags() == ("latest", tag)


@pytest.mark.parametrize("recursive", [False, True])
def test_an_index_is_signed_and_its_images_on_request(signing: Signing, recursive: bool) -> None:
    images = [signing.image.image([noise(100, name)], name, listed=False) for name in ("a", "b")]
    index = signing.image.index(images)
    # The answer that all of them get: it has nothing to add.
    empty = signing.answer()
    (empty.folder / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    (signing.folder / "answer.tar").write_bytes(packed(empty.folder))
    command = signing.command("cat >>asked.json; cat answer.tar")
    signing.push(command, recursive, index["digest"])
    lines = (signing.folder / "asked.json").read_text().splitlines()
    asked = [json.loads(line)["digest"] for line in lines]
    inside = [image["digest"] for image in images]
    assert asked == [*(inside if recursive else []), index["digest"]]
    assert len([line for line in signing.lines if "adds no signature" in line]) == len(asked)
    with client(signing.host) as used:
        assert repository(used, signing.name).resolve("latest") is not None


def _without(layout: LayoutBuilder, digest: str) -> bytes:
    (layout.folder / "blobs" / digest.replace(":", "/")).unlink()
    return packed(layout.folder)


def _damaged(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.referrer(signing.descriptor, _SIGNATURE, b"a signature")
    blob = answer.blob(b"a signature", _SIGNATURE)["digest"]
    (answer.folder / "blobs" / blob.replace(":", "/")).write_bytes(b"another one")
    return packed(answer.folder)


def _incomplete(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.referrer(signing.descriptor, _SIGNATURE, b"a signature")
    return _without(answer, answer.blob(b"{}", EMPTY)["digest"])


def _of_another(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.referrer({**signing.descriptor, "digest": f"sha256:{'0' * 64}"}, _SIGNATURE, b"x")
    return packed(answer.folder)


def _under_another_tag(signing: Signing) -> bytes:
    answer = signing.answer()
    by_tag(answer, "latest", "x")
    return packed(answer.folder)


def _of_nothing(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.image([b"no signature"])
    return packed(answer.folder)


def _index(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.index([])
    return packed(answer.folder)


def _cut(signing: Signing) -> bytes:
    answer = signing.answer()
    answer.referrer(signing.descriptor, _SIGNATURE, noise(20_000, "long"))
    return packed(answer.folder)[:9000]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda signing: b"Signed!\n", "no tar archive of an OCI layout"),
        (lambda signing: b"", "no tar archive of an OCI layout"),
        (lambda signing: packed(signing.folder / "image" / "blobs"), "no index.json"),
        (_cut, "no tar archive|no index.json|lacks the blob|its archive"),
        (_damaged, "its digest is sha256:"),
        (_incomplete, "lacks the blob sha256:"),
        (_of_another, "is about sha256:0+, and sha256:[0-9a-f]+ was to be signed"),
        (_under_another_tag, "tagged 'latest'; tags for sha256:.* are sha256-[0-9a-f]+.sig"),
        (_of_nothing, "neither a subject nor the annotation"),
        (_index, "is an index"),
    ],
)
def test_an_answer_that_is_no_signature_leaves_no_tag(
    signing: Signing, make: Callable[[Signing], bytes], complaint: str
) -> None:
    with pytest.raises(StrataError, match=complaint) as caught:
        signing.push(signing.answering(make(signing)))
    assert str(caught.value).startswith(f"{_OPTION} (sh): ")
    assert signing.tags() == ()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("exit 3", "failed with exit code 3"),
        ("kill -9 $$", "failed with exit code -9"),
        ("sleep 60", "did not finish within 2 s"),
        # Who answers and leaves somebody behind has not finished.
        ("cat answer.tar; sleep 60 & exit 0", "did not finish within 2 s"),
        ("exec >&-; sleep 60", "did not finish within 2 s"),
        ("exec cat /dev/zero", "wrote more than 1 MiB"),
    ],
)
def test_a_command_that_fails_or_hangs_leaves_no_tag(
    signing: Signing, script: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_command, "LONGEST_ANSWER", 1 << 20)
    (signing.folder / "answer.tar").write_bytes(b"")
    # Neither it nor what it started is there afterwards.
    mark = f"strata-signing-{os.getpid()}-{time.monotonic_ns()}"
    begun = time.monotonic()
    with pytest.raises(StrataError, match=re.escape(complaint)) as caught:
        signing.push(signing.command(script, timeout=2, MARK=mark))
    assert time.monotonic() - begun < 30
    assert str(caught.value).startswith(f"{_OPTION} (sh): ")
    assert signing.tags() == ()
    alive = [path for path in Path("/proc").glob("[0-9]*/environ") if mark in _environment(path)]
    assert not alive


def _environment(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        # It has ended, or is somebody else's.
        return ""


def test_a_command_that_is_not_there_is_named(signing: Signing) -> None:
    command = SigningCommand(("no-such-signer", "x"), {}, str(signing.folder), 5, _OPTION)
    with pytest.raises(StrataError, match=r"\[some\].option \(no-such-signer\): .*cannot be start"):
        signing.push(command)
    assert signing.tags() == ()
