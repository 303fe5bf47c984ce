# SPDX-License-Identifier: MIT
"""The disks of system tests: ext4 images, written by mke2fs without mounting anything."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import guestfiles
from badfiles import NOISE
from common import Failure, build_lock

MKE2FS = "/sbin/mke2fs"
DATA = NOISE * 16


def image(path, size, files):
    """A file system with these files, of content or copied from a path, unless it is there."""
    if path.is_file():
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        content, part = Path(scratch) / "content", Path(scratch) / "part"
        content.mkdir()
        for name, source in files.items():
            if isinstance(source, bytes):
                (content / name).write_bytes(source)
            else:
                shutil.copy(source, content / name)
        done = subprocess.run([MKE2FS, "-q", "-t", "ext4", "-d", str(content), str(part), size], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"mke2fs cannot make {path.name}: {done.stderr.strip()}")
        part.replace(path)


def make(folder):
    """Writes data.img, with a file and its checksum, and tools.img, with e2fsck, into the folder; returns it."""
    with build_lock():
        folder.mkdir(parents=True, exist_ok=True)
        sums = f"{hashlib.sha256(DATA).hexdigest()}  data\n"
        image(folder / "data.img", "16M", {"data": DATA, "sums": sums.encode()})
        image(folder / "tools.img", "4M", {"e2fsck": guestfiles.e2fsck()})
    return folder
