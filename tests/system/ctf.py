# SPDX-License-Identifier: MIT
"""Writes a trace as CTF 1.8 (diamon.org/ctf): `metadata`, and one stream with one packet for each processor."""

import struct

from common import Failure

PACKET_MAGIC = 0xC1FC1FC1
# Packet header (magic, stream id) and context (first and last time, content and packet size in bits, processor).
PACKET = struct.Struct("<IIQQQQI")
# Event header (id, time) and context (partition, VP index).
EVENT = struct.Struct("<HQHH")

METADATA = """\
/* CTF 1.8 */
typealias integer {{ size = 16; align = 8; signed = false; }} := uint16_t;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
typealias integer {{ size = 64; align = 8; signed = false; base = 16; }} := hex64_t;
trace {{
    major = 1; minor = 8; byte_order = le;
    packet.header := struct {{ uint32_t magic; uint32_t stream_id; }};
}};
clock {{ name = tsc; freq = {hz}; }};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.tsc.value; }} := tsc_t;
stream {{
    id = 0;
    packet.context := struct {{
        tsc_t timestamp_begin; tsc_t timestamp_end; uint64_t content_size; uint64_t packet_size; uint32_t cpu_id;
    }};
    event.header := struct {{ uint16_t id; tsc_t timestamp; }};
    event.context := struct {{ uint16_t partition; uint16_t vp; }};
}};
"""


def field_type(field):
    """The declaration of an event's field; a leading underscore keeps it apart from the words of the language."""
    if field.names:
        labels = ", ".join(f'"{name}" = {value}' for value, name in sorted(field.names.items()))
        return f"enum : uint64_t {{ {labels} }} _{field.name};"
    return f"{'hex64_t' if field.is_hexadecimal else 'uint64_t'} _{field.name};"


def metadata(trace):
    """The description of all events."""
    parts = [METADATA.format(hz=trace.tsc_hz)]
    for number, name in sorted(trace.names.items()):
        declarations = " ".join(field_type(field) for field in trace.fields[name])
        parts.append(f'event {{ name = "{name}"; id = {number}; stream_id = 0; '
                     f"fields := struct {{ {declarations} }}; }};\n")
    return "".join(parts)


def packet(trace, cpu, records):
    """One processor's records as bytes."""
    events = bytearray()
    for record in records:
        values = [field.take(record) for field in trace.fields[trace.names[record.event]]]
        events += EVENT.pack(record.event, record.tsc, record.vp >> 16, record.vp & 0xFFFF)
        events += struct.pack(f"<{len(values)}Q", *values)
    bits = (PACKET.size + len(events)) * 8
    return PACKET.pack(PACKET_MAGIC, 0, records[0].tsc, records[-1].tsc, bits, bits, cpu) + events


def write(trace, records, folder):
    """Writes records of a trace into a folder, which it makes if there is none. A file of another trace would be read
    with it, so the folder must be empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Failure(f"--ctf: {folder} is not empty")
        (folder / "metadata").write_text(metadata(trace), encoding="ascii")
        for cpu in sorted({record.cpu for record in records}):
            own = [record for record in records if record.cpu == cpu]
            (folder / f"cpu{cpu}").write_bytes(packet(trace, cpu, own))
    except OSError as error:
        raise Failure(f"--ctf: cannot write {folder}: {error.strerror}") from error
