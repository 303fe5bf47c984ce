# SPDX-License-Identifier: MIT
"""Instructions as text, by Capstone; only their bytes where it is missing."""

import struct

from common import say

try:
    import capstone
except ImportError:
    capstone = None

# Default size of the code, as a trace record has it, and its bits.
BITS = {0: 16, 1: 32, 2: 64}
BYTES_MAX = 15


def instruction_bytes(first, second):
    """The bytes of an instruction out of the two values of its trace record (hv/debug/trace.h)."""
    return struct.pack("<QQ", first, second)[:min(second >> 56 & 0xF, BYTES_MAX)]


def bits(second):
    """Default size of its code; 0: there is none such."""
    return BITS.get(second >> 60, 0)


def explain_absence():
    """Says that there is no text when Capstone is missing."""
    if capstone is None:
        say("python3-capstone is missing: of instructions, only their bytes are printed")


def text(first, second):
    """The instruction as bytes and in words, `(bad)` for what is none. Jumps count from the instruction itself."""
    data, size = instruction_bytes(first, second), bits(second)
    words = f"bytes={data.hex()}"
    if capstone is None:
        return words
    mode = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}.get(size)
    found = [] if mode is None else list(capstone.Cs(capstone.CS_ARCH_X86, mode).disasm_lite(data, 0, 1))
    if not found:
        return f"{words} code{size} (bad)"
    _, length, name, operands = found[0]
    return f"bytes={data[:length].hex()} code{size} {name} {operands}".rstrip()
