"""The numbers of the system calls that filters name, for each architecture that is known.

From the kernel's ``syscall_64.tbl`` of x86 and the generic ``unistd.h``.
"""

from __future__ import annotations

from typing import Dict


def _parsed(text: str) -> Dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2])}


_X86_64 = _parsed(
    """
    open 2 stat 4 fstat 5 lstat 6 socket 41 clone 56 mkdir 83 creat 85 symlink 88 openat 257
    mkdirat 258 symlinkat 266 chown 92 fchown 93 lchown 94 getuid 102 getgid 104
    geteuid 107 getegid 108 capset 126 mknod 133 pivot_root 155 acct 163 settimeofday 164
    mount 165 umount2 166 swapon 167 swapoff 168 reboot 169 iopl 172 ioperm 173 init_module 175
    delete_module 176 quotactl 179 setxattr 188 lsetxattr 189 fsetxattr 190 getxattr 191
    lgetxattr 192 fgetxattr 193 removexattr 197 lremovexattr 198 fremovexattr 199
    clock_settime 227 kexec_load 246 add_key 248 request_key 249 keyctl 250 mknodat 259
    fchownat 260 newfstatat 262 unshare 272 perf_event_open 298 name_to_handle_at 303
    open_by_handle_at 304 setns 308 finit_module 313 kexec_file_load 320 bpf 321 userfaultfd 323
    statx 332 io_uring_setup 425 open_tree 428 move_mount 429 fsopen 430 fsmount 432 clone3 435
    mount_setattr 442
    """
)
_AARCH64 = _parsed(
    """
    mkdirat 34 symlinkat 36 openat 56
    setxattr 5 lsetxattr 6 fsetxattr 7 getxattr 8 lgetxattr 9 fgetxattr 10 removexattr 14
    lremovexattr 15 fremovexattr 16 mknodat 33 umount2 39 mount 40 pivot_root 41 fchownat 54
    fchown 55 quotactl 60 newfstatat 79 fstat 80 acct 89 capset 91 unshare 97 kexec_load 104
    init_module 105 delete_module 106 clock_settime 112 reboot 142 settimeofday 170 getuid 174
    geteuid 175 getgid 176 getegid 177 socket 198 add_key 217 request_key 218 keyctl 219 clone 220
    swapon 224 swapoff 225 perf_event_open 241 name_to_handle_at 264 open_by_handle_at 265
    setns 268 finit_module 273 bpf 280 userfaultfd 282 statx 291 kexec_file_load 294
    io_uring_setup 425 open_tree 428 move_mount 429 fsopen 430 fsmount 432 clone3 435
    mount_setattr 442
    """
)
#: System calls by name, for machines as ``platform.machine`` names them.
SYSTEM_CALLS: Dict[str, Dict[str, int]] = {"x86_64": _X86_64, "aarch64": _AARCH64}
