"""Registries of container images, over the OCI distribution specification v1.1.

- ``reference.parse_reference`` takes names apart, ``settings.ClientSettings`` says how registries
  are reached, ``client.RegistryClient`` gives a ``repository.Repository`` to read and write.
- ``layout.read_layout`` and ``push.push_layout`` put an OCI image layout into a repository;
  ``referrers`` knows who refers to a manifest.
- Errors are in ``errors.py``. Only the standard library is needed.
"""
