#!/usr/bin/env python3
"""A signing command for `[layered-images].signing_command`, with signatures that cosign verifies.

    sign_image.py [--bundle] [--base64] COMMAND [ARGUMENT...]

COMMAND signs what it gets on standard input and writes the signature to standard output, with
--base64 in that form. Two that work offline, with a key:

    sign_image.py openssl dgst -sha256 -sign keys/image.pem
    sign_image.py --base64 cosign sign-blob --yes --tlog-upload=false --key keys/cosign.key -

What is signed names the image's digest. By default it is a "simple signing" payload, a layer of a
manifest with the tag `sha256-<hex>.sig`, which every registry can store and every cosign finds.
With --bundle it is a statement in a Sigstore bundle, and a referrer of the image.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from typing import Any, Callable, Dict

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT = "application/vnd.in-toto+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"

#: From bytes to the signature in base64.
Sign = Callable[[bytes], str]


def main() -> int:
    parser = argparse.ArgumentParser(description="Signs the image that is described on stdin.")
    parser.add_argument("--bundle", action="store_true", help="write a Sigstore bundle")
    parser.add_argument("--base64", action="store_true", help="COMMAND writes base64")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    if not options.command:
        parser.error("name the COMMAND that signs")

    def sign(content: bytes) -> str:
        signed = subprocess.run(options.command, input=content, stdout=subprocess.PIPE, check=True)
        answer = signed.stdout.strip() if options.base64 else base64.b64encode(signed.stdout)
        return answer.decode()

    layout = Layout()
    subject = json.load(sys.stdin)
    try:
        add_bundle(layout, subject, sign) if options.bundle else add_payload(layout, subject, sign)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"sign_image.py: {error}", file=sys.stderr)
        return 1
    layout.write()
    return 0


class Layout:
    """An OCI image layout in a tar archive."""

    def __init__(self) -> None:
        self._files = {"oci-layout": to_bytes({"imageLayoutVersion": "1.0.0"})}

    def blob(self, media_type: str, content: bytes) -> Dict[str, Any]:
        encoded = hashlib.sha256(content).hexdigest()
        self._files[f"blobs/sha256/{encoded}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}

    def manifest(self, data: Dict[str, Any], **annotations: Any) -> None:
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, **data}
        listed = {**self.blob(MANIFEST, to_bytes(manifest)), **annotations}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}
        self._files["index.json"] = to_bytes(index)

    def write(self) -> None:
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            for name, content in self._files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def add_payload(layout: Layout, subject: Dict[str, Any], sign: Sign) -> None:
    content = to_bytes(
        {
            "critical": {
                "identity": {"docker-reference": os.environ["STRATA_REPOSITORY"]},
                "image": {"docker-manifest-digest": subject["digest"]},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    payload = layout.blob(PAYLOAD, content)
    payload["annotations"] = {"dev.cosignproject.cosign/signature": sign(content)}
    rootfs = {"type": "layers", "diff_ids": [payload["digest"]]}
    config = to_bytes({"architecture": "", "os": "", "config": {}, "rootfs": rootfs})
    tag = subject["digest"].replace(":", "-") + ".sig"
    layout.manifest(
        {"config": layout.blob(CONFIG, config), "layers": [payload]},
        annotations={"org.opencontainers.image.ref.name": tag},
    )


def add_bundle(layout: Layout, subject: Dict[str, Any], sign: Sign) -> None:
    algorithm, _, encoded = subject["digest"].partition(":")
    statement = to_bytes(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: encoded}}],
            "predicateType": SIGNED,
        }
    )
    # The encoding before authentication of DSSE, which says what type the statement is of.
    signed = f"DSSEv1 {len(STATEMENT)} {STATEMENT} {len(statement)} ".encode() + statement
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": STATEMENT,
            "signatures": [{"sig": sign(signed)}],
        },
    }
    layout.manifest(
        {
            "artifactType": BUNDLE,
            "config": layout.blob(EMPTY, b"{}"),
            "layers": [layout.blob(BUNDLE, to_bytes(bundle))],
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": SIGNED,
            },
            "subject": subject,
        }
    )


def to_bytes(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


if __name__ == "__main__":
    sys.exit(main())
