#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands in for QEMU and Bochs in the driver's own tests: plays the script named by PARTITA_FAKE_SCRIPT, which says
what the machine prints on its serial ports and when it ends. It runs no guest and decides nothing by itself."""

import os
import re
import socket
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
    files = [word for word in sys.argv if word.startswith("file:")] or ["file:hv.log"]
    with open(files[0].removeprefix("file:"), "a", encoding="utf-8") as sink:
        sink.write(text + "\n")


def argument(name):
    """The value that an option of QEMU was given."""
    return sys.argv[sys.argv.index(name) + 1]


def last_words(text):
    """Ends as Bochs does, always with the same status."""
    os.write(2, f"Bochs is exiting with the following message:\n{text}\n".encode())
    sys.exit(1)


def connect_com1():
    """Bochs' COM1, as its configuration has it, in place of stdin and stdout."""
    with open("bochsrc", encoding="utf-8") as configuration:
        host, port = re.search(r"com1: .*dev=([\d.]+):(\d+)", configuration.read()).groups()
    console = socket.create_connection((host, int(port)))
    os.dup2(console.fileno(), 0)
    os.dup2(console.fileno(), 1)


if __name__ == "__main__":
    with open(os.environ["PARTITA_FAKE_SCRIPT"], encoding="utf-8") as script:
        text = script.read()
    if "bochsrc" in sys.argv and not text.startswith("# no console"):
        connect_com1()
    exec(text, {"frame": frame, "raw": raw, "log": log, "argument": argument, "last_words": last_words, "sys": sys,
                "os": os, "time": time})
