"""Runs an image's commands over its customisation layer and says what they changed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from strata.archive.entry import Entry, EntryType
from strata.errors import StrataError
from strata.namespace import linux
from strata.namespace.difference import View, difference
from strata.namespace.id_map import IdMap
from strata.namespace.isolation import Isolation
from strata.namespace.layer_cache import LayerCache, PackedLayer, restore_links
from strata.namespace.overlay import mount_overlay
from strata.namespace.records import CAPABILITY_ATTRIBUTE, Recording, Records
from strata.namespace.root import (
    PrivateFolders,
    make_devices,
    make_host_root,
    mount_points,
    mount_system,
)
from strata.namespace.step import (
    PROCESSES,
    ROOT_CAPABILITIES,
    USER_CAPABILITIES,
    Step,
    StepResult,
    StopReason,
    limit_processes,
    run_step,
)
from strata.namespace.tools import FOLDER, ToolFolder
from strata.namespace.tree import copy_tree, write_tree

_SYSTEM_FOLDERS = ("proc", "dev", "tmp", FOLDER)
_BUILD = "build"
_SCRIPT = "commands"
_IMAGE_PATH = f"/{FOLDER}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Tool:
    """A program by the name that commands call it by."""

    name: str
    path: Path


@dataclass(frozen=True)
class Script:
    """Commands of one field. ``as_root`` gives the privileges that builds need, ``in_image`` makes
    the image's root the root folder."""

    field: str
    text: str
    as_root: bool
    in_image: bool


@dataclass(frozen=True)
class Settings:
    """``packaged`` tools are files of the sandbox. ``programs`` are this machine's, as are the
    ``usual`` ones, which are there only where the image is not the root, and ``bash``. ``time`` is
    SOURCE_DATE_EPOCH and ``timeout`` in seconds; ``memory`` is how much of it the changes may take,
    as tmpfs(5) has it; ``parents`` are folders of lower layers that have
    another mode or owner than usual."""

    scripts: Tuple[Script, ...]
    packaged: Tuple[Tool, ...]
    programs: Tuple[Tool, ...]
    usual: Tuple[Tool, ...]
    bash: Path
    environment: Dict[str, str]
    timeout: float
    memory: str
    time: int
    layers: Tuple[PackedLayer, ...]
    parents: Tuple[Entry, ...]


