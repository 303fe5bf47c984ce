#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands in for QEMU in the driver's own tests: plays the script named by PARTITA_FAKE_SCRIPT, which says what the
machine prints on its serial ports and when it ends. It runs no guest and decides nothing by itself."""

import os
import sys
import time


def frame(stream, child, payload):
    """Writes one frame to COM1."""
    data = payload if isinstance(payload, bytes) else payload.encode()
    raw(b"\x1e" + f"{stream} {child} {len(data)}\n".encode() + data)


def raw(data):
    """Writes bytes to COM1."""
    os.write(1, data)


def log(text):
    """Writes a line to COM2, the hypervisor's log."""
    target = [word for word in sys.argv if word.startswith("file:")][0]
    with open(target.removeprefix("file:"), "a", encoding="utf-8") as sink:
        sink.write(text + "\n")


def argument(name):
    """The value that an option of QEMU was given."""
    return sys.argv[sys.argv.index(name) + 1]


if __name__ == "__main__":
    with open(os.environ["PARTITA_FAKE_SCRIPT"], encoding="utf-8") as script:
        exec(script.read(), {"frame": frame, "raw": raw, "log": log, "argument": argument, "sys": sys, "os": os,
                             "time": time})
