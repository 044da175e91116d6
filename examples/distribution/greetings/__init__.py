"""A library that is published as a distribution of its own."""

from importlib import resources


def greet(name: str) -> str:
    template = resources.read_text("greetings", "template.txt").strip()
    return template.replace("NAME", name)


def main() -> None:
    print(greet("script"))
