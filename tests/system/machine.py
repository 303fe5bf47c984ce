# SPDX-License-Identifier: MIT
"""The machines that the hypervisor boots on: QEMU by -kernel or from the ISO on BIOS and UEFI, with KVM or in
software, and Bochs. Only command lines and configuration files; starting and watching them is the caller's job."""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from common import Failure

ROOT_MEMORY_MIB = 256
PROBE_SECONDS = 15
# What the hypervisor writes to the exit device when it stops by itself (hv/debug/stop.h), as QEMU's exit status.
STOP_OPTION = "onstop=poweroff"
STATUS_STOPPED = 33
STATUS_PANIC = 35
BACKEND_LINE = "backend: AMD-V"
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

BOCHS_CONFIGURATION = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=true, iodebug=true
cpu: model={model}, count={lps}, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=946681200, rtc_sync=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=true, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=true, mode=file, dev=com1.log
com2: enabled=true, mode=file, dev=hv.log
pci: enabled=1, chipset=i440fx
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
sound: waveoutdrv=dummy
speaker: enabled=false
"""


@dataclass
class Accelerator:
    """How QEMU executes instructions, and in words why."""

    arguments: list
    cpu: str
    reason: str


@dataclass
class Module:
    """A file handed over by the boot loader, with its words; `name` is what the loader calls it."""

    name: str
    path: Path
    words: str


@dataclass
class Machine:
    """What to boot and on what. The modules' names must be unique."""

    image: Path
    command_line: str = ""
    modules: list = field(default_factory=list)
    lps: int = 1
    memory_mib: int = 256
    cpu: str = ""
    firmware: str = "kernel"
    accelerator: Accelerator = None


def emulator():
    """QEMU's program."""
    name = os.environ.get("PARTITA_QEMU", "qemu-system-x86_64")
    found = shutil.which(name)
    if found is None:
        raise Failure(f"{name} is missing")
    return found


def software():
    """QEMU's own CPU: has AMD-V with nested paging. All processors share one host thread, because on several they
    damage each other (docs/testing.md, Several processors in QEMU)."""
    return Accelerator(["-accel", "tcg,thread=single"], "max", "QEMU's software CPU")


def kvm_obstacle(image, folder):
    """Why KVM cannot run an AMD-V hypervisor here, or None if it really did."""
    if not os.path.exists("/dev/kvm"):
        return "no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no access to /dev/kvm"
    flags = next((line for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
                  if line.startswith("flags")), "").split()
    if "svm" not in flags:
        return "the host's CPU offers no AMD-V"
    try:
        nested = Path("/sys/module/kvm_amd/parameters/nested").read_text(encoding="ascii").strip()
    except OSError:
        return "kvm_amd is not loaded"
    if nested not in ("1", "Y"):
        return "kvm_amd has nesting switched off"
    return None if boots_under_kvm(image, folder) else "a trial boot did not find AMD-V"


def boots_under_kvm(image, folder):
    """Starts the bare image under KVM and waits for the line that names its backend."""
    log = folder / "probe.log"
    log.unlink(missing_ok=True)
    probe = Machine(image, STOP_OPTION, accelerator=Accelerator(["-accel", "kvm"], "host", ""))
    with open(folder / "probe-qemu.log", "wb") as errors:
        process = start(qemu_command(probe, folder, log.name), folder, stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=errors)
        try:
            deadline = time.monotonic() + PROBE_SECONDS
            while time.monotonic() < deadline:
                is_over = process.poll() is not None
                if log.is_file() and BACKEND_LINE in log.read_text(encoding="utf-8", errors="replace"):
                    return True
                if is_over:
                    return False
                time.sleep(0.05)
            return False
        finally:
            stop(process)


def choose_accelerator(image, folder):
    """KVM if AMD-V really works under it, else the software CPU."""
    obstacle = kvm_obstacle(image, folder)
    if obstacle is None:
        return Accelerator(["-accel", "kvm"], "host", "KVM with nested AMD-V")
    chosen = software()
    chosen.reason = f"QEMU's software CPU (not KVM: {obstacle})"
    return chosen


def link(target, path):
    """A symbolic link under a plain name: boot loaders split command lines at blanks and commas."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def double_commas(text):
    """QEMU takes a comma inside an option's value only if it is doubled."""
    return text.replace(",", ",,")


def qemu_command(machine, folder, hv_log="hv.log", root_console="stdio", iso=None):
    """QEMU's command line; relative names are below `folder`, which must be its working directory."""
    accelerator = machine.accelerator or software()
    command = [emulator(), "-M", "q35", *accelerator.arguments, "-cpu", machine.cpu or accelerator.cpu,
               "-smp", str(machine.lps), "-m", f"{machine.memory_mib}M", "-display", "none", "-vga", "none",
               "-nodefaults", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    if root_console == "stdio":
        command += ["-chardev", "stdio,id=root,signal=off", "-serial", "chardev:root"]
    else:
        command += ["-serial", root_console]
    command += ["-serial", f"file:{hv_log}"]
    if machine.firmware == "kernel":
        link(machine.image, folder / "partita.elf")
        command += ["-kernel", "partita.elf"]
        if machine.command_line:
            command += ["-append", machine.command_line]
        for module in machine.modules:
            link(module.path, folder / module.name)
        if machine.modules:
            texts = [double_commas(f"{module.name} {module.words}") for module in machine.modules]
            command += ["-initrd", ",".join(texts)]
    else:
        command += ["-cdrom", str(iso), "-boot", "d"]
        if machine.firmware == "uefi":
            for path in (OVMF_CODE, OVMF_VARS):
                if not path.is_file():
                    raise Failure(f"UEFI firmware is missing: {path} (package ovmf)")
            shutil.copyfile(OVMF_VARS, folder / "efi-variables.fd")
            command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}",
                        "-drive", "if=pflash,unit=1,format=raw,file=efi-variables.fd"]
    return command


def bochs_command(folder, iso, model, lps, memory_mib):
    """Bochs' command line, its configuration written into `folder`, which must be its working directory."""
    program = shutil.which("bochs")
    if program is None:
        raise Failure("bochs is missing")
    text = BOCHS_CONFIGURATION.format(model=model, lps=lps, memory=memory_mib, iso=iso)
    (folder / "bochsrc").write_text(text, encoding="utf-8")
    # The packaged program contains a debugger that waits for its first command.
    (folder / "bochs.rc").write_text("c\n", encoding="ascii")
    return [program, "-q", "-f", "bochsrc", "-rc", "bochs.rc"]


def die_with_parent():
    """In the child process: have the kernel end it when the driver ends, however that happens."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def start(command, folder, **streams):
    """Starts an emulator in its own session, so that Ctrl-C on the terminal reaches the driver only."""
    try:
        return subprocess.Popen(command, cwd=folder, start_new_session=True, preexec_fn=die_with_parent, **streams)
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {error.strerror}") from error


def stop(process):
    """Ends an emulator that this driver started; harmless if it is over."""
    if process.poll() is None:
        process.kill()
    process.wait()
