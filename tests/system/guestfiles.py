# SPDX-License-Identifier: MIT
"""The default guest: Debian's stock kernel, as bzImage and as vmlinux, and a BusyBox to build its initramfs from."""

import json
import shutil
import subprocess
from pathlib import Path

import bzimage
import initramfs
from common import GUEST, Failure, build_lock, say, write_if_changed
from packages import fetch

KERNEL = GUEST / "vmlinuz"
VMLINUX = GUEST / "vmlinux"
BUSYBOX = GUEST / "busybox"
E2FSCK = GUEST / "e2fsck"
INITRD = GUEST / "initrd.img"
DEVICES_INITRD = GUEST / "initrd-devices.img"
STAMP = GUEST / "versions.json"
MODULES = GUEST / "modules"
# The daemons and what they are linked with, as the guest has them.
DAEMON_FILES = {"hyperv-daemons": ("sbin/hv_kvp_daemon", "sbin/hv_vss_daemon"),
                "libc6": ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6")}
VMBUS_INITRD = GUEST / "initrd-vmbus.img"
# What the default guest loads, in this order, when it finds a VMBus, and behind that with a disk or a network: only
# then they are in its initramfs, since they would take as long to unpack as all the rest. And what tests that nest
# hypervisors load in an outer Linux. The rest of the package is not kept.
VMBUS_MODULES = ("hv_vmbus", "hv_utils")
DEVICE_MODULES = ("scsi_common", "scsi_mod", "crct10dif_common", "crc-t10dif", "crc64", "crc64-rocksoft", "t10-pi",
                  "sd_mod", "scsi_transport_fc", "hv_storvsc", "crc16", "crc32c_generic", "mbcache", "jbd2", "ext4",
                  "hv_netvsc")
MORE_VMBUS_MODULES = ("hyperv-keyboard", "hid", "hid-generic", "hid-hyperv", "evdev", "drm", "drm_kms_helper",
                      "drm_shmem_helper", "hyperv_drm")
MODULE_NAMES = (*VMBUS_MODULES, *DEVICE_MODULES, *MORE_VMBUS_MODULES, "irqbypass", "ccp", "kvm", "kvm-amd",
                "kvm-intel", "netfs", "fscache", "9pnet", "9p", "9pnet_virtio", "virtio", "virtio_ring", "virtio_pci",
                "virtio_pci_modern_dev", "virtio_pci_legacy_dev")


def unpack(name, metapackage=False):
    """Downloads and unpacks a package under build/guest; returns (package name, folder)."""
    package, archive = fetch(name, GUEST / "download", metapackage)
    folder = GUEST / "unpacked" / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"cannot unpack {archive.name}: {done.stderr.strip()}")
    archive.unlink()
    return package, folder


def fetch_kernel():
    """Puts vmlinuz and vmlinux into build/guest; returns the package they come from."""
    say("fetching Debian's kernel package")
    package, folder = unpack("linux-image-amd64", metapackage=True)
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if not images:
        raise Failure(f"{package} holds no boot/vmlinuz-*")
    image = images[-1].read_bytes()
    VMLINUX.write_bytes(bzimage.compact(bzimage.extract_vmlinux(image)))
    KERNEL.write_bytes(image)
    shutil.rmtree(MODULES, ignore_errors=True)
    MODULES.mkdir()
    for path in folder.rglob("*.ko"):
        if path.stem in MODULE_NAMES:
            shutil.copyfile(path, MODULES / path.name)
    shutil.rmtree(folder)
    return package


def fetch_busybox():
    """Puts the static busybox into build/guest; returns the package it comes from."""
    say("fetching BusyBox")
    package, folder = unpack("busybox-static")
    for place in ("bin/busybox", "usr/bin/busybox"):
        if (folder / place).is_file():
            shutil.copyfile(folder / place, BUSYBOX)
            BUSYBOX.chmod(0o755)
            shutil.rmtree(folder)
            return package
    raise Failure(f"{package} holds no bin/busybox")


def e2fsck():
    """A static e2fsck, which tests run in a guest; fetched when the first of them wants it."""
    if not E2FSCK.is_file():
        package, folder = unpack("e2fsck-static")
        found = next(folder.rglob("e2fsck.static"), None)
        if found is None:
            raise Failure(f"{package} holds no e2fsck.static")
        shutil.copy(found, E2FSCK)
        shutil.rmtree(folder)
    return E2FSCK


def vmbus_initrd():
    """The default initramfs with Debian's hyperv-daemons, which answer for hv_utils, and with drivers that it does not
    load; made when a test wants it."""
    with build_lock():
        if not VMBUS_INITRD.is_file() or VMBUS_INITRD.stat().st_mtime < INITRD.stat().st_mtime:
            archive = initramfs.Archive()
            for name in MORE_VMBUS_MODULES:
                archive.add_file(f"lib/modules/{name}.ko", MODULES / f"{name}.ko")
            for package, names in DAEMON_FILES.items():
                _, folder = unpack(package)
                for name in names:
                    found = (path for path in folder.rglob(Path(name).name) if not path.is_symlink())
                    archive.add_file(name, next(found))
                shutil.rmtree(folder)
            write_if_changed(VMBUS_INITRD, initramfs.joined(INITRD.read_bytes(), archive.finish()))
    return VMBUS_INITRD


def ensure():
    """Fetches what is not there yet and brings the initramfs up to date."""
    GUEST.mkdir(parents=True, exist_ok=True)
    try:
        versions = json.loads(STAMP.read_text(encoding="ascii"))
    except (OSError, ValueError):
        versions = {}
    has_kernel = KERNEL.is_file() and VMLINUX.is_file() and MODULES.is_dir()
    if "kernel" not in versions or not has_kernel or versions.get("modules") != list(MODULE_NAMES):
        versions["kernel"] = fetch_kernel()
        versions["modules"] = list(MODULE_NAMES)
    if "busybox" not in versions or not BUSYBOX.is_file():
        versions["busybox"] = fetch_busybox()
    text = json.dumps(versions, sort_keys=True)
    if not STAMP.is_file() or STAMP.read_text(encoding="ascii") != text:
        STAMP.write_text(text, encoding="ascii")
    first, more = ([MODULES / f"{name}.ko" for name in names] for names in (VMBUS_MODULES, DEVICE_MODULES))
    initramfs.ensure(INITRD, (BUSYBOX, *first), lambda: initramfs.build(BUSYBOX, first))
    initramfs.ensure(DEVICES_INITRD, more, lambda: initramfs.build_more(first, more))


def kernel_release():
    """The release string of the kernel in build/guest, as `uname -r` prints it."""
    return json.loads(STAMP.read_text(encoding="ascii"))["kernel"].removeprefix("linux-image-")
