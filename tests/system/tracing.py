# SPDX-License-Identifier: MIT
"""Decodes the hypervisor's trace rings (hv/debug/trace_read.h) from a dump of memory."""

import struct
from dataclasses import dataclass

import abinames
import disassembly
from common import Failure

PAGE_BYTES = 4096
# struct trace_ring without its records: magic, address, cpu_index, record_count, written, base_tsc, tsc_hz, backend.
HEAD = struct.Struct("<QQIIQQQ8s8x")
# struct trace_record: tsc, event, vp, a, b.
RECORD = struct.Struct("<QIIQQ")
CPU_MAX = abinames.constants("hv/cpu/cpu.h", "CPU_MAX").popitem()[0]


MAGIC = struct.pack("<Q", abinames.constants("hv/debug/trace_read.h", "TRACE_RING_MAGIC").popitem()[0])
RING_BYTES = abinames.constants("hv/debug/trace_read.h", "TRACE_RING_PAGES").popitem()[0] * PAGE_BYTES


@dataclass(frozen=True)
class Record:
    """One event of a processor; `tsc` counts from the hypervisor's time 0."""

    tsc: int
    cpu: int
    event: int
    vp: int
    a: int
    b: int

    def vp_name(self):
        """The VP as partition:index; `-` for none."""
        return f"{self.vp >> 16:x}:{self.vp & 0xFFFF:x}" if self.vp else "-"


@dataclass(frozen=True)
class Field:
    """One value of an event: `take` gets it out of a record, `names` has names of values."""

    name: str
    take: object
    names: object = None
    is_hexadecimal: bool = False

    def text(self, record):
        """As it is printed."""
        value = self.take(record)
        plain = f"{value:#x}" if self.is_hexadecimal or self.names is not None else str(value)
        return f"{self.name}={(self.names or {}).get(value, plain)}"


def first(record):
    """The first value of a record, whole."""
    return record.a


def second(record):
    """The second value."""
    return record.b


def fields(backend):
    """{event name: its fields}, as hv/debug/trace.h describes them."""
    low = 0xFFFFFFFF
    vp_states = abinames.enumerators("hv/partition/vp.h", "vp_activity", "VP_")
    states = abinames.enumerators("hv/partition/partition.h", "partition_state", "PARTITION_")
    partition = "hv/abi/hv_partition.h"
    dispatch_states = abinames.constants(partition, "HV_VP_DISPATCH_STATE_", "HV_VP_DISPATCH_STATE_")
    dispatch_events = abinames.constants(partition, "HV_VP_DISPATCH_EVENT_", "HV_VP_DISPATCH_EVENT_")
    pending = abinames.constants("hv/abi/hv_register.h", "HV_X64_PENDING_", "HV_X64_PENDING_")
    return {
        "exit": (Field("code", lambda record: record.a & low, abinames.exits(backend)),
                 Field("accesses", lambda record: record.a >> 32), Field("rip", second, is_hexadecimal=True)),
        "hypercall": (Field("call", lambda record: record.a & 0xFFFF, abinames.hypercalls()),
                      Field("control", first, is_hexadecimal=True),
                      Field("status", lambda record: record.b & 0xFFFF, abinames.statuses()),
                      Field("reps", lambda record: record.b >> 32 & 0xFFF)),
        "message": (Field("type", first, abinames.messages()), Field("sint", second, is_hexadecimal=True)),
        "intercept": (Field("type", first, abinames.messages()), Field("rip", second, is_hexadecimal=True)),
        "event": (Field("flag", first), Field("sint", second)),
        "dispatch": (Field("partition", first), Field("state", lambda record: record.b & low, dispatch_states),
                     Field("event", lambda record: record.b >> 32, dispatch_events)),
        "inject": (Field("vector", first, is_hexadecimal=True), Field("type", second, pending)),
        "interrupt": (Field("vector", first, is_hexadecimal=True), Field("root_vector", second, is_hexadecimal=True)),
        "timer": (Field("deadline", first), Field("timer", second)),
        "vp-state": (Field("old", first, vp_states), Field("new", second, vp_states)),
        "partition": (Field("id", first), Field("state", second, states)),
        "abandon": (Field("id", first), Field("pages", second)),
        "instruction": (Field("bits", lambda record: disassembly.bits(record.b)),
                        Field("count", lambda record: record.b >> 56 & 0xF),
                        Field("bytes0", first, is_hexadecimal=True),
                        Field("bytes8", lambda record: record.b & (1 << 56) - 1, is_hexadecimal=True)),
        "msr": (Field("msr", lambda record: record.a & low, abinames.msrs()),
                Field("write", lambda record: record.a >> 32), Field("value", second, is_hexadecimal=True)),
    }


