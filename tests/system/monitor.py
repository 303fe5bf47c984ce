# SPDX-License-Identifier: MIT
"""Reads the memory of a machine that runs, through QEMU's monitor (QMP)."""

import contextlib
import json
import os
import re
import socket
import tempfile
from pathlib import Path

from common import Failure
from machine import MONITOR_SOCKET

ANSWER_SECONDS = 60


class Monitor:
    """A connection to the QEMU of a run's folder."""

    def __init__(self, folder):
        # The path of a socket is short; that of the folder may be long.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_SECONDS)
        try:
            self.socket.connect(f"/proc/self/fd/{descriptor}/{MONITOR_SOCKET}")
        except OSError as error:
            self.socket.close()
            raise Failure(f"no QEMU of ./partita run answers in {folder}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.read()
        self.ask("qmp_capabilities")

    def read(self):
        """The next object that QEMU sends."""
        try:
            line = self.lines.readline()
        except TimeoutError:
            raise Failure(f"QEMU's monitor does not answer within {ANSWER_SECONDS} s") from None
        if not line:
            raise Failure("QEMU has ended, or another client has its monitor")
        return json.loads(line)

    def ask(self, command, **arguments):
        """What a command returns; events that come in between are dropped."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.read()
            if "error" in answer:
                raise Failure(f"QEMU refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    @contextlib.contextmanager
    def stopped(self):
        """The machine stands still meanwhile, unless it does so anyway."""
        was_running = self.ask("query-status")["running"]
        if was_running:
            self.ask("stop")
        try:
            yield
        finally:
            if was_running:
                self.ask("cont")

    def close(self):
        """Lets the next one have the monitor."""
        self.lines.close()
        self.socket.close()


def hypervisor_range(folder):
    """Where the hypervisor of this run lies, as its log says: (address, bytes)."""
    try:
        text = (folder / "hv.log").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"{folder}: cannot read hv.log: {error.strerror}") from error
    found = re.search(r"^partita: memory: .*hypervisor at ([0-9a-fx]+)-([0-9a-fx]+)", text, re.MULTILINE)
    if found is None:
        raise Failure(f"{folder}: the hypervisor has not yet said where it lies")
    begin, last = (int(word, 16) for word in found.groups())
    return begin, last - begin + 1


def read_hypervisor(folder):
    """The hypervisor's memory, of one moment: (its address, its bytes)."""
    begin, size = hypervisor_range(folder)
    monitor = Monitor(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="trace-", dir=folder) as scratch:
            target = Path(scratch).absolute() / "memory"
            with monitor.stopped():
                monitor.ask("pmemsave", val=begin, size=size, filename=str(target))
            return begin, target.read_bytes()
    finally:
        monitor.close()
