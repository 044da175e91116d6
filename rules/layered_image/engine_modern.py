"""Pants' own names, for releases from 2.28 on, with two helpers where a call has another shape."""

from __future__ import annotations

from typing import Any

from pants.backend.python.goals.package_pex_binary import package_pex_binary
from pants.backend.python.util_rules.pex import Pex, PexRequest, create_pex
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.backend.python.util_rules.python_sources import (
    prepare_python_sources,
    strip_python_sources,
)
from pants.core.environments.target_types import EnvironmentField
from pants.core.goals.package import environment_aware_package
from pants.core.util_rules.source_files import determine_source_files
from pants.core.util_rules.system_binaries import find_binary
from pants.engine.download_file import download_file
from pants.engine.internals.graph import (
    find_valid_field_sets,
    resolve_dependencies,
    resolve_target,
    resolve_targets,
    resolve_unparsed_address_inputs,
    transitive_targets,
)
from pants.engine.intrinsics import (
    add_prefix,
    create_digest,
    digest_subset_to_digest,
    execute_process,
    get_digest_contents,
    get_digest_entries,
    merge_digests,
    path_globs_to_digest,
    run_interactive_process,
)
from pants.engine.process import ProcessCacheScope
from pants.engine.rules import collect_rules, concurrently, goal_rule, implicitly, rule
from pants.vcs.git import get_git_worktree
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

LOCAL_SUCCESSFUL = ProcessCacheScope.LOCAL_SUCCESSFUL
PANTS_VERSION = str(PANTS_SEMVER)


async def build_pex(request: PexRequest, **_: Any) -> Pex:
    return await create_pex(**implicitly({request: PexRequest}))


async def build_pex_from_targets(request: PexFromTargetsRequest, **_: Any) -> Pex:
    return await create_pex(**implicitly({request: PexFromTargetsRequest}))
