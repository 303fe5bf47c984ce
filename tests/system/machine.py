# SPDX-License-Identifier: MIT
"""The machines that the hypervisor boots on: QEMU by -kernel or from the ISO on BIOS and UEFI, with KVM or in
software, and Bochs: command lines, configuration files, start, and how they ended. Watching them is the caller's
job."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from common import Failure, tail

ROOT_MEMORY_MIB = 256
PROBE_SECONDS = 15
# What the hypervisor writes to the exit device when it stops by itself (hv/debug/stop.h), as QEMU's exit status.
STOP_OPTION = "onstop=poweroff"
STATUS_STOPPED = 33
STATUS_PANIC = 35
# QEMU's own, for a command line or a host that it cannot work with.
STATUS_REFUSED = 1
# The same for Bochs at any time.
STATUS_LOST = 2
CONNECT_SECONDS = 30
READ_BYTES = 65536
# On the PCI bus, of virtio devices; eight of them share a slot.
FIRST_SLOT = 2
# QEMU's monitor for programs (QMP), in the folder of the run.
MONITOR_SOCKET = "monitor"
BOCHS_MODEL = "corei7_haswell_4770"
# Its models of AMD's processors; the others are Intel's.
BOCHS_AMD_MODELS = {"amd_k6_2_chomper", "athlon64_clawhammer", "athlon64_venice", "turion64_tyler",
                    "phenom_8650_toliman", "zambezi", "trinity_apu", "ryzen"}
BOCHS_LAST_WORDS = "Bochs is exiting with the following message:"
BOCHS_FILES = {"bochsbios": Path("/usr/share/bochs/BIOS-bochs-latest"),
               "vgabios": Path("/usr/share/bochs/VGABIOS-lgpl-latest")}
OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

BOCHS_CONFIGURATION = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=true, iodebug=true
cpu: model={model}, count={lps}, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=946681200, rtc_sync=0
memory: guest={memory}, host={memory}
romimage: file={bochsbios}, options=fastboot
vgaromimage: file={vgabios}
ata0: enabled=true, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, mode=flat, path={iso}, cylinders=0
boot: disk
com1: enabled=true, {com1}
com2: enabled=true, mode=file, dev={com2}
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
    """What executes the instructions, and in words why: QEMU with these arguments, or Bochs."""

    arguments: list
    cpu: str
    reason: str
    is_bochs: bool = False


@dataclass(frozen=True)
class Vendor:
    """What tells one kind of virtualisation from the other; the hypervisor logs `backend: ` and the name."""

    name: str
    flag: str
    module: str


VENDORS = {"svm": Vendor("AMD-V", "svm", "kvm_amd"), "vmx": Vendor("VT-x", "vmx", "kvm_intel")}


@dataclass
class Module:
    """A file handed over by the boot loader, with its words; `name` is what the loader calls it."""

    name: str
    path: Path
    words: str


@dataclass
class Drive:
    """A file that is a virtio block device of QEMU's; a snapshot's writes are lost when it ends."""

    path: Path
    is_read_only: bool = False
    is_snapshot: bool = False


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
    drives: list = field(default_factory=list)


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


def bochs():
    """Bochs' CPU: the emulated one with VT-x."""
    return Accelerator([], BOCHS_MODEL, "Bochs", is_bochs=True)


def cpu_flags():
    """What the host's CPU can do, as Linux says it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    return next((line for line in lines if line.startswith("flags")), "").split()


def kvm_obstacle(vendor, image, folder):
    """Why KVM cannot run a hypervisor for this kind of virtualisation here, or None if it really did."""
    if not os.path.exists("/dev/kvm"):
        return "no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "no access to /dev/kvm"
    if vendor.flag not in cpu_flags():
        return f"the host's CPU offers no {vendor.name}"
    try:
        nested = Path(f"/sys/module/{vendor.module}/parameters/nested").read_text(encoding="ascii").strip()
    except OSError:
        return f"{vendor.module} is not loaded"
    if nested not in ("1", "Y"):
        return f"{vendor.module} has nesting switched off"
    return None if boots_under_kvm(vendor, image, folder) else f"a trial boot did not find {vendor.name}"


def boots_under_kvm(vendor, image, folder):
    """Starts the bare image under KVM and waits for the line that names its backend."""
    log = folder / "probe.log"
    log.unlink(missing_ok=True)
    probe = Machine(image, STOP_OPTION, accelerator=Accelerator(["-accel", "kvm"], "host", ""))
    with open(folder / "probe-emulator.log", "wb") as errors:
        process = start(qemu_command(probe, folder, log.name), folder, stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL, stderr=errors)
        try:
            deadline = time.monotonic() + PROBE_SECONDS
            while time.monotonic() < deadline:
                is_over = process.poll() is not None
                if log.is_file() and f"backend: {vendor.name}" in log.read_text(encoding="utf-8", errors="replace"):
                    return True
                if is_over:
                    return False
                time.sleep(0.05)
            return False
        finally:
            stop(process)


def choose_accelerator(cpu, image, folder):
    """KVM if virtualisation really works under it, of the wanted kind or, without a wish, of the host's; else an
    emulated CPU: Bochs' for VT-x, QEMU's for AMD-V and without a wish."""
    wanted = cpu or ("vmx" if "vmx" in cpu_flags() else "svm")
    obstacle = kvm_obstacle(VENDORS[wanted], image, folder)
    if obstacle is None:
        return Accelerator(["-accel", "kvm"], "host", f"KVM with nested {VENDORS[wanted].name}")
    chosen = bochs() if cpu == "vmx" else software()
    chosen.reason += f" (not KVM: {obstacle})"
    return chosen


def link(target, path):
    """A symbolic link under a plain name: boot loaders split command lines at blanks and commas."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def double_commas(text):
    """QEMU takes a comma inside an option's value only if it is doubled."""
    return text.replace(",", ",,")


