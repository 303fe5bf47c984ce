# SPDX-License-Identifier: MIT
"""What comes out of COM1: frames of the built-in root, and bytes outside of frames.

A frame is the byte 0x1E, then `<stream> <child> <length>` and a newline in ASCII, then exactly `length` bytes.
Streams: c console of a child, d its data port, x its end (payload: decimal status), p progress of the root, e its
errors, b: the next part of a batch begins (payload: its number), r: reply to a command, z: its end (payload: what went
wrong, or nothing).

What goes in is for the console of child 0, but for commands: the byte 0x1E, then `<child> <command>` and a newline.
"""

import re

MARK = 0x1E
HEADER = re.compile(rb"\x1e([cdxpebrz]) (\d{1,3}) (\d{1,6})\n")
HEADER_BEGUN = re.compile(rb"\x1e([cdxpebrz]( (\d{1,3}( (\d{1,6})?)?)?)?)?\Z")


class Demultiplexer:
    """Cuts a byte stream into ("raw", None, bytes) and (stream, child, payload) pieces."""

    def __init__(self):
        self.pending = b""

    def feed(self, data):
        """Takes what arrived; returns the pieces that are complete."""
        pieces = []
        raw = bytearray()
        rest = self.pending + data
        while rest:
            start = rest.find(MARK)
            if start < 0:
                raw += rest
                rest = b""
                break
            raw += rest[:start]
            rest = rest[start:]
            header = HEADER.match(rest)
            if header is None:
                if HEADER_BEGUN.match(rest):
                    break
                # A byte of somebody's output that only looks like the start of a frame.
                raw += rest[:1]
                rest = rest[1:]
                continue
            end = header.end() + int(header.group(3))
            if len(rest) < end:
                break
            if raw:
                pieces.append(("raw", None, bytes(raw)))
                raw.clear()
            pieces.append((header.group(1).decode(), int(header.group(2)), rest[header.end():end]))
            rest = rest[end:]
        if raw:
            pieces.append(("raw", None, bytes(raw)))
        self.pending = rest
        return pieces

    def finish(self):
        """What is left when the stream ends: an unfinished frame counts as raw bytes."""
        rest, self.pending = self.pending, b""
        return [("raw", None, rest)] if rest else []


def console_input(data):
    """What is typed, as it goes in."""
    return data.replace(bytes([MARK]), bytes([MARK, MARK]))


def command_input(child, command):
    """A command, as it goes in."""
    return bytes([MARK]) + f"{child} {command}\n".encode()


class Lines:
    """Collects the output of one child into lines with a prefix, so that lines of several children never mix."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.pending = b""

    def feed(self, data):
        """Returns the complete lines, each with its prefix."""
        parts = (self.pending + data).split(b"\n")
        self.pending = parts.pop()
        return b"".join(self.prefix + part.rstrip(b"\r") + b"\n" for part in parts)

    def finish(self):
        """Completes the last line if the child did not."""
        rest, self.pending = self.pending, b""
        return self.prefix + rest.rstrip(b"\r") + b"\n" if rest else b""


class EscapeFilter:
    """Watches what is typed for Ctrl-A x (quit); Ctrl-A Ctrl-A sends one Ctrl-A."""

    ESCAPE = 0x01

    def __init__(self):
        self.is_escaped = False
        self.wants_quit = False

    def feed(self, data):
        """Returns the bytes that go to the child."""
        out = bytearray()
        for byte in data:
            if self.is_escaped:
                self.is_escaped = False
                if byte in b"xX":
                    self.wants_quit = True
                    break
                out += bytes([byte]) if byte == self.ESCAPE else bytes([self.ESCAPE, byte])
            elif byte == self.ESCAPE:
                self.is_escaped = True
            else:
                out.append(byte)
        return bytes(out)
