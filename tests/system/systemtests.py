# SPDX-License-Identifier: MIT
"""The kinds of system test: each takes a section of tests.cfg and a folder of its own, and raises Broken on failure.

docs/testing.md explains every setting."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

import badfiles
import batch
import building
import diskfiles
import guestfiles
import initramfs
import iso
import machine
import nested
import pictures
from checks import Broken, by_child, compiled, unmet, verify
from common import BUILD, OUT, TOP, Failure
from options import CHILD_COMMAND_LINE

POLL_SECONDS = 0.1
SETTINGS = {
    "boot": {"image", "cmdline", "modules", "lps", "memory", "cpu", "firmware", "emulator", "expect", "forbid", "only",
             "console", "ends", "status", "repeat"},
    "run": {"repeat", "args", "lps", "expect", "stdout", "stderr", "hv", "sibling", "forbid", "only", "hv-only",
            "root-only", "status", "control", "pictures"},
    "guest": {"image", "args", "lps", "expect", "stdout", "stderr", "hv", "sibling", "forbid", "status"},
    "direct": {"repeat", "kernel", "exec", "lps", "memory", "cpu", "stdout", "status"},
    "nested": {"repeat", "tries", "args", "lps", "cpu", "expect", "stdout", "forbid", "status"},
}
# An emulated CPU in Bochs is that much slower than QEMU's.
SLOWER_IN_BOCHS = 5
# Bare guests take two seconds at most on an idle host.
GUEST_SECONDS = 40
COMMON_SETTINGS = {"kind", "group", "timeout", "slow", "backend"}


class Hanging(Broken):
    """A machine that should have ended goes on."""


def text_of(path):
    """A log as text, with the line ends of serial consoles made plain."""
    try:
        return path.read_bytes().decode("utf-8", "replace").replace("\r", "")
    except OSError:
        return ""


def fill(text, cpu="any"):
    """Replaces the names of folders and versions that only the running suite knows, and of the instance's backend."""
    if cpu in machine.VENDORS:
        text = text.replace("{backend}", machine.VENDORS[cpu].name)
    if "{files}" in text:
        text = text.replace("{files}", str(badfiles.make(BUILD / "test" / "files")))
    if "{disks}" in text:
        text = text.replace("{disks}", str(diskfiles.make(BUILD / "test" / "disks")))
    if "{vmbus}" in text:
        text = text.replace("{vmbus}", str(guestfiles.vmbus_initrd()))
    if "{release}" in text:
        text = text.replace("{release}", guestfiles.kernel_release())
    return text.replace("{out}", str(OUT)).replace("{guest}", str(guestfiles.GUEST)).replace("{top}", str(TOP))


def limit(section, cpu="any"):
    """Seconds until a test counts as hanging."""
    default = GUEST_SECONDS if section["kind"] == "guest" else 120
    return section.getint("timeout", default) * (SLOWER_IN_BOCHS if cpu == "vmx" else 1)


def statuses(section):
    """The exit statuses that count as success: one, or several where more than one end is right."""
    return [int(word) for word in section.get("status", "0").split()]


def wait_for_end(process, seconds):
    """The exit status, or Hanging after a time."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Hanging(f"no end after {seconds} s") from None


def boot_modules(section):
    """The modules setting: one line for each, file name and words, as a boot loader sees them."""
    files = {"minroot.elf": building.MINROOT, "vmlinuz": guestfiles.KERNEL, "vmlinux": guestfiles.VMLINUX,
             "initrd.img": guestfiles.INITRD}
    modules = []
    for line in section.get("modules", "").splitlines():
        if not line.strip():
            continue
        name, _, words = fill(line.strip()).partition(" ")
        path = files.get(name) or OUT / name
        if not path.is_file():
            raise Broken(f"module {name}: there is no {path}")
        modules.append(machine.Module(path.name, path, words))
    return modules


def boot_machine(section, cpu):
    """The machine of a boot test: an emulated CPU with this backend, whatever the host has."""
    is_bochs = section.get("emulator", "bochs" if cpu == "vmx" else "qemu") == "bochs"
    return machine.Machine(OUT / section.get("image", "partita.elf"), section.get("cmdline", ""), boot_modules(section),
                           section.getint("lps", 1), section.getint("memory", 256), section.get("cpu", ""),
                           section.get("firmware", "bios" if is_bochs else "kernel"),
                           machine.bochs() if is_bochs else machine.software())


def boot_command(box, folder):
    """The emulator's command line for a boot test."""
    disc = None
    if box.firmware != "kernel":
        disc = folder / "boot.iso"
        iso.make(disc, box.image, box.command_line, box.modules)
    if box.accelerator.is_bochs:
        return machine.bochs_command(box, folder, disc)
    return machine.qemu_command(box, folder, root_console="file:com1.log", iso=disc)


