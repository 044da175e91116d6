"""What is in an image and where it comes from, told to others: SBOMs, provenance, and the artifacts
that carry them in registries.

``facts`` is what a build knows of an image, without looking into it; ``sbom`` and ``provenance``
say it in CycloneDX and in SLSA, and ``artifacts`` makes OCI referrers of both.
"""
