# SPDX-License-Identifier: MIT
"""What all parts of the driver share: where things are, how it speaks, how it fails."""

import contextlib
import fcntl
import os
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PARTITA_BUILD") or TOP / "build").absolute()
OUT = BUILD / "out"
GUEST = BUILD / "guest"
LOGS = BUILD / "log"

STATUS_USAGE = 2
STATUS_TIMEOUT = 124
STATUS_BROKEN = 125
STATUS_INTERRUPTED = 130


class Failure(Exception):
    """Something the user can act on: one line of text and the exit status that goes with it."""

    def __init__(self, text, status=STATUS_USAGE):
        super().__init__(text)
        self.status = status


def say(text):
    """One line of progress or news; never on stdout, which belongs to the child's data."""
    print(f"partita: {text}", file=sys.stderr, flush=True)


def is_interactive():
    """True when a person watches stderr and nobody asked for silence."""
    return sys.stderr.isatty() and not os.environ.get("CI")


@contextlib.contextmanager
def build_lock():
    """One driver at a time installs, unpacks and builds; the others wait for it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / ".lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another ./partita that is building")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_if_changed(path, data):
    """Writes a generated file only when its content is new, so that nothing downstream is rebuilt for nothing."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
    return True


def tail(path, count=12):
    """The last lines of a log, or nothing when there is none."""
    try:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip("\r") for line in text.splitlines() if line.strip()][-count:]