def run_boot(section, folder, cpu):
    """kind=boot: the hypervisor and whatever modules; judged by its log, and by how the machine ends if that is set."""
    expect, forbid, only, console = (compiled(key, fill(section.get(key, ""), cpu))
                                     for key in ("expect", "forbid", "only", "console"))
    must_end = section.getboolean("ends", False) or "status" in section
    if not expect and not must_end:
        raise Broken("a boot test that expects nothing")
    log = folder / "hv.log"
    box = boot_machine(section, cpu)
    with open(folder / "emulator.log", "wb") as errors:
        process = machine.start(boot_command(box, folder), folder, stdin=subprocess.DEVNULL, stdout=errors,
                                stderr=errors)
        try:
            if must_end:
                wait_for_end(process, limit(section, cpu))
                status = machine.ending(box, folder, process)
                if "status" in section and status not in statuses(section):
                    raise Broken(f"the machine ended with {status}, expected {section['status']}")
            else:
                watch_log(process, log, expect, limit(section, cpu))
        finally:
            machine.stop(process)
    verify("hypervisor log", text_of(log), expect, forbid, only)
    verify("root's console", text_of(folder / "com1.log"), console, only=console)
    (folder / "boot.iso").unlink(missing_ok=True)


def watch_log(process, log, expect, seconds):
    """Returns once everything expected is in the log, or the machine has ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and unmet(expect, text_of(log)):
        if time.monotonic() > deadline:
            raise Broken(f"after {seconds} s no match for {unmet(expect, text_of(log))[0]!r}")
        time.sleep(POLL_SECONDS)


def control(section, folder, deadline):
    """The setting control: commands for children of a run that goes on, one for each line, as `COMMAND => PATTERN`.
    Each is given again until its reply is matched: nobody says when a guest's services have come up."""
    for line in section.get("control", "").strip().splitlines():
        words, _, pattern = fill(line.strip()).replace("{folder}", str(folder)).partition(" =>")
        command = [sys.executable, str(TOP / "tests/system/driver.py"), "control", "--logs", str(folder),
                   *shlex.split(words)]
        while True:
            done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
            if done.returncode == 0 and re.search(pattern.strip(), done.stdout, re.MULTILINE):
                break
            if time.monotonic() > deadline:
                raise Broken(f"control {words}: {(done.stderr or done.stdout).strip()!r}, expected {pattern.strip()!r}")
            time.sleep(1)


def verify_pictures(section, folder):
    """The setting pictures: what is in a rectangle of one, a check in each line. `FILE LEFT TOP WIDTH HEIGHT =
    COLOUR...`: these colours and no others; or `... same LEFT TOP`: what is there as well, of the same size."""
    for line in section.get("pictures", "").strip().splitlines():
        name, left, top, width, height, relation, *right = line.split()
        rows = pictures.read_png(folder / name)
        size = int(width), int(height)
        found = pictures.part(rows, int(left), int(top), *size)
        if [len(row) for row in found] != size[1] * [size[0]] or not all(map(all, found)):
            raise Broken(f"the picture does not reach that far: {line.strip()}")
        if relation == "=":
            colours = {colour for row in found for colour in row}
            if colours != set(right):
                raise Broken(f"{line.strip()}: the colours are {' '.join(sorted(colours))}")
        elif found != pictures.part(rows, int(right[0]), int(right[1]), *size):
            raise Broken(f"{line.strip()}: it is not")