class Ring:
    """The ring of one processor, out of its bytes: records oldest first, and what is wrong with those left out."""

    def __init__(self, data, address, known):
        if len(data) < HEAD.size:
            raise Failure(f"trace ring at {address:#x}: the dump ends in its first {HEAD.size} bytes")
        _, _, self.cpu, count, self.written, self.base_tsc, self.tsc_hz, backend = HEAD.unpack_from(data)
        self.backend = backend.rstrip(b"\0").decode("ascii", "replace")
        self.damaged = []
        name = f"trace ring at {address:#x}"
        if self.cpu >= CPU_MAX or count == 0:
            raise Failure(f"{name}: processor {self.cpu} with {count} records is not possible")
        if len(data) < HEAD.size + count * RECORD.size:
            raise Failure(f"{name}: the dump ends before its {count} records do")
        if self.tsc_hz == 0:
            raise Failure(f"{name}: the hypervisor had not yet found its backend and clock")
        # The slot that is written next may be half written.
        oldest = max(0, self.written - count + 1) if self.written >= count else 0
        self.records = list(self.read(data, count, range(oldest, self.written), known))

    def read(self, data, count, numbers, known):
        """The sound ones of these records."""
        newest = self.base_tsc
        for number in numbers:
            tsc, event, vp, a, b = RECORD.unpack_from(data, HEAD.size + number % count * RECORD.size)
            if event not in known:
                self.damaged.append(f"CPU {self.cpu}, record {number}: there is no event {event}")
            elif tsc < newest:
                self.damaged.append(f"CPU {self.cpu}, record {number}: its time is before that of an earlier one")
            else:
                newest = tsc
                yield Record(tsc - self.base_tsc, self.cpu, event, vp, a, b)


def find(memory, base=0):
    """Addresses of the rings in bytes that begin at `base`: at the start of a page, and not a copy from elsewhere. A
    file that begins with a ring may be only that ring."""
    position = -1
    while (position := memory.find(MAGIC, position + 1)) >= 0:
        own = struct.unpack_from("<Q", memory[position + 8:position + 16].ljust(8, b"\0"))[0]
        if position % PAGE_BYTES == 0 and own in (base + position, *(() if position else (own,))):
            yield base + position


class Trace:
    """The events of all processors, in the order of time."""

    def __init__(self, memory, base=0):
        self.names = abinames.events()
        self.rings = [Ring(memory[address - base:address - base + RING_BYTES], address, self.names)
                      for address in find(memory, base)]
        if not self.rings:
            raise Failure("no trace ring found: this is neither a ring nor a dump of the memory of a machine that runs "
                          "this hypervisor")
        if len({ring.cpu for ring in self.rings}) != len(self.rings):
            raise Failure("two trace rings claim to be the same processor's: "
                          f"{', '.join(f'{address:#x}' for address in find(memory, base))}")
        kinds = {(ring.base_tsc, ring.tsc_hz, ring.backend) for ring in self.rings}
        if len(kinds) != 1:
            raise Failure("the trace rings do not belong together: their clocks or backends differ")
        _, self.tsc_hz, self.backend = kinds.pop()
        self.fields = fields(self.backend)
        self.damaged = [text for ring in self.rings for text in ring.damaged]
        self.records = sorted((record for ring in self.rings for record in ring.records),
                              key=lambda record: record.tsc)

    def line(self, record):
        """One event as text."""
        name = self.names[record.event]
        if name == "instruction":
            values = disassembly.text(record.a, record.b)
        else:
            values = " ".join(field.text(record) for field in self.fields[name])
        return f"{record.tsc / self.tsc_hz:.9f} cpu{record.cpu} {record.vp_name()} {name} {values}"
