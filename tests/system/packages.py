# SPDX-License-Identifier: MIT
"""Installs the Debian packages listed in packages.txt that are missing, and fetches packages without installing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from common import LOGS, Failure, is_interactive, say

LIST = Path(__file__).with_name("packages.txt")
PURPOSES = ("run", "iso", "bochs", "test")


def parse_list(text):
    """Rows of packages.txt as (package, purpose)."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in PURPOSES:
            raise Failure(f"{LIST.name}:{number}: expected `package purpose  # why`, "
                          f"purpose one of {', '.join(PURPOSES)}")
        rows.append((words[0], words[1]))
    return rows


def missing(purposes):
    """The listed packages for these purposes that are not installed."""
    wanted = [name for name, purpose in parse_list(LIST.read_text(encoding="utf-8")) if purpose in purposes]
    if shutil.which("dpkg-query") is None:
        raise Failure("dpkg-query is missing: ./partita knows how to install its tools on Debian only")
    query = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *wanted],
                           capture_output=True, text=True, check=False)
    installed = {line.split()[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def root_prefix():
    """What to put before a command that needs root."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise Failure("packages are missing and there is no sudo: run ./partita setup once as root")
    return ["sudo", "-n"] if os.environ.get("CI") else ["sudo"]


def run_logged(command, log, on_line=None):
    """Runs a command with its output in a log file, calling on_line for each line of it; returns its status."""
    with open(log, "ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        with subprocess.Popen(command, stdin=None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            for line in process.stdout:
                sink.write(line)
                if on_line is not None:
                    on_line(line.decode("utf-8", "replace").rstrip())
            return process.wait()


class InstallProgress:
    """Turns the lines of apt-get into a few lines of progress."""

    def __init__(self):
        self.total = 0
        self.done = 0

    def line(self, text):
        """Takes one line of apt-get's output."""
        found = re.match(r"\d+ upgraded, (\d+) newly installed", text)
        if found:
            self.total = int(found.group(1))
        elif text.startswith("Need to get"):
            say(f"downloading {text.removeprefix('Need to get ').rstrip('.')}")
        elif text.startswith("Setting up "):
            self.done += 1
            step = 5 if is_interactive() else 25
            if self.done % step == 0 or self.done == self.total:
                say(f"installed {self.done} of {self.total}: {text.split()[2]}")


def ensure(purposes):
    """Installs what is missing for these purposes; quick when nothing is."""
    names = missing(purposes)
    if not names:
        return
    if shutil.which("apt-get") is None:
        raise Failure(f"apt-get is missing, so these cannot be installed from here: {' '.join(names)}")
    prefix = root_prefix()
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "setup.log"
    say(f"installing {len(names)} packages: {' '.join(names)} (log: {log})")
    if run_logged([*prefix, "apt-get", "update"], log) != 0:
        raise Failure(f"apt-get update failed: {last_error(log)} (log: {log})")
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends",
               "-o", "Dpkg::Use-Pty=0", *names]
    if run_logged(command, log, InstallProgress().line) != 0:
        raise Failure(f"apt-get install failed: {last_error(log)} (log: {log})")
    still = missing(purposes)
    if still:
        raise Failure(f"still missing after the installation: {' '.join(still)} (log: {log})")


def last_error(log):
    """The line of a log that most likely says why."""
    lines = [line for line in Path(log).read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:", "dpkg: error"))]
    return (errors or lines or ["no output"])[-1]


def resolve(package):
    """The versioned package that a metapackage depends on, or None when apt knows nothing about it."""
    query = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=False)
    found = re.search(r"Depends: (linux-image-\d\S*)", query.stdout)
    return found.group(1) if found else None


def fetch(name, folder, metapackage=False):
    """Downloads a package into a folder without installing it; returns (package name, path of the .deb)."""
    LOGS.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    log = LOGS / "fetch.log"
    for attempt in range(2):
        package = resolve(name) if metapackage else name
        if package is not None:
            for old in folder.glob(f"{package}_*.deb"):
                old.unlink()
            # Root's apt drops its rights for downloads, and the folder may not be open to that user.
            command = ["sh", "-c", 'cd -- "$1" && exec apt-get -o APT::Sandbox::User=root download "$2"',
                       "sh", str(folder), package]
            if run_logged(command, log) == 0:
                files = sorted(folder.glob(f"{package}_*.deb"))
                if files:
                    return package, files[-1]
        if attempt == 0 and run_logged([*root_prefix(), "apt-get", "update"], log) != 0:
            raise Failure(f"apt-get update failed: {last_error(log)} (log: {log})")
    raise Failure(f"cannot download the package {name}: {last_error(log)} (log: {log})")
