# SPDX-License-Identifier: MIT
"""The hypervisor nested in KVM: a machine whose CPU is emulated runs Debian's kernel with kvm_amd (level 1), which runs
this host's QEMU with KVM (level 2), which boots the hypervisor exactly as `./partita run` does on a KVM host. This file
makes level 1's file system and command line and takes apart what comes back; judging it is the caller's job."""

import re
import shlex
import stat
import subprocess
from pathlib import Path

import guestfiles
import initramfs
import machine
import options as machine_options
import runner
from common import Failure
from frames import Demultiplexer

MEMORY_MIB = 2048
# Level 1's clocks count instructions, a nanosecond each, and jump over idle time. By the clock on the wall, a busy host
# makes it so slow that the innermost guest does nothing but take timer interrupts.
CLOCK = ["-icount", "shift=0,sleep=off"]
# In the order in which they need each other.
MODULES = ("irqbypass", "ccp", "kvm", "kvm-amd")
# QEMU's own files: firmware and the code that starts a kernel by its different entries.
DATA_FOLDERS = (Path("/usr/share/qemu"), Path("/usr/share/seabios"))
DATA_FILES = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin", "pvh.bin")
VM_FOLDER = "vm"
CONSOLE_LOG = "level1.log"
FRAMES_LOG = "frames.log"

# The serial ports: ttyS0 is level 1's console and takes the hypervisor's log too, ttyS1 takes its COM1 as it is.
# KVM counts nested entries for as long as the VM exists only, hence the loop beside it. The two trace events say which
# rule an entry broke that KVM refused, and that the processor refused one; they cost nothing while none is refused.
INIT = r"""#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t debugfs debug /sys/kernel/debug
for module in @MODULES@; do
    insmod "/modules/$module.ko" || echo "nested: level 1 cannot load $module"
done
now() { cut -d' ' -f1 /proc/uptime; }
parameters=/sys/module/kvm_amd/parameters
echo "nested: level 1 is up after $(now) s, kvm_amd nested=$(cat $parameters/nested) npt=$(cat $parameters/npt)"
stty -F /dev/ttyS1 raw -echo
mount -t tracefs trace /sys/kernel/tracing
trace=/sys/kernel/tracing
echo 'exit_code == 0xffffffff' >$trace/events/kvm/kvm_nested_vmexit_inject/filter
for event in kvm_nested_vmenter_failed kvm_nested_vmexit_inject; do
    echo 1 >$trace/events/kvm/$event/enable || echo "nested: level 1 cannot trace $event"
done
cd /@FOLDER@
@COMMAND@ </dev/null >/dev/ttyS1 2>/dev/ttyS0 &
emulator=$!
while sleep 1; do
    count=$(cat /sys/kernel/debug/kvm/nested_run) && [ "$count" -gt 0 ] && echo "$count" >/tmp/entries
done &
wait $emulator
echo "nested: level 2 ended with $? after $(now) s"
echo "nested: $(cat /tmp/entries 2>/dev/null || echo 0) nested entries counted by KVM"
grep -v '^#' $trace/trace | head -n 20 | sed 's/^ */nested: refused: /'
busybox poweroff -f
"""


def libraries(program):
    """The shared libraries that a program of this host loads, at the paths where it looks for them."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    missing = re.search(r"(\S+) => not found", done.stdout)
    if done.returncode != 0 or missing:
        why = f"the library {missing.group(1)} is missing" if missing else "ldd does not list its libraries"
        raise Failure(f"{program}: {why}")
    return re.findall(r"(/\S+) \(0x", done.stdout)


def data_file(name):
    """One of QEMU's own files on this host."""
    for folder in DATA_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise Failure(f"QEMU's {name} is in none of {', '.join(map(str, DATA_FOLDERS))}")