def run_driver(section, folder, cpu, arguments):
    """Runs ./partita run with these arguments and judges status, outputs and logs."""
    seconds = limit(section, cpu)
    command = [sys.executable, str(TOP / "tests/system/driver.py"), "run", "--no-build", "--logs", str(folder),
               "--cpu", cpu, "--timeout", str(seconds), "--lps", section.get("lps", "1"), *arguments]
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                   env={**os.environ, "CI": "true"})
        try:
            control(section, folder, time.monotonic() + seconds)
            status = process.wait(seconds + 60)
        finally:
            process.terminate()
            process.wait()
        out, err = (file.seek(0) or file.read().decode("utf-8", "replace") for file in (stdout, stderr))
    (folder / "stdout.log").write_text(out, encoding="utf-8")
    judge(section, folder, status, out, err)


def judge(section, folder, status, out, err):
    """Raises Broken unless a run, whose logs are in the folder, went as the section says."""
    (folder / "stderr.log").write_text(err, encoding="utf-8")
    if status not in statuses(section):
        reasons = [line for line in err.splitlines() if not line.startswith("partita: running on")]
        raise Broken(f"status {status}, expected {section.get('status', 0)}: "
                     f"{(reasons or ['nothing on stderr'])[0]}")
    verify_pictures(section, folder)
    forbid = compiled("forbid", section.get("forbid", ""))
    if "stdout" in section:
        wanted = "".join(line.strip() + "\n" for line in fill(section["stdout"]).strip().splitlines())
        # Lines of several children come in any order; each child's own lines do not.
        is_same = by_child(out) == by_child(wanted) and len(out) == len(wanted)
        if not is_same:
            raise Broken(f"stdout is {out!r}, expected {wanted!r}")
    for setting, what, text in (("expect", "console of child 0", text_of(folder / "child0.log")),
                                ("sibling", "console of child 1", text_of(folder / "child1.log")),
                                ("stderr", "stderr", err), ("hv", "hypervisor log", text_of(folder / "hv.log"))):
        verify(what, text, compiled(setting, fill(section.get(setting, ""))), forbid)
    for setting, what, log in (("only", "console of child 0", "child0.log"), ("hv-only", "hypervisor log", "hv.log"),
                               ("root-only", "root's log", "root.log")):
        text = text_of(folder / log)
        if setting in section and not text.strip():
            raise Broken(f"{what}: nothing in it")
        verify(what, text, only=compiled(setting, section.get(setting, "")))


def run_run(section, folder, cpu):
    """kind=run: ./partita run with the setting args."""
    run_driver(section, folder, cpu, shlex.split(fill(section.get("args", ""))))


def run_guests(sections, folders, cpu):
    """kind=guest: bare guests instead of Linux, all in one boot. Yields what is wrong with one after the other, or
    None, and stops behind one that took the machine down."""
    guests = []
    for section, folder in zip(sections, folders):
        name = section.get("image", section.name.removeprefix("guest-") + ".elf")
        path = OUT / "guests" / name
        if not path.is_file():
            raise Broken(f"there is no bare guest {name}")
        guests.append(batch.Guest(folder, path, shlex.split(fill(section.get("args", ""))), limit(section, cpu)))
    boot = folders[0] / "boot"
    boot.mkdir()
    for section, folder, result in zip(sections, folders, batch.run(guests, boot, cpu, sections[0].getint("lps", 1))):
        try:
            if isinstance(result, Broken):
                raise result
            judge(section, folder, result.status, result.stdout, result.stderr)
        except Broken as problem:
            yield str(problem)
        else:
            yield None


