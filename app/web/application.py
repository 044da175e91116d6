"""The Flask application."""

from __future__ import annotations

import logging
import time
from typing import Any, Tuple

import numpy as np
import PIL
from flask import Flask, Response, g, jsonify, render_template, request
from PIL import Image

from common.errors import ImageError
from common.settings import Settings
from imaging.loading import load_image
from imaging.statistics import histogram, statistics
from imaging.thumbnails import thumbnail
from web.metrics import Metrics

logger = logging.getLogger("web")
_MAX_BODY = 32 << 20


def create_application(settings: Settings) -> Flask:
    application = Flask("web")
    application.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    metrics = Metrics()

    @application.before_request
    def start_clock() -> None:
        g.started = time.perf_counter()

    @application.after_request
    def record(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        endpoint = request.endpoint or "none"
        metrics.observe(endpoint, response.status_code, seconds)
        logger.info(
            "request",
            extra={"path": request.path, "status": response.status_code, "seconds": seconds},
        )
        return response

    @application.errorhandler(ImageError)
    def bad_image(error: ImageError) -> Tuple[Any, int]:
        return jsonify(error=str(error)), 400

    @application.get("/")
    def index() -> str:
        return render_template("index.html", numpy=np.__version__, pillow=PIL.__version__)

    @application.get("/healthz")
    def health() -> Any:
        return jsonify(status="ok")

    @application.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics.render(), mimetype="text/plain")

    def uploaded() -> Image.Image:
        data = request.get_data()
        if not data:
            raise ImageError("send an image as the request's body")
        return load_image(data, settings.max_pixels)

    @application.post("/v1/statistics")
    def image_statistics() -> Any:
        return jsonify(statistics(uploaded()).to_json())

    @application.post("/v1/histogram")
    def image_histogram() -> Any:
        bins = request.args.get("bins", "32")
        if not bins.isdigit() or not 1 <= int(bins) <= 256:
            raise ImageError(f"bins must be from 1 to 256, not {bins!r}")
        return jsonify(histogram(uploaded(), int(bins)))

    @application.post("/v1/thumbnail")
    def image_thumbnail() -> Response:
        size = request.args.get("size", "128")
        if not size.isdigit():
            raise ImageError(f"size must be a number, not {size!r}")
        return Response(thumbnail(uploaded(), int(size)), mimetype="image/png")

    return application
