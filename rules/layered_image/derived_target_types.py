"""Targets made from images: several in one archive or index, and an image's root as a tar."""

from __future__ import annotations

from pants.core.goals.package import OutputPathField
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    SpecialCasedDependencies,
    StringField,
    Tags,
    Target,
)
from pants.util.strutil import softwrap

from layered_image.engine import EnvironmentField
from layered_image.fields.attestations import ImageAttestationsField
from layered_image.fields.metadata import (
    ImageExtraBuildArgsField,
    ImageIndexAnnotationsField,
)
from layered_image.fields.publishing import PUBLISH_FIELDS
from layered_image.target_types import (
    ImageNameField,
    LayeredImageArchiveCompressionField,
    LayeredImageFormatsField,
    LayeredImageTagsField,
)


class MergedImagesField(SpecialCasedDependencies):
    alias = "images"
    required = True
    help = softwrap(
        """
        Addresses of the `layered_image` and `image_index` targets that go into one archive:
        `images=[":image", ":batch-image"]`.
        """
    )


class MergedImagesTarget(Target):
    alias = "merged_images"
    core_fields = (*COMMON_TARGET_FIELDS, EnvironmentField, MergedImagesField, OutputPathField)
    help = softwrap(
        """
        Several images in one archive, which holds what they share once:
        `merged_images(name="all", images=[":image", ":batch-image"])`. No two of them may have a
        name and tag in common.
        """
    )


class ImageIndexImagesField(SpecialCasedDependencies):
    alias = "images"
    required = True
    help = softwrap(
        """
        Addresses of `layered_image` targets, each for other platforms. Their own names and tags do
        not count. The first is the one that a Docker engine without containerd's image store gets
        from the archive.

        Example: `images=[":image-amd64", ":image-arm64"]`
        """
    )


class ImageIndexTarget(Target):
    alias = "image_index"
    core_fields = (
        *(field for field in COMMON_TARGET_FIELDS if field is not Tags),
        EnvironmentField,
        ImageIndexImagesField,
        ImageNameField,
        LayeredImageTagsField,
        LayeredImageFormatsField,
        LayeredImageArchiveCompressionField,
        ImageIndexAnnotationsField,
        ImageExtraBuildArgsField,
        ImageAttestationsField,
        *PUBLISH_FIELDS,
        OutputPathField,
    )
    help = softwrap(
        """
        Images for several platforms under one name: who pulls or loads it gets the one of their
        machine. For images that differ in more than the platform; where they do not, use
        `architectures` of `layered_image`.

        Example:

            image_index(
                name="everywhere",
                image_name="demo",
                images=[":image-amd64", ":image-arm64"],
            )
        """
    )


class ImageRootImageField(StringField):
    alias = "image"
    required = True
    help = 'The address of the `layered_image` or `image_index`: `image=":image"`.'


class ImageRootArchitectureField(StringField):
    alias = "architecture"
    help = softwrap(
        """
        Which image's root it is, where the image is for several architectures:
        `architecture="arm64"`.
        """
    )


class ImageRootTarget(Target):
    alias = "image_root"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        EnvironmentField,
        ImageRootImageField,
        ImageRootArchitectureField,
        OutputPathField,
    )
    help = softwrap(
        """
        An image's root file system as one tar, with all layers applied:
        `image_root(name="root", image=":image")`. For chroots, virtual machines and the like.
        """
    )
