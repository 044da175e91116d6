"""Look-alikes of Pants' call-by-name idiom for releases before 2.28, over ``Get``.

Each callee becomes a function that makes one ``Get`` of its output type from its first
parameter's type. Both types are closure variables, where every ``Get``-era rule visitor finds
them. So a call keeps the engine's memoisation.
"""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Iterable, List, get_type_hints

from pants.backend.python.goals.package_pex_binary import (
    PexBinaryFieldSet,
    PexFromTargetsRequestForBuiltPackage,
)
from pants.backend.python.util_rules.pex import Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.backend.python.util_rules.python_sources import (
    PythonSourceFiles,
    PythonSourceFilesRequest,
    StrippedPythonSourceFiles,
)
from pants.core.goals.package import BuiltPackage, EnvironmentAwarePackageRequest
from pants.core.util_rules.environments import EnvironmentField as EnvironmentField
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.core.util_rules.system_binaries import BinaryPathRequest, BinaryPaths
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.fs import (
    AddPrefix,
    CreateDigest,
    Digest,
    DigestContents,
    DigestEntries,
    DigestSubset,
    DownloadFile,
    MergeDigests,
    PathGlobs,
)
from pants.engine.process import (
    FallibleProcessResult,
    InteractiveProcess,
    InteractiveProcessResult,
    Process,
    ProcessCacheScope,
)
from pants.engine.rules import Effect, Get, MultiGet
from pants.engine.rules import collect_rules as _pants_collect_rules
from pants.engine.rules import goal_rule as goal_rule
from pants.engine.rules import rule as _pants_rule
from pants.engine.target import (
    DependenciesRequest,
    FieldSetsPerTarget,
    FieldSetsPerTargetRequest,
    Targets,
    TransitiveTargets,
    TransitiveTargetsRequest,
    WrappedTarget,
    WrappedTargetRequest,
)
from pants.option.subsystem import Subsystem
from pants.vcs.git import GitWorktreeRequest, MaybeGitWorktree
from pants.version import PANTS_SEMVER

__all__ = [
    "EnvironmentField",
    "LOCAL_SUCCESSFUL",
    "PANTS_VERSION",
    "add_prefix",
    "build_pex",
    "build_pex_from_targets",
    "collect_rules",
    "concurrently",
    "create_digest",
    "determine_source_files",
    "digest_subset_to_digest",
    "download_file",
    "environment_aware_package",
    "execute_process",
    "find_binary",
    "find_valid_field_sets",
    "get_digest_contents",
    "get_digest_entries",
    "get_git_worktree",
    "goal_rule",
    "implicitly",
    "merge_digests",
    "package_pex_binary",
    "path_globs_to_digest",
    "prepare_python_sources",
    "resolve_dependencies",
    "resolve_target",
    "resolve_targets",
    "resolve_unparsed_address_inputs",
    "rule",
    "run_interactive_process",
    "strip_python_sources",
    "transitive_targets",
]

#: Results that are cheaper to make again than to fetch should stay out of a remote cache; this
#: release has no such scope.
LOCAL_SUCCESSFUL = ProcessCacheScope.SUCCESSFUL
PANTS_VERSION = str(PANTS_SEMVER)

concurrently = MultiGet
_MISSING = object()
# Not ``rule``: from 2.19 to 2.22 a function with that attribute is taken for a by-name callee.
_REGISTERED = "_layered_image_rule"


def implicitly(*args: Any) -> Dict[str, Any]:
    return {"implicit": args}


def _by_type(output_type: type, input_type: type) -> Callable[..., Any]:
    # The visitor looks into functions that are annotated to return an awaitable.
    def call(value: Any = _MISSING, implicit: Any = ()) -> Get:
        if value is _MISSING:
            (value,) = implicit
            if isinstance(value, dict):
                (value,) = value
        return Get(output_type, input_type, value)

    return call


def run_interactive_process(process: InteractiveProcess) -> Effect:
    return Effect(InteractiveProcessResult, InteractiveProcess, process)


add_prefix = _by_type(Digest, AddPrefix)
build_pex = _by_type(Pex, PexRequest)
build_pex_from_targets = _by_type(Pex, PexFromTargetsRequest)
create_digest = _by_type(Digest, CreateDigest)
determine_source_files = _by_type(SourceFiles, SourceFilesRequest)
digest_subset_to_digest = _by_type(Digest, DigestSubset)
download_file = _by_type(Digest, DownloadFile)
environment_aware_package = _by_type(BuiltPackage, EnvironmentAwarePackageRequest)
execute_process = _by_type(FallibleProcessResult, Process)
find_binary = _by_type(BinaryPaths, BinaryPathRequest)
find_valid_field_sets = _by_type(FieldSetsPerTarget, FieldSetsPerTargetRequest)
get_digest_contents = _by_type(DigestContents, Digest)
get_digest_entries = _by_type(DigestEntries, Digest)
get_git_worktree = _by_type(MaybeGitWorktree, GitWorktreeRequest)
merge_digests = _by_type(Digest, MergeDigests)
package_pex_binary = _by_type(PexFromTargetsRequestForBuiltPackage, PexBinaryFieldSet)
path_globs_to_digest = _by_type(Digest, PathGlobs)
prepare_python_sources = _by_type(PythonSourceFiles, PythonSourceFilesRequest)
resolve_dependencies = _by_type(Addresses, DependenciesRequest)
resolve_target = _by_type(WrappedTarget, WrappedTargetRequest)
resolve_targets = _by_type(Targets, Addresses)
resolve_unparsed_address_inputs = _by_type(Addresses, UnparsedAddressInputs)
strip_python_sources = _by_type(StrippedPythonSourceFiles, PythonSourceFiles)
transitive_targets = _by_type(TransitiveTargets, TransitiveTargetsRequest)


def rule(*args: Any, **kwargs: Any) -> Any:
    """Pants' ``rule``, returning a by-type caller, as an awaited rule is here."""
    if args:
        return _decorated(args[0], {})
    return lambda function: _decorated(function, kwargs)


def _decorated(function: Any, kwargs: Dict[str, Any]) -> Any:
    # The base of a union has no body here: a ``Get`` of the union finds the member's rule.
    is_union_base = kwargs.pop("polymorphic", False)
    hints = get_type_hints(function)
    output_type = hints.pop("return")
    registered = None if is_union_base else _pants_rule(**kwargs)(function)
    if not hints:
        return registered
    call = _by_type(output_type, next(iter(hints.values())))
    if registered is not None:
        setattr(call, _REGISTERED, registered.rule)
    call.__module__ = function.__module__
    return call


def collect_rules(namespace: Any = None) -> Iterable[Any]:
    """All rules of the caller's module, with those that ``rule`` turned into callers."""
    if namespace is None:
        frame = inspect.currentframe()
        assert frame is not None and frame.f_back is not None
        namespace = frame.f_back.f_globals
    ours: List[Any] = [
        getattr(item, _REGISTERED) for item in namespace.values() if hasattr(item, _REGISTERED)
    ]
    # Pants finds the rules of subsystems through the rules that take them, so we do it for ours.
    subsystems = {
        parameter
        for item in ours
        for parameter in item.input_selectors
        if isinstance(parameter, type) and issubclass(parameter, Subsystem)
    }
    found = [found for subsystem in subsystems for found in subsystem.rules()]
    return [*_pants_collect_rules(namespace), *ours, *found]
