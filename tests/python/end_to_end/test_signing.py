"""``publish`` with a signing command: the signatures of the example in a real registry, verified
with the key, and nothing under a tag that could not be signed."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from end_to_end.pants_checkout import CHECKOUT, PantsCheckout, PantsResult
from end_to_end.runtimes import run
from end_to_end.tools import require
from registries.clients import client, repository
from registries.fault_proxy import FaultProxy
from registries.layouts import LayoutBuilder, noise
from registries.server import DockerRegistry
from strata.registry.descriptor import Manifest
from strata.registry.layout import Layout
from strata.registry.progress import Progress
from strata.registry.push import push_layout
from strata.registry.referrers import referrers
from strata.signing.attach import sign_image
from strata.signing.command import SigningCommand

_BUILD = """
files(name="data", sources=["*.txt"])
layered_image(name="image", tags=["1.0"], contents=[":data"], formats=["oci"])
layered_image(name="never", tags=["1.0"], contents=[":data"], formats=["oci"], sign=False)
"""
_OPTIONS = """
[layered-images]
signing_command = [
  "examples/signing/sign_image.py", "openssl", "dgst", "-sha256", "-sign", "keys/image.pem",
]

[layered-images.registries.main]
address = "{main}"
default = true
plain_http = true
sign = true

[layered-images.registries.lax]
address = "localhost:{port}"
plain_http = true
"""


class Signed:
    """A checkout with a key, and a registry seen through ``proxy`` that wants signed images."""

    def __init__(self, folder: Path, registry: DockerRegistry) -> None:
        self.registry = registry
        self.proxy = FaultProxy(registry.host)
        self.checkout = PantsCheckout(folder / "checkout", daemon=True)
        self.keys = self.checkout.root / "keys"
        self.keys.mkdir()
        make_key(self.keys)
        self.checkout.write("signed/BUILD", _BUILD)
        self.checkout.write("signed/a.txt", "hello\n")
        text = (self.checkout.root / "pants.toml").read_text()
        options = _OPTIONS.format(main=self.proxy.host, port=registry.port)
        self.checkout.write("pants.toml", text + options)
        # On a busy machine Pants does not wait long enough for its daemon the first time.
        self.checkout.run("roots", check=False)

    def publish(self, *arguments: str, check: bool = True) -> PantsResult:
        # Publishing alone writes no reports.
        arguments = ("package", "publish", "--publish-output=out.json", *arguments)
        return self.checkout.run(*arguments, check=check)

    @property
    def output(self) -> List[Dict[str, Any]]:
        data: List[Dict[str, Any]] = json.loads((self.checkout.root / "out.json").read_text())
        return data

    def has_tag(self, name: str, tag: str) -> bool:
        with client(self.registry.host) as used:
            return repository(used, f"{self.registry.host}/{name}").resolve(tag) is not None

    def verified(self, folder: Path, name: str, digest: str) -> Dict[str, Any]:
        """The payload of the one signature of ``digest``, as cosign's specification has it."""
        with client(self.registry.host) as used:
            target = repository(used, f"{self.registry.host}/{name}")
            manifest: Manifest = target.manifest(sig_tag(digest))
            (layer,) = manifest.data["layers"]
            content = target.read_blob(manifest.blobs[1])
        assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
        text = layer["annotations"]["dev.cosignproject.cosign/signature"]
        verify(folder, self.keys / "image.pub", text, content)
        payload: Dict[str, Any] = json.loads(content)["critical"]
        return payload


def make_key(folder: Path) -> None:
    """``image.pem`` and ``image.pub``, as they are in documentation."""
    private = str(folder / "image.pem")
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    run("openssl", "genpkey", *curve, "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", str(folder / "image.pub"))


def verify(folder: Path, key: Path, signature: str, content: bytes) -> None:
    """``signature`` is in base64."""
    (folder / "signature").write_bytes(base64.b64decode(signature, validate=True))
    (folder / "content").write_bytes(content)
    files = ("-signature", str(folder / "signature"), str(folder / "content"))
    said = run("openssl", "dgst", "-sha256", "-verify", str(key), *files)
    assert said.strip() == "Verified OK"


def sig_tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    require("openssl")
    folder = tmp_path_factory.mktemp("signed")
    with DockerRegistry(folder / "registry") as registry:
        made = Signed(folder, registry)
        try:
            with made.proxy:
                yield made
        finally:
            made.checkout.stop()


