"""CPUID: what the processor itself says; under emulation the kernel's files describe another."""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from typing import NamedTuple

_CODE = bytes.fromhex("534989d089f889f10fa241890041895804418948084189500c5bc3")
"""push rbx; mov r8, rdx; mov eax, edi; mov ecx, esi; cpuid; store 4 words at r8; pop rbx; ret."""

_TCG = b"TCGTCGTCGTCG"
_FEATURES: dict[str, tuple[int, int, str, int]] = {
    "fma": (1, 0, "ecx", 12),
    "avx2": (7, 0, "ebx", 5),
    "avx512f": (7, 0, "ebx", 16),
    "avx512_vnni": (7, 0, "ecx", 11),
    "amx_int8": (7, 0, "edx", 25),
    "avx_vnni": (7, 1, "eax", 4),
    "avx512_bf16": (7, 1, "eax", 5),
}
"""Flag (named as in /proc/cpuinfo) -> leaf, subleaf, register, bit."""


class Registers(NamedTuple):
    """The four words CPUID answers with."""

    eax: int
    ebx: int
    ecx: int
    edx: int


@functools.cache
def cpuid(leaf: int, subleaf: int = 0) -> Registers | None:
    """Execute CPUID; None on other architectures and where executable memory is refused."""
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform == "win32":
        return None
    try:
        memory = mmap.mmap(
            -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        )
    except OSError:
        return None
    memory.write(_CODE)
    answer = (ctypes.c_uint32 * 4)()
    code = ctypes.c_char.from_buffer(memory)
    call = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
    call(ctypes.addressof(code))(leaf, subleaf, ctypes.addressof(answer))
    del code
    memory.close()
    return Registers(*answer)


def emulated() -> bool:
    """Tell whether QEMU's translator executes this process rather than a processor."""
    words = cpuid(0x4000_0000)
    return words is not None and struct.pack("<3I", words.ebx, words.ecx, words.edx) == _TCG


def flags() -> tuple[str, ...]:
    """Return the instruction sets that change a kernel's arithmetic; empty without CPUID."""
    highest = cpuid(0)
    found = []
    for name, (leaf, subleaf, register, bit) in _FEATURES.items():
        words = cpuid(leaf, subleaf) if highest is not None and leaf <= highest.eax else None
        if words is not None and getattr(words, register) >> bit & 1:
            found.append(name)
    return tuple(sorted(found))


def brand() -> str:
    """Return the processor's own name, empty without CPUID."""
    words = [cpuid(leaf) for leaf in range(0x8000_0002, 0x8000_0005)]
    packed = b"".join(struct.pack("<4I", *word) for word in words if word is not None)
    return packed.split(b"\0")[0].decode("ascii", "replace").strip()
