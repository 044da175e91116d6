"""Options of the backend: ``[layered-images]``."""

from __future__ import annotations

from enum import Enum
from typing import Any, List

from pants.option.option_types import (
    BoolOption,
    DictOption,
    EnumOption,
    IntOption,
    StrListOption,
    StrOption,
)
from pants.option.subsystem import Subsystem
from pants.util.strutil import softwrap

#: Where docker, podman, their credential helpers and TLS look for what they need.
REGISTRY_ENV_VARS = (
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CONFIG_DIR",
    "CLOUDSDK_CONFIG",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_CONFIG",
    "GNUPGHOME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "NO_PROXY",
    "PASSWORD_STORE_DIR",
    "PATH",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


class PopularityScope(Enum):
    IMAGE = "image"
    REPOSITORY = "repository"


class LayeredImageSubsystem(Subsystem):
    options_scope = "layered-images"
    help = "Options for reproducible layered container images."

    store = StrOption(
        default="/opt/store",
        help=softwrap(
            """
            Where objects lie in every image: wheels, first-party sources and packaged artifacts.
            Use one store in a whole repository, so that images share layers.
            """
        ),
    )

    applications = StrOption(
        default="/opt/app",
        help=softwrap(
            """
            The folder in an image that holds one virtual environment of links for each
            `pex_binary`, named after the target.
            """
        ),
    )

    debian_mirrors = DictOption[List[str]](
        default={},
        help=softwrap(
            """
            Mirrors to fetch Debian packages from, as a dict of suite to list of URLs, for example
            `{"bookworm": ["http://mirror.example/debian"]}`. They are tried in order. By default
            the mirrors come from the machine's apt configuration. Locks name no mirror.
            """
        ),
    )

    popularity_scope = EnumOption(
        default=PopularityScope.IMAGE,
        help=softwrap(
            """
            Which images the `"stable"` layering looks at. With `image` a plan depends on nothing
            but its own image. With `repository` it also looks at which objects the other
            `layered_image` targets of the repository have: what many images have lies lowest, and
            small objects share a layer with those that the same images have, so that no image
            needs a copy of its own. The other images' requirements are then resolved too, and
            a new image, or a new dependency of one, may move objects to other layers.
            """
        ),
    )

    python_search_path = StrListOption(
        default=["/usr/bin", "/bin", "/usr/local/bin"],
        help=softwrap(
            """
            Where to look for the `python3` (3.9 or newer) that runs this backend's processes. It
            is part of every process' cache key, so keep it equal on all machines.
            """
        ),
    )

    command_memory = StrOption(
        default="50%",
        help=softwrap(
            """
            How much memory the files that an image's commands change or make may take, as a share
            of the machine's or in bytes with a suffix (`2g`). They lie in memory so that nothing is
            left behind, however a build ends.
            """
        ),
    )

    registries = DictOption[Any](
        fromfile=True,
        help=softwrap(
            """
            Registries, by alias. Keys mean what they mean in `[docker].registries`:

                [layered-images.registries.main]
                address = "registry.example:5000"
                default = true
                extra_image_tags = ["{directory}-latest"]
                repository = "team/{target_repository}"
                skip_push = false

            Images are published to `default` registries (also an alias named `default` is one)
            unless their `registries` field names others, as `@main` or by address. `repository`
            replaces the image's own, and `extra_image_tags` are added to its tags.
            `use_local_alias` is accepted and has no meaning here: nothing is tagged locally.
            `sign = true` has images signed there by `[layered-images].signing_command`.

            How a registry is reached is set here too, for publishing and for bases:
            `plain_http = true` allows HTTP without TLS, `ca_file` names certificates in PEM form to
            trust besides the machine's, and `mirrors` is a list of hosts or URLs to read from
            first, in that order. Credentials are those of `docker login` and `podman login`.
            """
        ),
    )

    default_repository = StrOption(
        default="{image_name}",
        help=softwrap(
            """
            The repository of images that do not have the field `repositories`, without a registry.
            It may have the placeholders that the field has.
            """
        ),
    )

    build_args = StrListOption(
        default=[],
        help=softwrap(
            """
            Build arguments for `{build_args.NAME}` in labels and annotations of all images:
            `NAME=value`, or `NAME` for the value of that environment variable. They are in no
            layer. A target's `extra_build_args` override them.
            """
        ),
    )

    registry_concurrency = IntOption(
        default=4,
        help="How many blobs of an image are sent to or fetched from a registry at once, at most.",
    )

    attestations = StrListOption(
        default=[],
        help=softwrap(
            """
            What is written about images that do not have the field `attestations`, and pushed with
            them: `["sbom", "provenance"]`.
            """
        ),
    )

    builder_id = StrOption(
        default=None,
        help=softwrap(
            """
            Who builds, as provenance names it (`runDetails.builder.id` of SLSA): a URI that stands
            for all that can influence a build, for example
            `https://ci.example/release-pipeline@v1`. Those who verify provenance decide by it, so
            builds on a laptop need another than those of CI. Needed for
            `attestations=["provenance"]`.
            """
        ),
    )

    registry_env_vars = StrListOption(
        default=list(REGISTRY_ENV_VARS),
        help=softwrap(
            """
            Environment variables of yours that publishing sees: where credentials and certificates
            are, proxies, and what credential helpers need. Pants shows their values in its debug
            log, so name none that holds a secret; keep secrets in files and helpers.
            """
        ),
    )

    signing_command = StrListOption(
        default=[],
        help=softwrap(
            """
            The command that signs images when they are published, as a list of the program and its
            arguments, for example `["tools/sign", "keys/image.pem"]`. It runs in the build root,
            and a program with a `/` is a path from there. It is given the descriptor of what was
            pushed (JSON with `mediaType`, `digest` and `size`) on standard input and the repository
            in `STRATA_REPOSITORY`, and writes an OCI image layout as a tar archive to standard
            output. See docs/signing.md.
            """
        ),
    )

    signing_env_vars = StrListOption(
        default=["HOME", "LANG", "PATH", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"],
        help=softwrap(
            """
            Environment variables of yours that the signing command sees, and no others. Pants shows
            their values in its debug log, so name none that holds a secret; keep secrets in files,
            agents and hardware.
            """
        ),
    )

    signing_timeout = IntOption(
        default=120, help="How many seconds the signing command may take for one signature."
    )

    signing_recursive = BoolOption(
        default=False,
        help="Whether with an image index each of its images is signed, too.",
    )
