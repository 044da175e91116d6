"""The ``layers`` goal tells the truth about built images."""

from __future__ import annotations

import json

from end_to_end.pants_checkout import PantsCheckout


def test_layers_of_two_images(checkout: PantsCheckout) -> None:
    checkout.run("package", "app:image")
    report = checkout.report("app/image")
    edit = ("app/batch/main.py", "usage: batch FILE...", "usage: batch FILE ...")
    checkout.replace(*edit)
    images = json.loads(checkout.stream("layers", "--format=json", "app::"))
    assert sorted(images) == ["app:batch-image", "app:image"]
    layers = images["app:image"]["layers"]
    assert [layer["digest"] for layer in layers] == [item["digest"] for item in report["layers"]]
    assert not any(layer["changed"] for layer in layers)
    assert all(layer["changed"] is None for layer in images["app:batch-image"]["layers"])
    numpy = next(item for item in layers if item["members"][0]["name"] == "python:numpy")
    assert numpy["shared_with"] == ["app:batch-image"]
    assert layers[-1]["shared_with"] == []

    checkout.replace("app/web/application.py", "_MAX_BODY = 32 << 20", "_MAX_BODY = 35 << 20")
    table = checkout.stream("layers", "--width=100", "app:image").decode()
    assert "* changed since the last build: 1, " in table
    assert max(len(line) for line in table.splitlines()) <= 100


def test_no_images_no_layers(checkout: PantsCheckout) -> None:
    result = checkout.run("layers", "app:server")
    assert "nothing to show" in result.output
