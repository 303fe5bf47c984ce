# SPDX-License-Identifier: MIT
"""The hypervisor nested in KVM: a machine whose CPU is emulated, QEMU's with AMD-V or Bochs' with VT-x, runs Debian's
kernel with kvm_amd or kvm_intel (level 1), which runs this host's QEMU with KVM (level 2), which boots the hypervisor
exactly as `./partita run` does on a KVM host. This file makes level 1's files and command line and takes apart what
comes back; judging it is the caller's job."""

import re
import shlex
import stat
import subprocess
from pathlib import Path

import building
import bzimage
import guestfiles
import initramfs
import iso
import machine
import options as machine_options
import runner
from common import Failure
from frames import Demultiplexer

MEMORY_MIB = 2048
# In the order in which they need each other.
MODULES = {"svm": ("irqbypass", "ccp", "kvm", "kvm-amd"), "vmx": ("irqbypass", "kvm", "kvm-intel")}
# The parameter that says whether KVM uses second-level page tables.
PAGING = {"svm": "npt", "vmx": "ept"}
# QEMU's own files: firmware and the code that starts a kernel by its different entries.
DATA_FOLDERS = (Path("/usr/share/qemu"), Path("/usr/share/seabios"))
DATA_FILES = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin", "pvh.bin")
VM_FOLDER = "vm"
# The self-tests of its ciphers would take Bochs half a minute.
COMMAND_LINE = "console=ttyS0 quiet mitigations=off cryptomgr.notests panic=-1"
CONSOLE_LOG = "level1.log"
FRAMES_LOG = "frames.log"
# What is of no use when the machine has stopped.
LARGE_FILES = ("*.img", "*.bzimage", "*.iso")

# The serial ports: ttyS0 is level 1's console and takes the hypervisor's log too, ttyS1 takes its COM1 as it is.
# KVM counts nested entries for as long as the VM exists, and that is for as long as somebody has the count open. The
# two trace events say which rule an entry broke that KVM refused, and that the processor refused one; they cost
# nothing while none is refused.
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
parameters=/sys/module/@KVM@/parameters
echo "nested: level 1 is up after $(now) s, @KVM@ nested=$(cat $parameters/nested) @PAGING@=$(cat $parameters/@PAGING@)"
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
for attempt in $(seq 200); do
    count=$(echo /sys/kernel/debug/kvm/*-*/nested_run)
    [ -e "$count" ] && exec 3<"$count" && break
    sleep 0.1
done
wait $emulator
echo "nested: level 2 ended with $? after $(now) s"
echo "nested: $(cat <&3) nested entries counted by KVM"
grep -v '^#' $trace/trace | head -n 20 | sed 's/^ */nested: refused: /'
# Waits until the port has sent everything, which switching off does not.
stty -F /dev/ttyS0 sane
busybox poweroff -f
"""


def counted_clock(seed=1):
    """QEMU's arguments for level 1's clocks, which count instructions, a nanosecond each, and jump over idle time. By
    the clock on the wall, a busy host makes it so slow that the innermost guest does nothing but take timer
    interrupts. Its time of day is the same each time, and so are its random numbers for a seed: where its Linux puts
    things depends on them, and so does how it finds them."""
    return ["-icount", "shift=0,sleep=off", "-seed", str(seed), "-rtc", "base=2026-01-01,clock=vm"]


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


def add_base(tree, script, modules):
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
    for name in modules:
        path = guestfiles.MODULES / f"{name}.ko"
        if not path.is_file():
            raise Failure(f"the guest kernel's module {name} is missing: there is no {path}; remove build/guest")
        tree.add_file(f"modules/{name}.ko", path.read_bytes())


def inner_machine(folder, image, arguments, backend):
    """The machine that `./partita run` with these arguments starts on a KVM host."""
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(arguments)
    machine_options.check(options)
    accelerator = machine.Accelerator(["-accel", "kvm"], f"host,+{machine.VENDORS[backend].flag}", "")
    return machine.Machine(image, machine.STOP_OPTION, runner.modules_for(options, folder), 1,
                           machine_options.machine_memory_mib(options), accelerator=accelerator)


def make_tree(folder, inner, backend):
    """Level 1's file system, with the inner machine in it."""
    # The links that this makes in `folder` are of no use; the files themselves go into level 1 under the same names.
    words = machine.qemu_command(inner, folder, hv_log="/dev/ttyS0")
    texts = {"@MODULES@": " ".join(MODULES[backend]), "@FOLDER@": VM_FOLDER, "@COMMAND@": shlex.join(words),
             "@KVM@": machine.VENDORS[backend].module, "@PAGING@": PAGING[backend]}
    script = INIT
    for name, text in texts.items():
        script = script.replace(name, text)
    tree = Tree()
    add_base(tree, script, MODULES[backend])
    add_emulator(tree, words[0])
    tree.add_file(f"{VM_FOLDER}/partita.elf", inner.image.read_bytes())
    for module in inner.modules:
        tree.add_file(f"{VM_FOLDER}/{module.name}", module.path.read_bytes())
    return tree.finish()


