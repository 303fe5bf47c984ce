# SPDX-License-Identifier: MIT
"""Names of numbers, read from the C headers that define them. Each function returns {value: name}."""

import re

from common import TOP, Failure

EXCEPTION_COUNT = 32
REGISTER_COUNT = 16


def header(path):
    """A header's text without comments."""
    try:
        text = (TOP / path).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def constants(path, prefix, strip=""):
    """The #defines of one prefix whose values are plain numbers; the first of several with one value counts."""
    found = {}
    for name, value in re.findall(rf"^#define ({prefix}\w*) +(0x[0-9A-Fa-f]+|\d+)[uU]? *$", header(path), re.MULTILINE):
        found.setdefault(int(value, 0), name.removeprefix(strip))
    if not found:
        raise Failure(f"{path} defines no number {prefix}...")
    return found


def enumerators(path, enum, strip=""):
    """The enumerators of one enum."""
    body = re.search(rf"\benum {enum} \{{(.*?)\}}", header(path), re.DOTALL)
    if body is None:
        raise Failure(f"{path} has no enum {enum}")
    found, following = {}, 0
    for name, value in re.findall(r"(\w+)(?:\s*=\s*(\w+))?\s*(?:,|$)", body.group(1).strip()):
        following = int(value, 0) if value else following
        found[following] = name.removeprefix(strip)
        following += 1
    return found


def events():
    """Trace events: `exit`, `vp-state` and so on."""
    found = enumerators("hv/debug/trace.h", "trace_event_id", "TRACE_")
    return {value: name.lower().replace("_", "-") for value, name in found.items()
            if name not in ("NONE", "EVENT_COUNT")}


def svm_exits():
    """AMD-V's exit codes by the names of the APM; the header has only the first of a row of alike ones."""
    found = {value: f"VMEXIT_{name}"
             for value, name in enumerators("svm/vmcb.h", "vmcb_exit", "VMCB_EXIT_").items()}
    first = {name: value for value, name in found.items()}
    for number in range(REGISTER_COUNT):
        for register in ("CR", "DR"):
            read = first[f"VMEXIT_{register}0_READ"] + number
            found[read] = f"VMEXIT_{register}{number}_READ"
            found[read + REGISTER_COUNT] = f"VMEXIT_{register}{number}_WRITE"
    for vector in range(EXCEPTION_COUNT):
        found[first["VMEXIT_EXCEPTION_FIRST"] + vector] = f"VMEXIT_EXCP{vector}"
    return found


def vmx_exits():
    """VT-x's basic exit reasons."""
    return enumerators("vmx/vmcs.h", "vmx_exit", "VMX_EXIT_")


def exits(backend):
    """Exit codes of a backend by its name; none for one that has no names."""
    return {"AMD-V": svm_exits, "VT-x": vmx_exits}.get(backend, dict)()


def msrs():
    """MSRs: the processor's and the synthetic ones."""
    return {**constants("hv/lib/x86/x86_regs.h", "X86_MSR_", "X86_"), **constants("hv/abi/hv_msr.h", "HV_X64_MSR_")}


def hypercalls():
    """Call codes."""
    return constants("hv/abi/hv_hypercall.h", "Hv(?:Ext)?Call")


def statuses():
    """Statuses of hypercalls."""
    return constants("hv/abi/hv_status.h", "HV_STATUS_")


def messages():
    """Message types."""
    return constants("hv/abi/hv_message.h", "HvMessageType")
