# SPDX-License-Identifier: MIT
"""Boot ISOs for BIOS and UEFI: GRUB with the hypervisor by Multiboot2 and its modules, or with a Linux."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import Failure

GRUB_PLATFORMS = ("/usr/lib/grub/i386-pc", "/usr/lib/grub/x86_64-efi")
ENTRY_BEGIN = ("set timeout=0", "set default=0", "", "menuentry 'Partita' {")
ENTRY_END = ("    boot", "}", "")
NOT_PASSED_ON = set("'\\")


def grub_words(text):
    """A command line as words for GRUB's script language. A word with blanks in double quotes is given to GRUB as one
    word, and GRUB passes it on in double quotes. It puts a backslash before other quotes and before backslashes, so
    texts with these cannot be given unchanged and are refused."""
    if NOT_PASSED_ON & set(text):
        raise Failure("single quotes and backslashes in a command line cannot be passed on by GRUB; "
                      "boot without the ISO")
    words, is_quoted = [""], False
    for character in text:
        if character == '"':
            is_quoted = not is_quoted
        elif character == " " and not is_quoted:
            words.append("")
        else:
            words[-1] += character
    return " ".join(f"'{word}'" for word in words if word)


def grub_configuration(command_line, modules):
    """grub.cfg. By Multiboot2 the words arrive without the file's name, which QEMU's own loader puts in front. GRUB
    would unpack a compressed initrd, and lose the archive appended to it."""
    lines = [f"    multiboot2 /boot/partita.elf {grub_words(command_line)}".rstrip()]
    lines += [f"    module2 --nounzip /boot/{module.name} {grub_words(module.words)}" for module in modules]
    return "\n".join([*ENTRY_BEGIN, *lines, *ENTRY_END])


def linux_configuration(command_line):
    """grub.cfg for a Linux with an initrd, as level 1 of a nested test."""
    lines = [f"    linux /boot/kernel {grub_words(command_line)}", "    initrd /boot/initrd"]
    return "\n".join([*ENTRY_BEGIN, *lines, *ENTRY_END])


def multiboot1_configuration(modules):
    """grub.cfg for a Multiboot1 image, under the same name."""
    lines = ["    multiboot /boot/partita.elf"]
    lines += [f"    module --nounzip /boot/{module.name} {grub_words(module.words)}" for module in modules]
    return "\n".join([*ENTRY_BEGIN, *lines, *ENTRY_END])


def make(target, image, command_line, modules):
    """Writes the hypervisor's ISO."""
    files = {"partita.elf": image, **{module.name: module.path for module in modules}}
    write(target, grub_configuration(command_line, modules), files)


def write(target, configuration, files):
    """Writes an ISO with GRUB and these files, by their names below /boot."""
    program = shutil.which("grub-mkrescue")
    if program is None:
        raise Failure("grub-mkrescue is missing (package grub-common)")
    for folder in GRUB_PLATFORMS:
        if not Path(folder).is_dir():
            raise Failure(f"GRUB's files are missing: {folder}")
    with tempfile.TemporaryDirectory(prefix="partita-iso-") as scratch:
        boot = Path(scratch) / "boot"
        (boot / "grub").mkdir(parents=True)
        (boot / "grub" / "grub.cfg").write_text(configuration, encoding="ascii")
        for name, path in files.items():
            shutil.copyfile(path, boot / name)
        # The target may lie in a folder that does not exist yet, and must not be left half-written.
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        done = subprocess.run([program, "-o", str(part), "--themes=", "--locales=", "--fonts=", scratch],
                              capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0 or not part.is_file():
            reason = [line for line in done.stderr.splitlines() if re.search("error|FAILURE|cannot", line)]
            raise Failure(f"grub-mkrescue failed: {(reason or done.stderr.splitlines() or ['no output'])[0]}")
        part.replace(target)
