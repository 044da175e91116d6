"""What may depend on what, and which forms rules may take.

Rules are written once for Pants 2.17 to 2.33. Each release reads them its own way (``docs/
architecture.md``), so only the call forms that work on all of them are allowed.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

CHECKOUT = next(p for p in Path(__file__).resolve().parents if (p / "pants.toml").exists())
ENGINE = CHECKOUT / "src/python/strata"
RULES = CHECKOUT / "rules/layered_image"
ENGINE_MODULES = ("engine.py", "engine_legacy.py", "engine_modern.py")
#: What a rule module must not use: it would mean that rules handle layer bytes.
BYTE_MODULES = {
    "gzip",
    "hashlib",
    "io",
    "lzma",
    "shutil",
    "subprocess",
    "tarfile",
    "zipfile",
    "zlib",
}


def modules(folder: Path) -> List[Path]:
    return sorted(path for path in folder.rglob("*.py"))


RULE_MODULES = [path for path in modules(RULES) if path.name not in ENGINE_MODULES]


def identify(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", modules(ENGINE), ids=identify)
def test_the_engine_imports_neither_pants_nor_rules(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
    assert not tops & {"pants", "layered_image"}


@pytest.mark.parametrize("path", RULE_MODULES, ids=identify)
def test_rules_open_no_layer(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = set(imports(tree))
    assert not {name.partition(".")[0] for name in names} & BYTE_MODULES
    assert not {
        name for name in names if name.startswith(("strata.commands", "strata.archive"))
    } - {"strata.archive.compression"}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in called


@pytest.mark.parametrize("path", RULE_MODULES, ids=identify)
def test_rules_take_engine_names_from_one_module(path: Path) -> None:
    names = set(imports(ast.parse(path.read_text())))
    assert not names & {"pants.engine.rules", "pants.engine.intrinsics", "pants.version"}
    assert not [name for name in names if name.startswith("pants.engine.internals")]


def test_both_engines_offer_the_same_names() -> None:
    def exported(name: str) -> Set[str]:
        for node in ast.parse((RULES / name).read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                return set(ast.literal_eval(node.value))
        raise AssertionError(f"{name} has no __all__")

    assert exported("engine_legacy.py") == exported("engine_modern.py")


class RuleModule:
    """The rules, helpers and engine calls of one module."""

    def __init__(self, path: Path) -> None:
        self.tree = ast.parse(path.read_text())
        self.engine_names: Set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "layered_image.engine":
                self.engine_names |= {alias.asname or alias.name for alias in node.names}
        self.functions = [n for n in self.tree.body if isinstance(n, ast.AsyncFunctionDef)]
        self.rules = [f for f in self.functions if any(_is_rule(d) for d in f.decorator_list)]
        self.helpers = [f for f in self.functions if f not in self.rules]
        self.imported: Set[str] = {
            alias.asname or alias.name
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def awaited(self) -> Iterator[Tuple[ast.AsyncFunctionDef, ast.Call]]:
        """Every call that is awaited, alone or inside ``concurrently``."""
        for function in self.functions:
            for node in ast.walk(function):
                if not isinstance(node, ast.Await) or not isinstance(node.value, ast.Call):
                    continue
                call = node.value
                if _name(call) != "concurrently":
                    yield function, call
                    continue
                for argument in call.args:
                    inner = argument.elt if isinstance(argument, ast.GeneratorExp) else argument
                    elements = inner.elts if isinstance(inner, (ast.List, ast.Tuple)) else [inner]
                    for element in elements:
                        assert isinstance(element, ast.Call), ast.dump(element)
                        yield function, element


def _is_rule(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(target, ast.Name) and target.id in ("rule", "goal_rule")


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)


LOADED = {path: RuleModule(path) for path in RULE_MODULES}
WITH_RULES = [path for path, module in LOADED.items() if module.functions]
UNION_BASES = {"provide_objects"}


@pytest.mark.parametrize("path", WITH_RULES, ids=identify)
def test_calls_have_a_form_that_all_releases_understand(path: Path) -> None:
    module = LOADED[path]
    for function, call in module.awaited():
        where = f"{identify(path)}:{call.lineno}"
        assert isinstance(call.func, ast.Name), f"{where}: no module-qualified or bound callee"
        assert len(call.args) <= 1, f"{where}: more than one positional argument"
        assert not any(isinstance(a, ast.Starred) for a in call.args), f"{where}: starred argument"
        for keyword in call.keywords:
            assert keyword.arg is None, f"{where}: keyword argument {keyword.arg!r}"
            _check_implicitly(keyword.value, function, where)
        if call.func.id in UNION_BASES:
            assert not call.args, f"{where}: a union's base takes only the dict form"
        if not call.args:
            assert call.keywords, f"{where}: a call without input"


def _check_implicitly(value: ast.expr, function: ast.AsyncFunctionDef, where: str) -> None:
    assert isinstance(value, ast.Call) and _name(value) == "implicitly", (
        f"{where}: not implicitly()"
    )
    assert not value.keywords and len(value.args) <= 1, f"{where}: implicitly takes one argument"
    for argument in value.args:
        if isinstance(argument, ast.Dict):
            assert len(argument.keys) == 1, f"{where}: one entry in the dict form"
        elif isinstance(argument, ast.Name):
            # Not every release sees the type of any other local name.
            assert argument.id in _typed_locals(function), f"{where}: the type is not seen"
        else:
            assert isinstance(argument, ast.Call), f"{where}: {ast.dump(argument)}"


def _typed_locals(function: ast.AsyncFunctionDef) -> Set[str]:
    names = {argument.arg for argument in function.args.args if argument.annotation}
    return names


@pytest.mark.parametrize("path", WITH_RULES, ids=identify)
def test_callees_stand_above_their_callers(path: Path) -> None:
    module = LOADED[path]
    lines = {function.name: function.lineno for function in module.functions}
    for function, call in module.awaited():
        name = _name(call)
        if name in lines:
            assert lines[name] < function.lineno, f"{name} is below {function.name}"


@pytest.mark.parametrize("path", WITH_RULES, ids=identify)
def test_no_helper_coroutine_runs_concurrently(path: Path) -> None:
    module = LOADED[path]
    helpers = {helper.name for helper in module.helpers}
    for function in module.functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _name(node) == "concurrently":
                called = {_name(n) for n in ast.walk(node) if isinstance(n, ast.Call)}
                assert not called & helpers


@pytest.mark.parametrize("path", WITH_RULES, ids=identify)
def test_every_call_in_a_rule_is_awaited_where_it_stands(path: Path) -> None:
    module = LOADED[path]
    rules = {rule.name for rule in module.rules} | module.engine_names
    rules -= {
        "rule",
        "goal_rule",
        "collect_rules",
        "implicitly",
        "concurrently",
        "LOCAL_SUCCESSFUL",
    }
    rules = {name for name in rules if name[0].islower()}
    awaited = {id(call) for _, call in module.awaited()}
    for function in module.functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and _name(node) in rules:
                assert id(node) in awaited, f"{identify(path)}:{node.lineno}"


def test_outputs_and_first_parameters_are_unique() -> None:
    pairs: Counter = Counter()
    for path, module in LOADED.items():
        for rule in module.rules:
            if not rule.args.args:
                continue
            first = rule.args.args[0]
            assert first.annotation is not None and rule.returns is not None, rule.name
            for node in (first.annotation, rule.returns):
                assert isinstance(node, ast.Name), f"{identify(path)}: {rule.name}: no plain name"
            pairs[ast.unparse(rule.returns), ast.unparse(first.annotation)] += 1
    assert pairs
    assert [pair for pair, count in pairs.items() if count > 1] == []


@pytest.mark.parametrize("path", WITH_RULES, ids=identify)
def test_rule_parameters_are_never_optional(path: Path) -> None:
    for rule in LOADED[path].rules:
        for argument in rule.args.args:
            assert argument.annotation is not None
            assert "Optional" not in ast.unparse(argument.annotation)


@pytest.mark.parametrize("path", RULE_MODULES, ids=identify)
def test_sources_are_valid_on_every_python_that_runs_pants(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    annotations: List[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            annotations += [a.annotation for a in node.args.args if a.annotation is not None]
            annotations += [node.returns] if node.returns is not None else []
        elif isinstance(node, ast.AnnAssign):
            annotations.append(node.annotation)
        assert not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    for annotation in annotations:
        assert not any(
            isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
            for node in ast.walk(annotation)
        ), ast.unparse(annotation)


def test_targets_and_fields_have_help_with_an_example() -> None:
    found: Dict[str, str] = {}
    for path in RULE_MODULES:
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            names = {
                target.id
                for statement in node.body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            if "alias" in names:
                found[node.name] = identify(path)
                assert "help" in names, f"{node.name} has no help"
                values = {
                    target.id: statement.value
                    for statement in node.body
                    if isinstance(statement, ast.Assign)
                    for target in statement.targets
                    if isinstance(target, ast.Name)
                }
                alias = ast.literal_eval(values["alias"])
                example = f"{alias}(" if node.name.endswith("Target") else f"{alias}="
                assert example in ast.unparse(values["help"]), f"{node.name} has no example"
    assert len(found) > 20