class Tree(initramfs.Archive):
    """An archive that adds the folders above each file by itself."""

    def __init__(self):
        super().__init__()
        self.folders = set()

    def add_folder(self, name):
        """A folder and those above it, once each."""
        parts = name.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path and path not in self.folders:
                self.folders.add(path)
                self.add(path, stat.S_IFDIR | 0o755)

    def add_file(self, name, content, mode=0o644):
        """A file with the folders that it lies in."""
        name = name.strip("/")
        self.add_folder(name.rpartition("/")[0])
        self.add(name, stat.S_IFREG | mode, content)


def add_emulator(tree, program):
    """QEMU with everything that it opens at its start."""
    for path in (program, *libraries(program)):
        tree.add_file(path, Path(path).read_bytes(), 0o755)
    for name in DATA_FILES:
        tree.add_file(f"/usr/share/qemu/{name}", data_file(name).read_bytes())


def add_base(tree, script):
    """What level 1 itself needs: BusyBox, its first process, the modules of KVM."""
    for name in ("dev", "proc", "sys", "tmp"):
        tree.add_folder(name)
    tree.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    tree.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    tree.add_file("bin/busybox", guestfiles.BUSYBOX.read_bytes(), 0o755)
    for name in initramfs.applets(guestfiles.BUSYBOX):
        if name != "busybox":
            tree.add(f"bin/{name}", stat.S_IFLNK | 0o777, b"busybox")
    tree.add_file("init", script.encode(), 0o755)
    for name in MODULES:
        path = guestfiles.MODULES / f"{name}.ko"
        if not path.is_file():
            raise Failure(f"the guest kernel's module {name} is missing: there is no {path}; remove build/guest")
        tree.add_file(f"modules/{name}.ko", path.read_bytes())


def inner_machine(folder, image, arguments):
    """The machine that `./partita run` with these arguments starts on a KVM host."""
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(arguments)
    machine_options.check(options)
    return machine.Machine(image, machine.STOP_OPTION, runner.modules_for(options, folder), 1,
                           options.children * options.memory + machine.ROOT_MEMORY_MIB,
                           accelerator=machine.Accelerator(["-accel", "kvm"], "host,+svm", ""))


def command(folder, image, arguments, cpu, lps):
    """Writes level 1's file system into `folder` and returns the command line of its machine, to be run there."""
    inner = inner_machine(folder, image, arguments)
    # The links that this makes in `folder` are of no use; the files themselves go into level 1 under the same names.
    words = machine.qemu_command(inner, folder, hv_log="/dev/ttyS0")
    script = INIT.replace("@MODULES@", " ".join(MODULES)).replace("@FOLDER@", VM_FOLDER)
    tree = Tree()
    add_base(tree, script.replace("@COMMAND@", shlex.join(words)))
    add_emulator(tree, words[0])
    tree.add_file(f"{VM_FOLDER}/partita.elf", inner.image.read_bytes())
    for module in inner.modules:
        tree.add_file(f"{VM_FOLDER}/{module.name}", module.path.read_bytes())
    (folder / "level1.img").write_bytes(tree.finish())
    outer = machine.software()
    return [machine.emulator(), "-M", "q35", *outer.arguments, *CLOCK, "-cpu", cpu or outer.cpu,
            "-smp", str(lps), "-m", f"{MEMORY_MIB}M", "-display", "none", "-vga", "none", "-nodefaults", "-no-reboot",
            "-serial", f"file:{CONSOLE_LOG}", "-serial", f"file:{FRAMES_LOG}", "-kernel", str(guestfiles.VMLINUX),
            "-initrd", "level1.img", "-append", "console=ttyS0 quiet panic=-1"]


def collect(data):
    """What the root put into frames on its COM1, as (data of child 0, its status or None, errors)."""
    demultiplexer = Demultiplexer()
    pieces = [*demultiplexer.feed(data), *demultiplexer.finish()]
    said = {stream: [payload.decode("utf-8", "replace") for kind, child, payload in pieces
                     if kind == stream and child in (0, None)] for stream in "dxe"}
    status = int(said["x"][0]) if len(said["x"]) == 1 and said["x"][0].isdigit() else None
    return "".join(said["d"]), status, said["e"]
