"""The demo service answers real requests with real images."""

from __future__ import annotations

import io
import json

import pytest
from flask.testing import FlaskClient
from PIL import Image

from batch.main import main as batch_main
from common.errors import SettingsError
from common.settings import Settings
from web.application import create_application


def png(colour: str = "#ff8000", size: "tuple[int, int]" = (40, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture
def client() -> FlaskClient:
    return create_application(Settings(max_pixels=10_000)).test_client()


def test_statistics_of_a_plain_image(client: FlaskClient) -> None:
    answer = client.post("/v1/statistics", data=png()).get_json()
    assert (answer["width"], answer["height"]) == (40, 20)
    assert answer["dominant_colour"] == "#ff8000"
    assert answer["contrast"] == answer["entropy"] == answer["sharpness"] == 0
    assert answer["brightness"] == pytest.approx(0.2126 + 0.7152 * 128 / 255, abs=1e-3)


def test_histogram_counts_every_pixel(client: FlaskClient) -> None:
    answer = client.post("/v1/histogram?bins=4", data=png()).get_json()
    assert answer == {"red": [0, 0, 0, 800], "green": [0, 0, 800, 0], "blue": [800, 0, 0, 0]}


def test_thumbnail_keeps_the_proportions(client: FlaskClient) -> None:
    answer = client.post("/v1/thumbnail?size=16", data=png())
    assert answer.mimetype == "image/png"
    assert Image.open(io.BytesIO(answer.data)).size == (16, 8)


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("/v1/statistics", b"", "send an image"),
        ("/v1/statistics", b"no image", "not an image"),
        ("/v1/statistics", png(size=(200, 200)), "more than 10000 pixels"),
        ("/v1/thumbnail?size=4", png(), "size must be"),
        ("/v1/thumbnail?size=x", png(), "size must be"),
        ("/v1/histogram?bins=0", png(), "bins must be"),
    ],
)
def test_bad_requests_say_why(client: FlaskClient, path: str, data: bytes, message: str) -> None:
    answer = client.post(path, data=data)
    assert answer.status_code == 400
    assert message in answer.get_json()["error"]


def test_index_is_rendered_from_its_template(client: FlaskClient) -> None:
    assert b"<h1>Image statistics</h1>" in client.get("/").data


def test_metrics_count_requests(client: FlaskClient) -> None:
    client.get("/healthz")
    assert b'http_requests_total{endpoint="health",status="200"} 1' in client.get("/metrics").data


def test_settings_must_be_numbers() -> None:
    assert Settings.from_environment({"PORT": "9000"}).port == 9000
    with pytest.raises(SettingsError, match="PORT"):
        Settings.from_environment({"PORT": "http"})


def test_batch_goes_on_after_a_bad_file(tmp_path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "bad.png").write_bytes(b"?")
    assert batch_main([str(tmp_path / "bad.png"), str(tmp_path / "good.png")]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["width"] == 40
    assert "bad.png" in output.err