def run_direct(section, folder, _cpu):
    """kind=direct: the guest kernel and initramfs on the emulated CPU without any hypervisor. Proves that the guest's
    own files work, and is what the hypervisor's times are compared with."""
    command_text = section.get("exec", "true")
    (folder / "initrd.img").write_bytes(initramfs.with_command(guestfiles.INITRD.read_bytes(), command_text))
    accelerator = machine.software()
    command = [machine.emulator(), "-M", "q35", *accelerator.arguments, "-cpu", section.get("cpu", accelerator.cpu),
               "-smp", section.get("lps", "1"), "-m", f"{section.getint('memory', 256)}M", "-display", "none",
               "-vga", "none", "-nodefaults", "-no-reboot", "-serial", "file:child0.log", "-serial", "file:data.log",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-initrd", "initrd.img",
               "-kernel", str(guestfiles.GUEST / section.get("kernel", "vmlinuz")), "-append", CHILD_COMMAND_LINE]
    with open(folder / "emulator.log", "wb") as errors:
        process = machine.start(command, folder, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            status = wait_for_end(process, limit(section))
        finally:
            machine.stop(process)
    wanted = section.getint("status", 0)
    # The exit device ends QEMU with twice the byte plus one.
    if status != (wanted << 1 | 1) & 0xFF:
        raise Broken(f"the emulator ended with {status}, expected the guest's status {wanted}")
    if not text_of(folder / "child0.log").startswith("partita-guest: up\n"):
        raise Broken("the first line on the console is not the marker of the guest's first process")
    wanted_text = "".join(line.strip() + "\n" for line in fill(section.get("stdout", "")).strip().splitlines())
    if text_of(folder / "data.log") != wanted_text:
        raise Broken(f"data is {text_of(folder / 'data.log')!r}, expected {wanted_text!r}")


def run_nested(section, folder, cpu):
    """kind=nested: the hypervisor on QEMU with KVM inside of a Linux on an emulated CPU. The setting tries: so often,
    if it hangs in QEMU, each time with other random numbers."""
    last = section.getint("tries", 1) if cpu == "svm" else 1
    for seed in range(1, last + 1):
        try:
            return nest(section, folder, cpu, seed)
        except Hanging:
            if seed == last:
                raise
            (folder / nested.CONSOLE_LOG).replace(folder / f"level1.{seed}.log")


def nest(section, folder, cpu, seed):
    """One try of it."""
    expect, forbid = (compiled(key, fill(section.get(key, ""), cpu)) for key in ("expect", "forbid"))
    arguments = shlex.split(fill(section.get("args", "")))
    model = section.get("cpu", "") if cpu == "svm" else ""  # the setting is QEMU's model
    command = nested.command(folder, building.IMAGE, arguments, cpu, model, section.getint("lps", 1), seed)
    with open(folder / "emulator.log", "wb") as errors:
        process = machine.start(command, folder, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            wait_for_end(process, limit(section, cpu))
        finally:
            machine.stop(process)
            for pattern in nested.LARGE_FILES:
                for image in folder.glob(pattern):
                    image.unlink()
    verify("console of level 1", text_of(folder / nested.CONSOLE_LOG), expect, forbid)
    data, status, errors = nested.collect((folder / nested.FRAMES_LOG).read_bytes())
    if status not in statuses(section):
        raise Broken(f"the innermost child's status is {status}, expected {section.get('status', 0)}: "
                     f"{(errors or ['the root reported no error'])[0]}")
    wanted = "".join(line.strip() + "\n" for line in fill(section.get("stdout", "")).strip().splitlines())
    if data != wanted:
        raise Broken(f"the innermost child said {data!r}, expected {wanted!r}")


KINDS = {"boot": run_boot, "run": run_run, "direct": run_direct, "nested": run_nested, "guest": None}


DEFAULT_BACKENDS = {"boot": "svm vmx", "run": "svm vmx", "guest": "svm vmx", "direct": "any", "nested": "svm vmx"}


def backends(section):
    """What a test has an instance for: backends, or `any` for one that needs none or chooses its machine itself."""
    return section.get("backend", DEFAULT_BACKENDS[section["kind"]]).split()


def run(section, folder, cpu):
    """Does the test of a section, on the machine for this backend."""
    KINDS[section["kind"]](section, folder, cpu)


def check_section(section):
    """A test that is written wrong fails before anything starts."""
    kind = section.get("kind", "")
    if kind not in KINDS:
        raise Failure(f"tests.cfg [{section.name}]: kind {kind!r}, expected one of {', '.join(KINDS)}")
    own = set(section) - set(section.parser.defaults())
    unknown = own - SETTINGS[kind] - COMMON_SETTINGS
    if unknown:
        raise Failure(f"tests.cfg [{section.name}]: unknown setting {', '.join(sorted(unknown))}")
    if section.get("slow", "no") not in ("yes", "no", *machine.VENDORS):
        raise Failure(f"tests.cfg [{section.name}]: slow = {section['slow']!r}, expected yes, no, svm or vmx")
    wrong = set(backends(section)) - {"any", *machine.VENDORS}
    if wrong:
        raise Failure(f"tests.cfg [{section.name}]: backend {wrong.pop()!r}, expected svm, vmx or any")
