"""Targets made from images: several in one archive, and an image's root as a tar."""

from __future__ import annotations

from pants.core.goals.package import OutputPathField
from pants.engine.target import COMMON_TARGET_FIELDS, SpecialCasedDependencies, StringField, Target
from pants.util.strutil import softwrap

from layered_image.engine import EnvironmentField


class MergedImagesField(SpecialCasedDependencies):
    alias = "images"
    required = True
    help = softwrap(
        """
        Addresses of the `layered_image` targets that go into one archive:
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


class ImageRootImageField(StringField):
    alias = "image"
    required = True
    help = 'The address of the `layered_image`: `image=":image"`.'


class ImageRootTarget(Target):
    alias = "image_root"
    core_fields = (*COMMON_TARGET_FIELDS, EnvironmentField, ImageRootImageField, OutputPathField)
    help = softwrap(
        """
        An image's root file system as one tar, with all layers applied:
        `image_root(name="root", image=":image")`. For chroots, virtual machines and the like.
        """
    )
