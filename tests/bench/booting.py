# SPDX-License-Identifier: MIT
"""./partita bench --boot: what it costs to boot Debian's kernel to a shell that runs one command, and to power off, in
instructions of the whole machine: without a hypervisor, and as a guest of this one, of KVM and of Xen."""

import shlex

import building
import columns
import counting
import guestfiles
import initramfs
import machine
import nested
import options as machine_options
import runner
from columns import Missing

MEMORY_MIB = 256
COMMAND = "true"
COMMAND_LINE = "console=ttyS0"
# Xen keeps the serial port for itself, and takes RDTSCP for RDTSC where the processor does not say how long it is.
XEN_COMMAND_LINE = "console=hvc0"
XEN_CPU = f"{columns.XEN_CPU},-rdtscp"
UP = "partita-guest: up"
CONSOLE = "console.log"
# Not the name under which the machine of ours gets it.
INITRD = "with-command.img"
SECONDS = 900


def counted(command, folder, console):
    """Runs a machine in which the guest must come up and end; all that it has executed."""
    text = columns.run_machine([*command, *counting.plugin(folder)], folder, SECONDS, console)
    if UP not in text:
        raise Missing(f"the guest did not come up; logs: {folder}")
    return counting.instructions(folder)


def bare_machine(accelerator, console):
    """The command line of a plain machine that starts the guest's kernel."""
    return [machine.emulator(), "-M", "q35", *accelerator, "-smp", "1", "-m", f"{MEMORY_MIB}M", "-display", "none",
            "-vga", "none", "-nodefaults", "-no-reboot", "-serial", console, "-serial", "null", "-kernel", "vmlinux",
            "-initrd", INITRD, "-append", COMMAND_LINE]


def guest(folder):
    """The guest's files in the folder; its initramfs."""
    guestfiles.ensure()
    machine.link(guestfiles.VMLINUX, folder / "vmlinux")
    data = initramfs.with_command(guestfiles.INITRD.read_bytes(), COMMAND)
    (folder / INITRD).write_bytes(data)
    return data


def direct(folder):
    """No hypervisor."""
    guest(folder)
    emulated = columns.counted("svm")
    return counted(bare_machine([*emulated.arguments, "-cpu", emulated.cpu], f"file:{CONSOLE}"), folder, CONSOLE)


def ours(folder):
    """As `./partita run` starts it, from the first instruction of the machine on."""
    guest(folder)
    parser = machine_options.Parser(prog="partita run")
    machine_options.add_machine_options(parser)
    options = parser.parse_args(["--frames", "--vps", "1", "--memory", f"{MEMORY_MIB}M", "--kernel",
                                 str(guestfiles.VMLINUX), "--initrd", str(folder / INITRD), "--append", COMMAND_LINE])
    machine_options.check(options)
    box = machine.Machine(building.IMAGE, f"{machine.STOP_OPTION} trace=0", runner.modules_for(options, folder), 1,
                          machine_options.machine_memory_mib(options), accelerator=columns.counted("svm"))
    box.accelerator.arguments += counting.plugin(folder)
    if UP not in columns.boot(box, folder, None, SECONDS):
        raise Missing(f"the guest did not come up; logs: {folder}")
    return counting.instructions(folder)


def level_1(folder, command, initrd):
    """The command line of a Linux with KVM that executes this command and ends."""
    tree = columns.kvm_tree("svm", f"cd /vm\n{command}")
    nested.add_emulator(tree, machine.emulator())
    tree.add_file("vm/vmlinux", guestfiles.VMLINUX.read_bytes())
    tree.add_file(f"vm/{INITRD}", initrd)
    (folder / "level1.img").write_bytes(tree.finish())
    return nested.start_command(folder, "svm", "", 1)


def kvm(folder):
    """QEMU with KVM in Debian's kernel, from the start of QEMU on: without what that Linux executes when it has no
    guest."""
    initrd = guest(folder)
    inner = [*bare_machine(["-accel", "kvm", "-cpu", "host"], "file:/dev/ttyS0")]
    command = f"{shlex.join(inner)} </dev/null"
    whole = counted(level_1(folder, command, initrd), folder, nested.CONSOLE_LOG)
    command = f"echo {shlex.quote(UP)}"
    return whole - counted(level_1(folder, command, initrd), folder, nested.CONSOLE_LOG)


def xen(folder):
    """The guest is Xen's PVH control domain, from the first instruction of the machine on."""
    guest(folder)
    command = columns.xen_command(folder, XEN_CPU, MEMORY_MIB, f"vmlinux {XEN_COMMAND_LINE},{INITRD}")
    return counted(command, folder, columns.XEN_LOG)


COLUMNS = {"direct": direct, "ours": ours, "kvm": kvm, "xen": xen}


def measure(column, cpu, folder):
    """The instructions of one column."""
    if cpu == "vmx":
        raise Missing("measured on AMD-V only, since Bochs has no plugins")
    return COLUMNS[column](folder)


def table(found):
    """The figures as text."""
    lines = [f"{'boot to a shell and off':<24}{'million instructions':>22}{'ratio':>8}"]
    for name, value in found.items():
        if isinstance(value, str):
            lines.append(f"{name}: {value}")
        else:
            base = found["direct"]
            ratio = "-" if isinstance(base, str) else f"{value / base:.2f}"
            lines.append(f"{name:<24}{value / 10 ** 6:>22,.0f}{ratio:>8}".replace(",", " "))
    return "\n".join(lines)