def test_what_is_published_is_signed_where_it_should_be(signed: Signed, tmp_path: Path) -> None:
    recursive = "--layered-images-signing-recursive"
    signed.publish(recursive, "signed:image", "signed:never", "examples/signing:image")
    by_target = {item["target"]: item for item in signed.output}
    assert by_target["signed:image"]["signed"] and not by_target["signed:never"]["signed"]
    index = signed.checkout.report("examples.signing/image")
    inside = [image["digest"] for image in index["platforms"].values()]
    image = signed.checkout.report("signed/image")["digest"]
    never = signed.checkout.report("signed/never")["digest"]
    expected = [("image", image), *(("signed", digest) for digest in (index["digest"], *inside))]
    for name, digest in expected:
        assert signed.verified(tmp_path, name, digest) == {
            "identity": {"docker-reference": f"{signed.proxy.host}/{name}"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
    assert signed.has_tag("never", "1.0") and not signed.has_tag("never", sig_tag(never))
    # Who finds the tag finds the signature.
    puts = signed.proxy.requests("^PUT /v2/image/manifests/")
    names = [exchange.path.rpartition("/")[2] for exchange in puts]
    assert names == [image, sig_tag(image), "1.0"]


def test_what_cannot_be_signed_has_no_tag(signed: Signed) -> None:
    before = signed.checkout.report("signed/image")["digest"]
    signed.checkout.write("signed/a.txt", "hello, world\n")
    for command, complaints in (
        ("['false']", ["signed:image", "signing_command (false)", "exit code 1", "failed"]),
        ("['echo', 'signed!']", ["signed:image", "signing_command (echo)", "no tar archive"]),
        ("[]", ["`sign` of signed:image", "registry @main", "signing_command is not set"]),
    ):
        option = f"--layered-images-signing-command={command}"
        result = signed.publish(option, "signed:image", check=False)
        assert result.exit_code != 0
        for complaint in complaints:
            assert complaint in result.output, result.output
        with client(signed.registry.host) as used:
            found = repository(used, f"{signed.registry.host}/image").resolve("1.0")
        assert found is not None and found.digest == before
    # Another registry takes it as it is.
    lax = f"localhost:{signed.registry.port}/lax"
    text = _BUILD.replace('name="image",', f'name="image", repositories=["{lax}"],')
    signed.checkout.write("signed/BUILD", text)
    signed.publish("--layered-images-signing-command=[]", "signed:image")
    after = signed.checkout.report("signed/image")["digest"]
    assert after != before
    assert signed.has_tag("lax", "1.0") and not signed.has_tag("lax", sig_tag(after))


def test_the_example_writes_bundles_too(tmp_path: Path) -> None:
    """As cosign has them: a DSSE envelope with an in-toto statement, in a referrer."""
    require("openssl")
    make_key(tmp_path)
    script = str(CHECKOUT / "examples/signing/sign_image.py")
    argv = (script, "--bundle", "openssl", "dgst", "-sha256", "-sign", "image.pem")
    command = SigningCommand(argv, {"PATH": os.environ["PATH"]}, str(tmp_path), 60, "the option")
    built = LayoutBuilder(tmp_path / "image")
    digest = built.image([noise(1000, "layer")])["digest"]
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    with DockerRegistry(tmp_path / "registry") as registry, client(registry.host) as used:
        target = repository(used, f"{registry.host}/app")
        push_layout(
            Layout(built.folder),
            target,
            ["latest"],
            before_tags=lambda image: sign_image(target, image, command, False, Progress()),
        )
        (found,) = referrers(target, digest, kind)
        manifest = target.manifest(found.digest)
        bundle = json.loads(target.read_blob(manifest.blobs[1]))
    assert bundle["mediaType"] == kind == manifest.blobs[1].media_type
    envelope = bundle["dsseEnvelope"]
    statement = base64.b64decode(envelope["payload"], validate=True)
    assert json.loads(statement)["subject"] == [{"digest": {"sha256": digest[7:]}}]
    # DSSE, "PAE".
    type_ = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(type_), type_, len(statement), statement)
    verify(tmp_path, tmp_path / "image.pub", envelope["signatures"][0]["sig"], signed)