def drive_arguments(drives, folder):
    """QEMU's options for virtio block devices, which come in this order on the bus. Failed reads and writes are the
    guest's to see: QEMU does not stop the machine for them."""
    arguments = []
    for index, drive in enumerate(drives):
        name = f"drive{index}.img"
        link(drive.path, folder / name)
        arguments += ["-drive", f"if=none,id=drive{index},file={name},format=raw,discard=unmap,rerror=report,"
                                f"werror=report,readonly={'on' if drive.is_read_only else 'off'},"
                                f"snapshot={'on' if drive.is_snapshot else 'off'}",
                      "-device", f"virtio-blk-pci,drive=drive{index},disable-legacy=on,multifunction=on,"
                                 f"addr={FIRST_SLOT + index // 8:#x}.{index % 8}"]
    return arguments


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
    command += ["-serial", f"file:{hv_log}", *drive_arguments(machine.drives, folder)]
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


def bochs_command(machine, folder, iso, root_console="mode=file, dev=com1.log", hv_log="hv.log"):
    """Bochs' command line, its configuration written into `folder`, which must be its working directory."""
    name = os.environ.get("PARTITA_BOCHS", "bochs")
    program = shutil.which(name)
    if program is None:
        raise Failure(f"{name} is missing")
    for package, path in BOCHS_FILES.items():
        if not path.is_file():
            raise Failure(f"Bochs' firmware is missing: {path} (package {package})")
    link(iso, folder / "boot.disk")
    # A Bochs that was killed leaves its lock behind.
    (folder / "boot.disk.lock").unlink(missing_ok=True)
    text = BOCHS_CONFIGURATION.format(model=machine.cpu or BOCHS_MODEL, lps=machine.lps, memory=machine.memory_mib,
                                      iso="boot.disk", com1=root_console, com2=hv_log, **BOCHS_FILES)
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


def bochs_last_words(folder):
    """What Bochs says when it ends, in one line, or None."""
    lines = tail(folder / "emulator.log", 100)
    return next((line for before, line in zip(lines, lines[1:]) if before == BOCHS_LAST_WORDS), None)


def qemu_refusal(folder, status):
    """Why QEMU ended with this status before the first instruction, in one line, or None if it did not."""
    lines = tail(folder / "emulator.log")
    if status != STATUS_REFUSED or not lines or tail(folder / "hv.log"):
        return None
    return lines[-1].removeprefix(f"{Path(emulator()).name}: ")


def accept(listener, process, folder):
    """The connection that Bochs makes from the root's console before the first instruction."""
    deadline = time.monotonic() + CONNECT_SECONDS
    listener.settimeout(0.1)
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return listener.accept()[0]
    stop(process)
    raise Failure(f"Bochs did not start: {bochs_last_words(folder) or 'no reason given'}")


@contextlib.contextmanager
def running(machine, folder, iso=None):
    """Runs the machine with the root's console as a stream of bytes: its process, and the descriptors to read from and
    to write to. Bochs loses bytes on a pseudo-terminal that is full, but waits for a socket."""
    with open(folder / "emulator.log", "wb") as log, contextlib.ExitStack() as stack:
        if machine.accelerator.is_bochs:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
            console = f"mode=socket-client, dev=127.0.0.1:{listener.getsockname()[1]}"
            process = start(bochs_command(machine, folder, iso, console), folder, stdin=subprocess.DEVNULL, stdout=log,
                            stderr=log)
            stack.callback(stop, process)
            reader = writer = stack.enter_context(accept(listener, process, folder)).fileno()
        else:
            command = [*qemu_command(machine, folder, iso=iso), "-qmp", f"unix:{MONITOR_SOCKET},server=on,wait=off"]
            process = start(command, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0)
            stack.enter_context(process)
            stack.callback(stop, process)
            reader, writer = process.stdout.fileno(), process.stdin.fileno()
        yield process, reader, writer


def read_console(reader):
    """What the root's console has for us; nothing once the emulator has closed it, which it does by ending."""
    try:
        return os.read(reader, READ_BYTES)
    except ConnectionResetError:
        return b""


def ending(machine, folder, process):
    """How a machine that is over has ended, as QEMU's exit status says it. Bochs' status is always the same; its last
    words say which port ended it, and the hypervisor's log whether that was a panic."""
    if not machine.accelerator.is_bochs:
        return process.returncode
    words = bochs_last_words(folder) or ""
    if "soft power off" in words:
        return 0
    if "hutdown" not in words:
        return STATUS_LOST
    panicked = any(line.startswith("partita: panic") for line in tail(folder / "hv.log", 1))
    return STATUS_PANIC if panicked else STATUS_STOPPED
