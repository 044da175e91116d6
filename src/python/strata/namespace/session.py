"""Runs an image's commands over its customisation layer and says what they changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Union

from strata.archive.entry import Entry, EntryType
from strata.errors import StrataError
from strata.namespace import linux
from strata.namespace.difference import View, difference
from strata.namespace.image_root import Layers, Mounted, Placed, copy_together, lay_over
from strata.namespace.isolation import Isolation
from strata.namespace.layer_cache import LayerCache
from strata.namespace.limits import cache_key, find_limits
from strata.namespace.overlay import Overlays, kernel_overlays
from strata.namespace.records import Records
from strata.namespace.root import HOST_FILES, make_host_root, mount_system
from strata.namespace.scratch import Scratch
from strata.namespace.settings import Script, Settings
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
from strata.namespace.tree import write_tree

_BUILD = "build"
_SCRIPT = "commands"
_IMAGE_PATH = f"/{FOLDER}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Session:
    """All steps over one tree. To be used in process 1 of the namespaces, once.

    ``scratch`` is an empty folder that the session may mount on and fill.
    """

    def __init__(
        self, settings: Settings, isolation: Isolation, scratch: Path, cache: Path
    ) -> None:
        self._settings = settings
        self._isolation = isolation
        self._own = Scratch(scratch, cache, settings.memory) if isolation.namespaces else None
        self._scratch = scratch if self._own is None else self._own.folder
        self._processes: Optional[Path] = None
        if isolation.namespaces:
            self._processes = self._folder("processes")
            linux.mount("proc", self._processes, "proc")
            limit_processes(self._processes)
        self._overlays = Overlays("there are no mounts")
        if isolation.namespaces and any(script.in_image for script in settings.scripts):
            self._overlays = kernel_overlays(self._folder("probe"))
        self._recording = find_limits(isolation.id_map, self._scratch)
        # Nobody is root here: what a root would own is this user's.
        self._pretends = not isolation.namespaces and self._recording.owners
        self._records = self._new_records()
        key = cache_key(isolation.id_map, self._recording)
        self._cache = LayerCache(cache, key, self._recording)
        self._tree = self._folder("tree")
        self._shell: Sequence[str] = ()
        self._tools = ToolFolder(self._folder("tools", make=False))
        self._add_tools()

    def _add_tools(self) -> None:
        settings = self._settings
        for tool in settings.packaged:
            self._tools.add_file(tool.name, tool.path)
        for file in settings.files:
            self._tools.add_data(file.name, file.path)
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

    def remove(self) -> None:
        """To be called when the entries have been read: their content is in the session's files."""
        if self._own is not None:
            self._own.remove()

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
            programs = [tool.path for tool in self._settings.programs]
            make_host_root(root, programs, self._isolation.network)
            (root / FOLDER).mkdir()
            linux.mount(self._tools.folder, root / FOLDER, flags=linux.MS_BIND)
            linux.mount(self._tree, root / _BUILD, flags=linux.MS_BIND)
            mount_system(root)

        path = f"/{FOLDER}/bin:/{FOLDER}/host"
        self._check(script, self._run(script, root, f"/{_BUILD}", prepare, path))

    def _run_in_image(self, scripts: List[Script]) -> List[Entry]:
        layers = Layers(
            self._settings.layers,
            self._cache,
            self._tree,
            self._folder("image"),
            self._records,
            self._new_records,
        )
        image = lay_over(layers, self._overlays) if self._overlays else copy_together(layers)
        tools = self._tools.folder
        lent = HOST_FILES if self._isolation.network else ()
        system: Union[Mounted, Placed]
        if self._isolation.namespaces:
            system = Mounted(image.path, tools, lent)
        else:
            system = Placed(image.path, tools, self._folder("aside"), lent)
        for script in scripts:
            self._check(script, self._run(script, image.path, "/", system.prepare, _IMAGE_PATH))
        system.remove()
        before = image.before if self._settings.layers else None
        return difference(image.after, before, image.touched)

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
            # With one id there is no other that a program could give.
            set_user_id=script.as_root and not self._recording.owners,
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