class Session:
    """All steps over one tree. To be used in process 1 of the namespaces, once.

    ``scratch`` is an empty folder that the session may mount on and fill.
    """

    def __init__(
        self, settings: Settings, isolation: Isolation, scratch: Path, cache: Path
    ) -> None:
        self._settings = settings
        self._scratch = scratch
        self._isolation = isolation
        self._processes: Optional[Path] = None
        if isolation.namespaces:
            # Gone with the namespace, whatever ends it.
            options = f"mode=700,size={settings.memory}"
            linux.mount("tmpfs", scratch, "tmpfs", linux.MS_NOSUID, options)
            self._processes = self._folder("processes")
            linux.mount("proc", self._processes, "proc")
            limit_processes(self._processes)
        self._recording = find_limits(isolation.id_map, scratch)
        # Nobody is root here: what a root would own is this user's.
        self._pretends = not isolation.namespaces and self._recording.owners
        self._records = self._new_records()
        key = _cache_key(isolation.id_map, self._recording)
        self._cache = LayerCache(cache, key, self._recording)
        self._tree = self._folder("tree")
        self._shell: Sequence[str] = ()
        self._tools = ToolFolder(self._folder("tools", make=False))
        self._add_tools()

    def _add_tools(self) -> None:
        settings = self._settings
        for tool in settings.packaged:
            self._tools.add_file(tool.name, tool.path)
        linked = {tool.name: tool for tool in (*settings.usual, *settings.programs)}
        for tool in linked.values():
            self._tools.link_program(tool.name, tool.path)
        if any(script.in_image for script in settings.scripts):
            self._shell = self._tools.copy_program("bash", settings.bash)
            for tool in settings.programs:
                self._tools.add_program(tool.name, tool.path)

    def run(self, entries: Sequence[Entry]) -> List[Entry]:
        """The entries of the layer that ``entries`` become by the commands.

        Raises StrataError, with the field and the line, for commands that fail.
        """
        write_tree(entries, self._tree, self._recording, self._records, overlaid=False)
        in_image = [script for script in self._settings.scripts if script.in_image]
        for script in self._settings.scripts:
            if not script.in_image:
                self._run_in_tree(script)
        if not in_image:
            after = View(self._tree, self._records)
            changed = difference(after, None, after)
            return _with_usual_parents(changed, entries, self._settings.parents)
        return self._run_in_image(in_image)

    def _new_records(self) -> Records:
        return Records(own=(os.geteuid(), os.getegid()) if self._pretends else None)

    def _run_in_tree(self, script: Script) -> None:
        if not self._isolation.namespaces:
            tools = self._tools.folder
            path = f"{tools}/bin:{tools}/host"
            self._check(script, self._run(script, Path("/"), str(self._tree), None, path))
            return
        root = self._folder(f"root-{script.field}")

        def prepare() -> None:
            make_host_root(root, [tool.path for tool in self._settings.programs])
            (root / FOLDER).mkdir()
            linux.mount(self._tools.folder, root / FOLDER, flags=linux.MS_BIND)
            linux.mount(self._tree, root / _BUILD, flags=linux.MS_BIND)
            mount_system(root)

        path = f"/{FOLDER}/bin:/{FOLDER}/host"
        self._check(script, self._run(script, root, f"/{_BUILD}", prepare, path))

    def _run_in_image(self, scripts: List[Script]) -> List[Entry]:
        if not self._isolation.namespaces:
            return self._run_in_copy(scripts)
        layers = self._cache.unpack(self._settings.layers)
        lower, merged = self._folder("lower"), self._folder("merged")
        # The empty folder is there for an image that has no other layers.
        roots = [*(layer.root for layer in reversed(layers)), self._folder("empty")]
        try:
            if layers:
                mount_overlay(roots, lower, self._folder("lower-names"), None, None)
            mount_overlay(roots, merged, self._folder("names"), self._tree, self._folder("work"))
        except OSError as error:
            raise StrataError(f"the layers cannot be laid over each other: {error}") from error
        before_records = self._new_records()
        restore_links(layers, lower, before_records)
        restore_links(layers, merged, self._records)
        made = mount_points(merged, _SYSTEM_FOLDERS)

        def prepare() -> None:
            linux.mount(merged, merged, flags=linux.MS_BIND | linux.MS_REC)
            linux.mount(self._tools.folder, merged / FOLDER, flags=linux.MS_BIND)
            mount_system(merged)

        for script in scripts:
            self._check(script, self._run(script, merged, "/", prepare, _IMAGE_PATH))
        for folder in made:
            folder.rmdir()
        before = View(lower, before_records) if layers else None
        touched = View(self._tree, self._records)
        return difference(View(merged, self._records), before, touched)

    def _run_in_copy(self, scripts: List[Script]) -> List[Entry]:
        """Without mounts: in a copy of all layers, which is compared with what it was."""
        lower = self._cache.unpack_together(self._settings.layers)
        merged = self._folder("merged", make=False)
        copy_tree(lower, merged)
        # What the commands get must be a change in the end, if it is one.
        copy_tree(self._tree, merged)
        private = PrivateFolders(merged, self._folder("aside"), _SYSTEM_FOLDERS)
        make_devices(merged / "dev")
        copy_tree(self._tools.folder, merged / FOLDER)
        for script in scripts:
            self._check(script, self._run(script, merged, "/", None, _IMAGE_PATH))
        private.restore()
        after = View(merged, self._records)
        return difference(after, View(lower, self._new_records()), after)

    def _run(
        self,
        script: Script,
        root: Path,
        folder: str,
        prepare: Optional[Callable[[], None]],
        path: str,
    ) -> StepResult:
        tools = self._tools.folder
        if prepare is None and script.in_image:
            tools = root / FOLDER
        (tools / _SCRIPT).write_text(script.text)
        home = "/root" if script.in_image else "/tmp"
        outside = prepare is None and not script.in_image
        temporary = self._scratch / "tmp"
        if outside:
            temporary.mkdir(exist_ok=True)
        step = Step(
            script=f"{tools if outside else f'/{FOLDER}'}/{_SCRIPT}",
            shell=self._shell if script.in_image else [str(self._settings.bash)],
            root=root,
            folder=folder,
            environment={
                "PATH": path,
                "HOME": home,
                "USER": "root",
                "LOGNAME": "root",
                "TZ": "UTC",
                # The order of sets is part of bytecode.
                "PYTHONHASHSEED": "0",
                "SOURCE_DATE_EPOCH": str(self._settings.time),
                **({"TMPDIR": str(temporary)} if outside else {}),
                **self._settings.environment,
            },
            timeout=self._settings.timeout,
            capabilities=None
            if self._pretends
            else ROOT_CAPABILITIES
            if script.as_root
            else USER_CAPABILITIES,
            recording=self._recording
            if script.as_root
            else replace(self._recording, owners=False, devices=False),
            prepare=prepare,
            functions=self._tools.functions() if script.in_image else "STRATA_TOOLS=",
            offline=not (self._isolation.namespaces or self._isolation.network),
            pretend_root=self._pretends,
            writable=(self._tree, temporary) if outside else (),
        )
        result = run_step(step, self._records, self._processes)
        self._records.add_rows(result.rows)
        self._records.used = self._records.used or bool(self._recording)
        return result

    def _check(self, script: Script, result: StepResult) -> None:
        if result.stopped_for == StopReason.PROCESSES:
            raise StrataError(
                f"{script.field}: they had more than {PROCESSES} processes at a time, and were "
                f"stopped{_quoted(result.output)}"
            )
        if result.stopped_for == StopReason.TIME:
            raise StrataError(
                f"{script.field}: they took longer than {self._settings.timeout:g} seconds, and "
                f"were stopped; set command_timeout if they need more{_quoted(result.output)}"
            )
        if result.code == 0:
            return
        number, _, command = result.failed.partition("\t")
        where = f"line {number} (`{command}`) failed" if number else "they failed"
        raise StrataError(
            f"{script.field}: {where} with exit code {result.code}{_quoted(result.output)}"
        )

    def _folder(self, name: str, make: bool = True) -> Path:
        path = self._scratch / name
        if make:
            path.mkdir()
        return path


