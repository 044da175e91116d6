"""The ``layered_image`` target and its fields."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Optional, Tuple

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address
from pants.engine.target import (
    BoolField,
    DescriptionField,
    DictStringToStringSequenceField,
    Field,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Tags,
    Target,
)
from pants.util.frozendict import FrozenDict
from pants.util.strutil import softwrap

from layered_image.engine import EnvironmentField
from layered_image.errors import invalid_field
from layered_image.fields.attestations import ImageAttestationsField
from layered_image.fields.commands import COMMAND_FIELDS
from layered_image.fields.layering import (
    LayeredImageLayerGroupsField,
    LayeredImageLayeringField,
    LayeredImageMaxLayersField,
)
from layered_image.fields.metadata import (
    ImageAnnotationsField,
    ImageExtraBuildArgsField,
    ImageLabelsField,
)
from layered_image.fields.owners import (
    LayeredImageGidField,
    LayeredImageGnameField,
    LayeredImageOwnersField,
    LayeredImageUidField,
    LayeredImageUnameField,
)
from layered_image.fields.platforms import (
    LayeredImageArchitectureField,
    LayeredImageArchitecturesField,
    LayeredImageVariantField,
)
from layered_image.fields.publishing import PUBLISH_FIELDS
from layered_image.fields.values import frozen, thawed
from strata.archive.compression import Compression
from strata.errors import StrataError
from strata.oci.config import validated_config
from strata.oci.image import checked_name, checked_tag, parse_timestamp

_INTERPRETER = re.compile(r"/\S+ 3\.\d+\.\d+")
EPOCH = "1970-01-01T00:00:01Z"


class ImageNameField(StringField):
    alias = "image_name"
    help = softwrap(
        """
        The image's repository name, with a registry's host in front if you like:
        `image_name="registry.example/team/app"`. Upper case is lowered, as in dockerTools.
        Defaults to the target's name.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is None:
            return None
        try:
            return checked_name(value)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)


class LayeredImageTagsField(Tags):
    help = softwrap(
        """
        The image's tags, for example `tags=["latest", "1.2"]`. Without any, the image is tagged by
        a hash of its content. They are also the target's tags for Pants' `--tag` option.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        try:
            return None if value is None else tuple(checked_tag(tag) for tag in value)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)


class LayeredImageContentsField(SpecialCasedDependencies):
    alias = "contents"
    help = softwrap(
        """
        Addresses of what goes into the image, with everything they need at run time: `pex_binary`,
        `debian_packages`, the `image_…` helper targets, `files`, `resources`, `shell_sources`, and
        any other target that `package` can build. For example `contents=[":server", ":os"]`.
        """
    )


class LayeredImageConfigField(Field):
    alias = "config"
    value: FrozenDict
    default: ClassVar[FrozenDict] = FrozenDict()
    help = softwrap(
        """
        The container configuration, with the keys of the Docker image specification: `Entrypoint`,
        `Cmd`, `Env`, `ExposedPorts`, `User`, `WorkingDir`, `Volumes`, `Labels`, `StopSignal`,
        `Healthcheck`, `Shell` and so on.

        An item of `Entrypoint`, `Cmd` or `Healthcheck.Test` that is an address (`":server"`,
        `"//tools:x"`) stands for that target's path in the image, and adds the target to the
        contents. Inside an `Env` value write it as `{:server}`.

        Example: `config={"Entrypoint": [":server"], "Env": {"LOG": "json"}, "User": "1000:1000"}`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> FrozenDict:
        value = super().compute_value(raw_value, address)
        if not isinstance(value, (dict, FrozenDict)):
            raise invalid_field(address, cls.alias, f"it must be a dict, not {value!r}")
        try:
            return frozen(validated_config(thawed(frozen(dict(value)))))
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)


class _TimeField(StringField):
    default = EPOCH

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is None:
            raise invalid_field(address, cls.alias, f"it must be a time such as {EPOCH!r}")
        try:
            parse_timestamp(value, now=0)
        except StrataError as error:
            raise invalid_field(address, cls.alias, error)
        return value


class LayeredImageCreatedField(_TimeField):
    alias = "created"
    help = softwrap(
        """
        The creation time in the image's metadata, in ISO 8601, or `"now"`, which makes every build
        differ: `created="2024-05-06T07:08:09Z"`. It is not in any layer, so a change builds none.
        """
    )


class LayeredImageMtimeField(_TimeField):
    alias = "mtime"
    help = softwrap(
        """
        The modification time of all files in all layers, in ISO 8601, or `"now"`, which builds
        every layer anew each time: `mtime="2024-05-06T07:08:09Z"`.
        """
    )


class LayeredImageCompressionField(StringField):
    alias = "compression"
    default = Compression.GZIP.value
    valid_choices = tuple(item.value for item in Compression)
    help = softwrap(
        """
        How layers are compressed. `gzip` loads everywhere; `zstd` is smaller and needs Docker 23,
        containerd 1.5 or podman 4; `none` is for images that never leave the machine.

        Example: `compression="zstd"`
        """
    )


