"""Twelve images of one repository: what each of them asks for.

Nothing here was chosen for how it is layered: they are the requirements of common kinds of
services. Versions, sizes and references are in ``objects.json``, which ``gather.py`` wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

#: What every image has: Debian's Python with its library, certificates and time zones.
BASE_PACKAGES = (
    "ca-certificates",
    "libpython3.11-stdlib",
    "libstdc++6",
    "python3.11-minimal",
    "tzdata",
)


@dataclass(frozen=True)
class ImageDeclaration:
    """``wheels`` are dependency specifiers, ``packages`` Debian packages beside the base's, and
    ``sources`` the first-party targets that only this image has; it needs the shared ones of
    ``libraries`` too."""

    wheels: Tuple[str, ...]
    packages: Tuple[str, ...] = ()
    sources: Tuple[str, ...] = ()
    libraries: Tuple[str, ...] = ()


_SERVICE = ("common/settings", "common/logs", "common/errors", "common/metrics")

IMAGES: Dict[str, ImageDeclaration] = {
    "api": ImageDeclaration(
        (
            "fastapi",
            "uvicorn[standard]",
            "sqlalchemy",
            "psycopg[binary]",
            "alembic",
            "redis",
            "httpx",
            "boto3",
            "pydantic-settings",
            "python-multipart",
            "pyjwt",
            "sentry-sdk",
            "prometheus-client",
            "orjson",
        ),
        ("curl",),
        ("api/routes", "api/schemas", "api/main"),
        (*_SERVICE, "common/database", "common/auth", "domain/orders", "domain/customers"),
    ),
    "admin": ImageDeclaration(
        (
            "django",
            "gunicorn",
            "psycopg[binary]",
            "celery",
            "redis",
            "pillow",
            "whitenoise",
            "boto3",
            "sentry-sdk",
            "prometheus-client",
            "django-storages",
            "openpyxl",
        ),
        ("gettext-base",),
        ("admin/views", "admin/templates", "admin/main"),
        (*_SERVICE, "common/database", "common/auth", "domain/customers", "domain/billing"),
    ),
    "worker": ImageDeclaration(
        (
            "celery",
            "redis",
            "boto3",
            "pandas",
            "pyarrow",
            "sqlalchemy",
            "psycopg[binary]",
            "jinja2",
            "weasyprint",
            "sentry-sdk",
            "prometheus-client",
            "openpyxl",
        ),
        ("libpango-1.0-0", "libpangoft2-1.0-0", "fonts-dejavu-core"),
        ("worker/tasks", "worker/reports", "worker/main"),
        (*_SERVICE, "common/database", "common/queue", "domain/orders", "domain/billing"),
    ),
    "gateway": ImageDeclaration(
        (
            "aiohttp",
            "grpcio",
            "protobuf",
            "confluent-kafka",
            "redis",
            "sentry-sdk",
            "prometheus-client",
            "orjson",
            "uvloop",
            "opentelemetry-sdk",
            "opentelemetry-exporter-otlp",
        ),
        ("curl",),
        ("gateway/streams", "gateway/main"),
        (*_SERVICE, "common/auth", "common/protocol", "common/queue"),
    ),
    "training": ImageDeclaration(
        (
            "tensorflow-cpu",
            "scikit-learn",
            "pandas",
            "pyarrow",
            "lightgbm",
            "boto3",
            "mlflow-skinny",
            "matplotlib",
            "sentry-sdk",
        ),
        ("libgomp1",),
        ("training/pipeline", "training/models", "training/main"),
        (*_SERVICE, "ml/features", "ml/datasets", "common/storage"),
    ),
    "inference": ImageDeclaration(
        (
            "onnxruntime",
            "opencv-python-headless",
            "pillow",
            "grpcio",
            "protobuf",
            "fastapi",
            "uvicorn[standard]",
            "numpy",
            "sentry-sdk",
            "prometheus-client",
        ),
        ("libglib2.0-0", "libgomp1"),
        ("inference/server", "inference/main"),
        (*_SERVICE, "ml/features", "common/protocol", "common/storage"),
    ),
    "notebook": ImageDeclaration(
        (
            "jupyterlab",
            "pandas",
            "scipy",
            "scikit-learn",
            "matplotlib",
            "plotly",
            "bokeh",
            "pyarrow",
            "statsmodels",
            "boto3",
            "duckdb",
        ),
        ("git", "libgomp1"),
        ("notebook/extension",),
        ("common/settings", "common/logs", "ml/features", "ml/datasets", "common/storage"),
    ),
    "etl": ImageDeclaration(
        (
            "polars",
            "duckdb",
            "pyarrow",
            "sqlalchemy",
            "psycopg[binary]",
            "s3fs",
            "boto3",
            "pydantic",
            "typer",
            "sentry-sdk",
        ),
        ("postgresql-client-15",),
        ("etl/jobs", "etl/main"),
        (*_SERVICE, "common/database", "common/storage", "domain/orders"),
    ),
    "crawler": ImageDeclaration(
        (
            "scrapy",
            "playwright",
            "lxml",
            "redis",
            "boto3",
            "beautifulsoup4",
            "sentry-sdk",
            "prometheus-client",
        ),
        (),
        ("crawler/spiders", "crawler/main"),
        (*_SERVICE, "common/queue", "common/storage"),
    ),
    "language": ImageDeclaration(
        (
            "spacy",
            "transformers",
            "sentencepiece",
            "onnxruntime",
            "fastapi",
            "uvicorn[standard]",
            "sentry-sdk",
            "prometheus-client",
            "boto3",
        ),
        ("libgomp1",),
        ("language/server", "language/main"),
        (*_SERVICE, "ml/features", "common/storage", "common/protocol"),
    ),
    "geography": ImageDeclaration(
        (
            "geopandas",
            "shapely",
            "rasterio",
            "pyproj",
            "fastapi",
            "uvicorn[standard]",
            "psycopg[binary]",
            "sqlalchemy",
            "sentry-sdk",
        ),
        ("libexpat1", "curl"),
        ("geography/tiles", "geography/main"),
        (*_SERVICE, "common/database", "domain/places"),
    ),
    "operations": ImageDeclaration(
        (
            "kubernetes",
            "boto3",
            "paramiko",
            "google-cloud-storage",
            "azure-storage-blob",
            "typer",
            "rich",
            "pyyaml",
            "docker",
            "jinja2",
        ),
        ("git", "openssh-client"),
        ("operations/commands", "operations/main"),
        ("common/settings", "common/logs", "common/errors", "common/storage"),
    ),
}

#: First-party targets: bytes of Python, and which others they need.
SOURCES: Dict[str, Tuple[int, Tuple[str, ...]]] = {
    "common/settings": (9_000, ()),
    "common/logs": (14_000, ("common/settings",)),
    "common/errors": (6_000, ()),
    "common/metrics": (11_000, ("common/settings",)),
    "common/database": (48_000, ("common/settings", "common/logs")),
    "common/auth": (37_000, ("common/settings", "common/errors")),
    "common/queue": (29_000, ("common/settings", "common/errors")),
    "common/storage": (31_000, ("common/settings", "common/errors")),
    # Generated code of protocol buffers.
    "common/protocol": (620_000, ()),
    "domain/orders": (140_000, ("common/database", "common/errors")),
    "domain/customers": (95_000, ("common/database", "common/errors")),
    "domain/billing": (170_000, ("common/database", "domain/customers")),
    "domain/places": (60_000, ("common/database",)),
    "ml/features": (110_000, ("common/storage",)),
    "ml/datasets": (75_000, ("common/storage", "ml/features")),
    "api/routes": (120_000, ("domain/orders", "domain/customers", "api/schemas")),
    "api/schemas": (85_000, ()),
    "api/main": (8_000, ("api/routes", "common/metrics", "common/auth")),
    "admin/views": (160_000, ("domain/billing", "domain/customers")),
    # Templates, style sheets and scripts of a browser.
    "admin/templates": (2_400_000, ()),
    "admin/main": (9_000, ("admin/views", "admin/templates", "common/metrics", "common/auth")),
    "worker/tasks": (90_000, ("domain/orders", "common/queue")),
    "worker/reports": (130_000, ("domain/billing",)),
    "worker/main": (7_000, ("worker/tasks", "worker/reports", "common/metrics")),
    "gateway/streams": (70_000, ("common/protocol", "common/queue", "common/auth")),
    "gateway/main": (10_000, ("gateway/streams", "common/metrics")),
    "training/pipeline": (80_000, ("ml/datasets",)),
    "training/models": (95_000, ("ml/features",)),
    "training/main": (12_000, ("training/pipeline", "training/models", "common/metrics")),
    "inference/server": (45_000, ("common/protocol", "ml/features")),
    "inference/main": (6_000, ("inference/server", "common/metrics")),
    "notebook/extension": (40_000, ("ml/datasets", "common/logs")),
    "etl/jobs": (150_000, ("domain/orders", "common/storage")),
    "etl/main": (9_000, ("etl/jobs", "common/metrics")),
    "crawler/spiders": (210_000, ("common/queue", "common/storage")),
    "crawler/main": (6_000, ("crawler/spiders", "common/metrics")),
    "language/server": (55_000, ("common/protocol", "ml/features")),
    "language/main": (6_000, ("language/server", "common/metrics")),
    "geography/tiles": (70_000, ("domain/places",)),
    "geography/main": (8_000, ("geography/tiles", "common/metrics")),
    "operations/commands": (125_000, ("common/storage", "common/logs")),
    "operations/main": (7_000, ("operations/commands",)),
}