def _quoted(output: str) -> str:
    lines = output.rstrip().splitlines()[-40:]
    return "".join(f"\n    {line}" for line in lines)


def _cache_key(id_map: IdMap, recording: Recording) -> str:
    flags = "".join(
        letter
        for letter, on in (
            ("o", recording.owners),
            ("d", recording.devices),
            ("c", recording.capabilities),
        )
        if on
    )
    return f"{id_map.key}-{flags}" if flags else id_map.key


def find_limits(id_map: IdMap, folder: Path) -> Recording:
    """What has to be recorded, found by trying it in ``folder``."""
    device, file = folder / "device", folder / "file"
    file.touch()
    try:
        devices = not _is_allowed(lambda: os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3)))
        device.unlink(missing_ok=True)
        no_capabilities = (b"\0\0\0\x02" + bytes(16)).hex()
        capabilities = not _is_allowed(
            lambda: os.setxattr(file, CAPABILITY_ATTRIBUTE, bytes.fromhex(no_capabilities))
        )
        owners = not id_map.holds_all_ids or not _is_allowed(lambda: os.chown(file, 1, 1))
    finally:
        file.unlink()
    return Recording(owners, devices, capabilities)


def _is_allowed(action: Callable[[], None]) -> bool:
    try:
        action()
    except PermissionError:
        return False
    return True


def _with_usual_parents(
    changed: List[Entry], given: Sequence[Entry], parents: Sequence[Entry]
) -> List[Entry]:
    """Folders that the commands made plainly, where lower layers have them with other modes.

    Without the image's root commands see nothing of those, and ``mkdir -p tmp/x`` must not take the
    sticky bit from /tmp.
    """
    held = {entry.path for entry in given}
    usual = {entry.path: entry for entry in parents}
    result = []
    for entry in changed:
        plain = entry == Entry(entry.path, EntryType.DIRECTORY, 0o755)
        if plain and entry.path not in held and entry.path in usual:
            entry = usual[entry.path]
        result.append(entry)
    return result
