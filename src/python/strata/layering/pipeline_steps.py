"""The grammar of layering pipelines: what a step may look like, whatever graph it is run on."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Tuple

from strata.errors import StrataError


def check_steps(steps: Any, where: str) -> None:
    """Raises StrataError, naming the step and the argument, if ``steps`` is no pipeline."""
    if not isinstance(steps, (list, tuple)):
        raise StrataError(f"{where} must be a list of steps, not {steps!r}")
    for index, step in enumerate(steps):
        read_step(step, f"{where}[{index}]")


def read_step(step: Any, where: str) -> Tuple[str, List[Any]]:
    """The operation of a step and its arguments. Raises StrataError as ``check_steps`` does."""
    if isinstance(step, str):
        step = [step]
    if not isinstance(step, (list, tuple)) or not step or not isinstance(step[0], str):
        raise StrataError(f"{where}: a step is a list such as ['limit_layers', 20], not {step!r}")
    name, *arguments = step
    if name not in OPERATIONS:
        known = ", ".join(sorted(OPERATIONS))
        raise StrataError(f"{where}: unknown operation {name!r}; the operations are {known}")
    parameters = OPERATIONS[name]
    if len(arguments) != len(parameters):
        wanted = " and ".join(parameters) or "no arguments"
        raise StrataError(
            f"{where}: {name!r} takes {wanted}, and not {len(arguments)} arguments: {step!r}"
        )
    for argument, (parameter, check) in zip(arguments, parameters.items()):
        check(argument, f"{where} ({name}): {parameter}")
    return name, arguments


def _count(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StrataError(f"{where} must be a positive number, not {value!r}")


def _paths(value: Any, where: str) -> None:
    if isinstance(value, str):
        return
    if isinstance(value, Mapping):
        if set(value) != {"children_of"}:
            raise StrataError(
                f"{where}: the only key of a dict is 'children_of', not {sorted(value)}"
            )
        _paths(value["children_of"], f"{where} children_of")
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (list, tuple)):
                raise StrataError(f"{where}: a list of objects has no lists in it: {item!r}")
            _paths(item, where)
    else:
        raise StrataError(
            f"{where} must be names of objects, patterns, addresses or "
            f"{{'children_of': …}}, not {value!r}"
        )


def _key(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise StrataError(f"{where} must be 'main', 'common' or 'rest', not {value!r}")


def _step(value: Any, where: str) -> None:
    read_step(value, where)


def _steps(value: Any, where: str) -> None:
    check_steps(value, where)


#: The parameters of each operation, and what checks an argument for one.
OPERATIONS: Mapping[str, Mapping[str, Callable[[Any, str], None]]] = {
    "popularity_contest": {},
    "limit_layers": {"count": _count},
    "split_paths": {"paths": _paths},
    "subcomponent_in": {"paths": _paths},
    "subcomponent_out": {"paths": _paths},
    "over": {"key": _key, "step": _step},
    "map": {"step": _step},
    "pipe": {"steps": _steps},
    "flatten": {},
    "split_every": {"count": _count},
    "remove_paths": {"paths": _paths},
    "reverse": {},
}
