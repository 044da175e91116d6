"""Helper targets for ``contents`` that take what they need from locked Debian packages."""

from __future__ import annotations

from pants.engine.target import COMMON_TARGET_FIELDS, StringField, Target
from pants.util.strutil import softwrap


class ImageCertificatesPackagesField(StringField):
    alias = "packages"
    required = True
    help = softwrap(
        """
        The address of the `debian_packages` target that has `ca-certificates`: `packages=":os"`.
        """
    )


class ImageCertificatesTarget(Target):
    alias = "image_certificates"
    core_fields = (*COMMON_TARGET_FIELDS, ImageCertificatesPackagesField)
    help = softwrap(
        """
        `/etc/ssl/certs/ca-certificates.crt`, the bundle of certificate authorities that
        `update-ca-certificates` would write, from a locked `ca-certificates` package; and links to
        it where other distributions have theirs: `/etc/ssl/certs/ca-bundle.crt` and
        `/etc/pki/tls/certs/ca-bundle.crt`.

        Example:

            image_certificates(name="certificates", packages=":os")
        """
    )


class ImageBinShPackagesField(StringField):
    alias = "packages"
    required = True
    help = softwrap(
        """
        The address of the `debian_packages` target that has `dash`, `bash` or `busybox`:
        `packages=":os"`.
        """
    )


class ImageBinShTarget(Target):
    alias = "image_bin_sh"
    core_fields = (*COMMON_TARGET_FIELDS, ImageBinShPackagesField)
    help = softwrap(
        """
        `/bin/sh`, from the locked packages: that of `dash` if it is there, and otherwise a link to
        `bash` or `busybox`. An image needs it for scripts, for `system(3)`, and for a `Cmd` in
        shell form.

        Example:

            image_bin_sh(name="sh", packages=":os")
        """
    )


class ImageUsrBinEnvPackagesField(StringField):
    alias = "packages"
    required = True
    help = softwrap(
        """
        The address of the `debian_packages` target that has `coreutils` or `busybox`:
        `packages=":os"`.
        """
    )


class ImageUsrBinEnvTarget(Target):
    alias = "image_usr_bin_env"
    core_fields = (*COMMON_TARGET_FIELDS, ImageUsrBinEnvPackagesField)
    help = softwrap(
        """
        `/usr/bin/env`, for scripts that start with `#!/usr/bin/env`, from the locked packages: that
        of `coreutils` if it is there, and otherwise a link to `busybox`.

        Example:

            image_usr_bin_env(name="env", packages=":os")
        """
    )