def command(folder, image, arguments, backend, cpu, lps, seed=1):
    """Writes level 1's files into `folder` and returns the command line of its machine, to be run there; in QEMU, with
    random numbers from this seed."""
    (folder / "level1.img").write_bytes(make_tree(folder, inner_machine(folder, image, arguments, backend), backend))
    return start_command(folder, backend, cpu, lps, counted_clock(seed))


def start_command(folder, backend, cpu, lps, clock=None, words=COMMAND_LINE):
    """The command line of level 1's machine with the initramfs level1.img in its folder, to be run there; of one in
    QEMU, `clock` are QEMU's arguments for its clock (default: counted_clock()) and `words` the kernel's."""
    if backend == "vmx":
        return bochs_command(folder, cpu, lps)
    outer = machine.software()
    return [machine.emulator(), "-M", "q35", *outer.arguments, *(clock or counted_clock()), "-cpu", cpu or outer.cpu,
            "-smp", str(lps), "-m", f"{MEMORY_MIB}M", "-display", "none", "-vga", "none", "-nodefaults", "-no-reboot",
            "-serial", f"file:{CONSOLE_LOG}", "-serial", f"file:{FRAMES_LOG}", "-kernel", str(guestfiles.VMLINUX),
            "-initrd", "level1.img", "-append", words]


def bochs_command(folder, cpu, lps):
    """The same in Bochs, which boots from a disk with GRUB."""
    kernel = bzimage.uncompressed(guestfiles.KERNEL.read_bytes(), guestfiles.VMLINUX.read_bytes(),
                                  building.LINUX_ENTRY.read_bytes())
    (folder / "level1.bzimage").write_bytes(kernel)
    iso.write(folder / "level1.iso", iso.linux_configuration(COMMAND_LINE),
              {"kernel": folder / "level1.bzimage", "initrd": folder / "level1.img"})
    box = machine.Machine(None, cpu=cpu, lps=lps, memory_mib=MEMORY_MIB, accelerator=machine.bochs())
    return machine.bochs_command(box, folder, "level1.iso", f"mode=file, dev={CONSOLE_LOG}", FRAMES_LOG)


def collect(data):
    """What the root put into frames on its COM1, as (data of child 0, its status or None, errors)."""
    demultiplexer = Demultiplexer()
    pieces = [*demultiplexer.feed(data), *demultiplexer.finish()]
    said = {stream: [payload.decode("utf-8", "replace") for kind, child, payload in pieces
                     if kind == stream and child in (0, None)] for stream in "dxe"}
    status = int(said["x"][0]) if len(said["x"]) == 1 and said["x"][0].isdigit() else None
    return "".join(said["d"]), status, said["e"]
