"""Plans of images in a repository: addresses in them, and what they know of other images."""

from __future__ import annotations

from typing import Dict, List, Set

import pytest

from end_to_end.pants_checkout import PantsCheckout, members_by_digest

_REPOSITORY = "--layered-images-popularity-scope=repository"
#: Twenty small objects that both images have, and twenty of the first one alone.
_TWO_IMAGES = """
shared, own = [], []
for number in range(20):
    for group, names in (("shared", shared), ("own", own)):
        name = f"{group}-{number}"
        file(name=f"{name}-file", source="content.txt")
        image_files(name=name, files=[f":{name}-file"], destination=f"/etc/{name}")
        names.append(f":{name}")

layered_image(name="first", contents=[*shared, *own])
layered_image(name="second", contents=shared)
"""
#: An image may lie in another as an archive, in two ways; both are counted, and neither waits.
_NESTED = """
image_files(name="inner", files=["l/two:second"], destination="/images")
layered_image(name="outer", contents=[":inner", "l/two:first"])
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> PantsCheckout:
    checkout = PantsCheckout(tmp_path_factory.mktemp("layering") / "checkout")
    checkout.write("l/two/BUILD", _TWO_IMAGES)
    checkout.write("l/two/content.txt", "content\n")
    return checkout


def layers(repository: PantsCheckout, image: str) -> Dict[str, List[str]]:
    return members_by_digest(repository.report(image))


def common_objects(first: Dict[str, List[str]], second: Dict[str, List[str]]) -> Set[str]:
    names = {name for digest in set(first) & set(second) for name in first[digest]}
    # Neither of them has any links.
    return names - {"customisation"}


def test_popularity_over_the_repository(repository: PantsCheckout) -> None:
    repository.run("package", "l/two:first", "l/two:second")
    alone = layers(repository, "l.two/first")
    second_alone = layers(repository, "l.two/second")
    repository.run(_REPOSITORY, "package", "l/two:first", "l/two:second")
    first, second = layers(repository, "l.two/first"), layers(repository, "l.two/second")
    shared = {f"files:shared-{number}" for number in range(20)}
    assert common_objects(first, second) == shared
    assert not shared <= common_objects(alone, second_alone)
    for plan in (first, second):
        assert len({name for names in plan.values() for name in names}) == sum(
            map(len, plan.values())
        )
    # What both have lies below what one has.
    kinds = [names[0].partition("-")[0] for names in first.values()][:-1]
    assert kinds == sorted(kinds, key=lambda kind: kind != "files:shared")
    # An image that is built alone has the same plan.
    repository.run(_REPOSITORY, "package", "l/two:second")
    assert layers(repository, "l.two/second") == second


def test_counting_images_builds_none_of_them(repository: PantsCheckout) -> None:
    repository.write("l/two/content.txt", "other content\n")
    result = repository.run(_REPOSITORY, "package", "l/two:second")
    assert result.layer_processes
    assert not [name for name in result.processes if "own-" in name]


def test_images_that_lie_in_each_other_are_no_circle(repository: PantsCheckout) -> None:
    repository.write("l/outer/BUILD", _NESTED)
    repository.run(_REPOSITORY, "package", "l/outer:outer")
    names = {name for names in layers(repository, "l.outer/outer").values() for name in names}
    assert {"files:inner", "package:first"} <= names


def test_addresses_stand_for_objects(repository: PantsCheckout) -> None:
    repository.write(
        "l/addresses/BUILD",
        'files(name="texts", sources=["*.txt"])\n'
        'image_files(name="one", files=[":texts"], destination="/etc/one")\n'
        'image_files(name="l", files=[":texts"], destination="/etc/two")\n'
        'layered_image(name="image", contents=[":one", ":l", ":texts"], layering=[\n'
        '    ["split_paths", [":one", "//l/addresses:texts"]],\n'
        '    ["over", "main", ["subcomponent_in", "l/addresses:one"]],\n'
        '    ["flatten"],\n'
        "])\n"
        'layered_image(name="grouped", contents=[":one", ":l", ":texts"],\n'
        '    layer_groups={"texts": [":texts"], "one": [":one"]})\n'
        'layered_image(name="bad", contents=[":one"], layering=[["split_paths", ["//x:y"]]])\n',
    )
    repository.write("l/addresses/a.txt", "a")
    repository.write("l/addresses/b.txt", "b")
    repository.run("package", "l/addresses:image", "l/addresses:grouped")
    texts = ["file:l/addresses/a.txt", "file:l/addresses/b.txt"]
    assert list(layers(repository, "l.addresses/image").values())[:-1] == [
        ["files:one"],
        texts,
        ["files:l"],
    ]
    assert list(layers(repository, "l.addresses/grouped").values())[:-1] == [
        ["files:one"],
        texts,
        ["files:l"],
    ]
    result = repository.run("package", "l/addresses:bad", check=False)
    assert result.exit_code != 0
    assert (
        "`layering` of l/addresses:bad: layering[0] (split_paths): //x:y is no address of "
        "anything in the image; there are //l/addresses:one" in result.output
    )


def test_addresses_of_code_and_of_requirements(repository: PantsCheckout) -> None:
    groups = '{"code": ["app/common"], "wheels": ["3rdparty/python/app#numpy"]}'
    repository.replace("app/BUILD", 'name="image",', f'name="image", layer_groups={groups},')
    repository.run("package", "app:image")
    plan = list(layers(repository, "app/image").values())
    assert plan[:2] == [["source:common"], ["python:numpy"]]
