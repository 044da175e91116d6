"""The field that says what is told about an image: its SBOM and its provenance."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from pants.engine.addresses import Address
from pants.engine.target import StringSequenceField
from pants.util.strutil import softwrap

from layered_image.errors import invalid_field

SBOM, PROVENANCE = "sbom", "provenance"
ATTESTATIONS = (SBOM, PROVENANCE)


class ImageAttestationsField(StringSequenceField):
    alias = "attestations"
    help = softwrap(
        """
        What `package` writes about the image beside it, and `publish` pushes as OCI referrers of
        it: `sbom` is a CycloneDX SBOM (`image.cdx.json`), `provenance` SLSA provenance
        (`image.provenance.json`), which needs `[layered-images].builder_id`. The image is the same
        with and without. Defaults to `[layered-images].attestations`.

        Example: `attestations=["sbom", "provenance"]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        unknown = sorted(set(value or ()) - set(ATTESTATIONS))
        if unknown:
            raise invalid_field(
                address,
                cls.alias,
                f"choose from {', '.join(map(repr, ATTESTATIONS))}, not {', '.join(unknown)}",
            )
        return value