class LayeredImageFormatsField(StringSequenceField):
    alias = "formats"
    default = ("tar",)
    help = softwrap(
        """
        What `package` writes besides the image's JSON report: `tar` is one file that is a docker
        archive and an OCI archive, `oci` an OCI image layout folder, which moves fewer bytes.

        Example: `formats=["tar", "oci"]`
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Any, address: Address) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        unknown = sorted(set(value or ()) - {"tar", "oci"})
        if unknown or not value:
            raise invalid_field(
                address, cls.alias, f"choose from 'tar' and 'oci', not {', '.join(unknown) or '[]'}"
            )
        return value


class LayeredImageBytecodeField(BoolField):
    alias = "bytecode"
    default = True
    help = softwrap(
        """
        Whether Python code comes with bytecode, compiled by the image's own interpreter. Without
        it every start of a container with a read-only root compiles everything again, but an image
        is smaller: `bytecode=False`.
        """
    )


class LayeredImageBaseField(StringField):
    alias = "base"
    help = softwrap(
        """
        The image to build on: the address of another `layered_image`, or of a `file` that is an
        archive of `docker save` or an OCI archive: `base="//base:debian"`. Its layers stay as they
        are and count for `max_layers`, its history is kept, and its configuration is inherited:
        `Env` is merged by variable, `Labels`, `ExposedPorts` and `Volumes` by key, and everything
        else is replaced by what `config` says. A new `Entrypoint` drops the base's `Cmd`; an empty
        list in `config` drops any list.

        Links of the base that lead to folders are followed: with a merged `/usr`, what the image
        places in `/bin` goes to `/usr/bin`. Folders of the base keep their modes.
        """
    )


class LayeredImageInterpreterField(StringField):
    alias = "interpreter"
    help = softwrap(
        """
        The Python interpreter of the base image, as its path and full version:
        `interpreter="/usr/local/bin/python3.11 3.11.9"`. Only needed where it does not come from
        `debian_packages`. Bytecode is compiled by an interpreter from `debian_packages` only.
        """
    )

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is not None and not _INTERPRETER.fullmatch(value):
            raise invalid_field(
                address,
                cls.alias,
                f"write the path and the version, '/usr/bin/python3.11 3.11.9', not {value!r}",
            )
        return value


class LayeredImageIncludeStoreField(BoolField):
    alias = "include_store"
    default = True
    help = softwrap(
        """
        Whether the image holds the store. Without it the image has only links into the store, for
        containers that have the store mounted: `include_store=False`.
        """
    )


class LayeredImageArchiveCompressionField(StringField):
    alias = "archive_compression"
    default = Compression.NONE.value
    valid_choices = tuple(item.value for item in Compression)
    help = softwrap(
        """
        Compresses the whole archive, beside its layers: `image.tar` becomes `image.tar.gz` or
        `image.tar.zst`. Only worth it with `compression="none"`: `archive_compression="zstd"`.
        """
    )


class LayeredImageOmitPathsField(DictStringToStringSequenceField):
    alias = "omit_paths"
    help = softwrap(
        """
        Paths to leave out of objects, as a dict of object name to shell patterns of paths in the
        image, without a leading slash: `omit_paths={"debian:bash": ["usr/share/doc/*"]}`. It says
        which object gives way where two contain one path. A pattern that matches nothing is an
        error.
        """
    )


class LayeredImageTarget(Target):
    alias = "layered_image"
    core_fields = (
        DescriptionField,
        EnvironmentField,
        ImageNameField,
        LayeredImageTagsField,
        LayeredImageContentsField,
        LayeredImageConfigField,
        ImageLabelsField,
        ImageAnnotationsField,
        ImageExtraBuildArgsField,
        LayeredImageArchitectureField,
        LayeredImageVariantField,
        LayeredImageArchitecturesField,
        LayeredImageCreatedField,
        LayeredImageMtimeField,
        LayeredImageUidField,
        LayeredImageGidField,
        LayeredImageUnameField,
        LayeredImageGnameField,
        LayeredImageMaxLayersField,
        LayeredImageLayeringField,
        LayeredImageLayerGroupsField,
        LayeredImageCompressionField,
        LayeredImageFormatsField,
        LayeredImageBytecodeField,
        LayeredImageOmitPathsField,
        LayeredImageBaseField,
        LayeredImageInterpreterField,
        LayeredImageOwnersField,
        LayeredImageIncludeStoreField,
        LayeredImageArchiveCompressionField,
        ImageAttestationsField,
        *PUBLISH_FIELDS,
        *COMMAND_FIELDS,
        OutputPathField,
    )
    help = softwrap(
        """
        A reproducible container image whose layers follow the closure of what is inside.

        Example:

            layered_image(
                name="image",
                image_name="demo",
                contents=[":server", ":os"],
                config={"Entrypoint": [":server"], "ExposedPorts": {"8080/tcp": {}}},
            )
        """
    )
