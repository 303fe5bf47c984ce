# SPDX-License-Identifier: MIT
"""The rules that need no compiler. Each takes a Tree and returns complaints, `path:line: text`; none means clean."""

import re

import coverage
from source import functions

MACHINE = ("hv/boot", "hv/mem", "hv/cpu", "hv/irq", "hv/time", "hv/sched", "hv/sync", "hv/debug")
ROOT_PARTS = tuple(f"partitions/root/{part}" for part in ("worker", "linux", "manager"))
C_FILES = (".c", ".h", ".S")
HEADERS_EVERYWHERE = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "limits.h", "stdatomic.h"}
FREE_TO_INCLUDE = ("tests/", "partitions/root/linux/", "partitions/root/manager/")
LINE_MAX = 120
FILE_MAX = 1200
FUNCTION_MAX = 100
NESTING_MAX = 4

# Whose code may include whose headers (the table in the style rules, section 2). A folder may always include itself.
ALLOWED = {
    "hv/abi": (),
    "hv/lib": ("hv/abi",),
    **{folder: ("hv/abi", "hv/lib", *MACHINE) for folder in MACHINE},
    "hv/partition": ("hv/abi", "hv/lib", *MACHINE),
    "hv/hypercall": ("hv/abi", "hv/lib", *MACHINE, "hv/partition"),
    "hv/exit": ("hv/abi", "hv/lib", *MACHINE, "hv/partition", "hv/hypercall"),
    "hv": ("hv/abi", "hv/lib", *MACHINE, "hv/partition", "hv/hypercall", "hv/exit"),
    "svm": ("hv/abi", "hv/lib", *MACHINE),
    "vmx": ("hv/abi", "hv/lib", *MACHINE),
    "vmbus": ("hv/abi", "hv/lib"),
    **{folder: ("hv/abi", "hv/lib", "vmbus") for folder in ROOT_PARTS},
    # minroot's devices and its kernel need each other.
    "partitions/root/kernel": ("hv/abi", "hv/lib", "vmbus", "partitions/root/device"),
    "partitions/root/device": ("hv/abi", "hv/lib", "vmbus", "partitions/root/kernel"),
    # minroot's tests of itself look at its insides; it knows only how to start them.
    "partitions/root/selftest": ("hv/abi", "hv/lib", "partitions/root/kernel", "partitions/root/device"),
    "partitions/child": ("hv/abi", "hv/lib"),
}
# Single headers beyond whole folders.
ALLOWED_HEADERS = {
    folder: ("hv/exit/exit.h", "hv/partition/backend.h", "hv/partition/vp.h", "hv/partition/gpa_space.h")
    for folder in ("svm", "vmx")
}
ALLOWED_HEADERS["partitions/root/kernel"] = ("partitions/root/selftest/selftest.h",)

BUDGETS = (
    ("hypervisor (hv, vmx, svm without abi and lib)", ("hv", "vmx", "svm"), ("hv/abi", "hv/lib"), 25_000),
    ("hv/lib (the worker's too)", ("hv/lib",), (), 6_000),
    ("vmbus", ("vmbus",), (), 12_000),
    ("worker", ("partitions/root/worker",), (), 15_000),
    ("minroot", ("partitions/root/kernel",), (), 3_000),
    ("minroot's devices", ("partitions/root/device",), (), 2_000),
    ("manager", ("partitions/root/manager",), (), 8_000),
)


def folder_of(path):
    """The folder of the include table that a path belongs to, or None (tests and others: free)."""
    best = [folder for folder in ALLOWED if path.startswith(folder + "/")]
    return max(best, key=len) if best else None


def includes(file):
    """(line, kind, name) of each #include; kind is '"' or '<'."""
    for number, line in enumerate(file.lines, 1):
        found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if found:
            yield number, found.group(1), found.group(2)


def include_table(tree):
    """Includes go only where the table allows."""
    complaints = []
    for file in tree.matching(*C_FILES):
        own = folder_of(file.path)
        for number, kind, name in includes(file):
            where = f"{file.path}:{number}"
            if kind == "<":
                if not file.path.startswith(FREE_TO_INCLUDE):
                    allowed = {"stdint.h", "stddef.h"} if own == "hv/abi" else HEADERS_EVERYWHERE
                    if name not in allowed:
                        complaints.append(f"{where}: <{name}> is not for {own or 'this folder'}")
                continue
            if tree.get(name) is None and not name.startswith("generated/"):
                complaints.append(f"{where}: \"{name}\" is no path from the top of the tree")
                continue
            if own is None:
                continue
            other = folder_of(name)
            if other != own and other not in ALLOWED[own] and name not in ALLOWED_HEADERS.get(own, ()):
                complaints.append(f"{where}: {own} may not include {name}")
    return complaints


def include_cycles(tree):
    """No header includes itself through others."""
    edges = {file.path: [name for _, kind, name in includes(file) if kind == '"'] for file in tree.matching(".h")}
    complaints, done = [], set()
    for root in sorted(edges):
        path, stack = [], [(root, iter(edges[root]))]
        if root in done:
            continue
        path.append(root)
        while stack:
            name, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                stack.pop()
                done.add(path.pop())
            elif target in path:
                complaints.append(f"{name}:1: circle of headers: {' -> '.join(path[path.index(target):] + [target])}")
            elif target in edges and target not in done:
                path.append(target)
                stack.append((target, iter(edges[target])))
    return complaints


def header_guards(tree):
    """Headers are guarded by FOLDER_FILE_H."""
    complaints = []
    for file in tree.matching(".h"):
        parts = file.path.removesuffix(".h").split("/")
        wanted = re.sub(r"\W", "_", "_".join(parts[-2:]).upper()) + "_H"
        guard = re.search(r"^#ifndef (\w+)\n#define (\w+)\b", file.text, re.MULTILINE)
        if guard is None or guard.group(1) != wanted or guard.group(2) != wanted:
            complaints.append(f"{file.path}:1: the guard is not {wanted}")
        elif not file.text.rstrip().endswith(("#endif", "*/")):
            complaints.append(f"{file.path}:{len(file.lines)}: the guard does not close the file")
    return complaints


def licence_line(tree):
    """Each source file begins with its SPDX line."""
    complaints = []
    for file in tree.matching(".c", ".h", ".S", ".ld", ".py", ".cmake", ".sh"):
        if not file.lines:
            continue
        head = file.lines[1] if file.lines[0].startswith("#!") and len(file.lines) > 1 else file.lines[0]
        wanted = ("# SPDX-License-Identifier: MIT" if file.path.endswith((".py", ".cmake", ".sh"))
                  else "/* SPDX-License-Identifier: MIT */")
        if head != wanted:
            complaints.append(f"{file.path}:1: the first line is not {wanted}")
    return complaints


def text_form(tree):
    """Line and file lengths, blanks at line ends, tabs."""
    complaints = []
    for file in tree.matching(".c", ".h", ".S", ".ld", ".py", ".cmake", ".sh", ".cfg"):
        for number, line in enumerate(file.lines, 1):
            if len(line) > LINE_MAX:
                complaints.append(f"{file.path}:{number}: {len(line)} columns, the limit is {LINE_MAX}")
            if line != line.rstrip():
                complaints.append(f"{file.path}:{number}: blanks at the end of the line")
            if "\t" in line:
                complaints.append(f"{file.path}:{number}: a tab")
        if len(file.lines) > FILE_MAX:
            complaints.append(f"{file.path}:{FILE_MAX}: {len(file.lines)} lines, the limit is {FILE_MAX}")
        if file.text and not file.text.endswith("\n"):
            complaints.append(f"{file.path}:{len(file.lines)}: no newline at the end")
    return complaints


def function_size(tree):
    """Functions are short and flat."""
    complaints = []
    for file in tree.matching(".c", ".h"):
        for function in functions(file):
            where = f"{file.path}:{function.first_line}: {function.name}()"
            if function.length > FUNCTION_MAX:
                complaints.append(f"{where} has {function.length} lines, the limit is {FUNCTION_MAX}")
            if function.depth > NESTING_MAX:
                complaints.append(f"{where} nests {function.depth} deep, the limit is {NESTING_MAX}")
    return complaints


def no_conditionals_inside(tree):
    """No #if in function bodies."""
    complaints = []
    for file in tree.matching(".c", ".h"):
        for function in functions(file):
            for number in range(function.first_line, function.last_line + 1):
                if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", file.lines[number - 1]):
                    complaints.append(f"{file.path}:{number}: #if inside {function.name}()")
    return complaints


# Words of identifiers that are a vendor's: its name, its virtualisation, the structures and instructions of that.
VENDOR_NAMES = {"amd", "intel", "hygon", "svm", "vmx", "vmcb", "vmcs", "npt", "ept", "vmexit", "vmcall", "vmmcall"}
# The registers of CPUID leaf 0, as the vendors fill them.
CPUID_VENDORS = {int.from_bytes(name[at:at + 4], "little")
                 for name in (b"GenuineIntel", b"AuthenticAMD", b"HygonGenuine") for at in (0, 4, 8)}
# The numbers of AMD's own MSRs.
MSRS_OF_AMD = range(0xC0010000, 0xC0012000)
# Where the hypervisor's common code, or the root's, asks nobody for a vendor. partitions/child is left out: what runs
# there are test guests, which look at what a vendor's processor shows them.
VENDOR_FREE = ("hv", "vmbus", "partitions/root")
# What every vendor's guests are given: CPUID leaves, MSRs, instructions and the ABI's own vendor field, by the names of
# the hardware.
VENDOR_TABLES = ("hv/abi/", "hv/lib/x86/x86_regs.h", "hv/lib/x86/x86_decode", "hv/lib/x86/x86_tables")
# Features by their names in the ABI, some of which hold a vendor's.
ABI_FEATURE = "HV_PROC_FEATURE_"
VENDOR_USES = {
    # The list, of which one is picked by what each finds itself; its name for the log, and the processor's.
    ("hv/partition/backend_list.c", "svm_backend"), ("hv/partition/backend_list.c", "vmx_backend"),
    ("hv/partition/backend_list.c", "backends"), ("hv/partition/backend_list.h", "backends"),
    ("hv/partition/backend.c", "backends"), ("hv/main.c", "backend->name"), ("hv/cpu/cpu_setup.c", "cpuid(0, 0)"),
    # A property and a register of the ABI.
    ("hv/partition/partition_property.c", "backend->processor_vendor"),
    ("hv/partition/msr.c", "X86_MSR_INTEL_MISC_ENABLE"),
    # A status of NDIS with the number of an MSR.
    ("vmbus/proto/rndis.h", "0xC0010015u"),
}


def vendor_names(code):
    """Identifiers with a vendor's word in them."""
    for match in re.finditer(r"\b[A-Za-z_]\w*", code):
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", match.group(0))
        if VENDOR_NAMES & {word.lower() for word in words} and not match.group(0).startswith(ABI_FEATURE):
            yield match


def vendor_numbers(code):
    """Numbers that are a vendor's name in CPUID, or an MSR of its own."""
    for match in re.finditer(r"\b(0[xX][0-9a-fA-F]+|[1-9][0-9]*)[uUlL]*\b", code):
        value = int(match.group(1), 0)
        if value in CPUID_VENDORS or value in MSRS_OF_AMD:
            yield match


# The backend as a value: compared, or under another name; its identity; the vendor's part of CPUID leaf 0, kept or
# compared; an MSR without a name.
VENDOR_QUESTIONS = (r"(?:[=(,?:]|\breturn|#\s*define\s+\w+)\s*[*&]?\s*backend\b(?!\s*->)",
                    r"(?<!->)\bbackend\s*[!=]=(?!\s*NULL)",
                    r"\bbackends\b", r"\b\w*backend\w*\s*[!=]=\s*&", r"\b(?:backend|candidate)->name\b",
                    r"\b\w+->processor_vendor\b", r"\b\w+->hypercall_(?:op|instruction)\W[^;{]*[!=]=",
                    r"\bcpuid(?:_\w*machine)?\(\s*0(?:x0+)?[uUlL]*\s*(?:,\s*\w+\s*)?\)(?!\s*\.\s*eax\b)",
                    r"\b(?:rdmsr|wrmsr|msr_(?:read|write)_safe)\(\s*\d\w*")
VENDOR_STRINGS = r"""["'](?:Genuine|Authentic|Hygon)\w*|["'](?:Genu|ineI|ntel|Auth|enti|cAMD|Hygo|nGen)["']"""


def vendor_words(tree):
    """Common code knows a vendor only as a constant cpu_backend: neither its names nor a question which one it is. What
    a name in between hides (a macro for an MSR's number, a copy of a register) is for the reviewer."""
    complaints = []
    for file in tree.matching(*C_FILES, below=VENDOR_FREE):
        if file.path.startswith(VENDOR_TABLES):
            continue
        found = [*vendor_names(file.code), *vendor_numbers(file.code), *re.finditer(VENDOR_STRINGS, file.text)]
        found += [match for question in VENDOR_QUESTIONS for match in re.finditer(question, file.code)]
        complaints += [f"{file.path}:{file.line_of(match.start())}: vendor word {match.group(0)} in common code"
                       for match in found if (file.path, match.group(0)) not in VENDOR_USES]
    return complaints


def abi_structs(tree):
    """Structs of the ABI: size asserted, no pointers, no bit-fields, no enum members."""
    complaints = []
    for file in tree.matching(".h", below=("hv/abi", "vmbus/proto")):
        for match in re.finditer(r"^(?:struct|union)(?: PACKED| ALIGNED\(\w+\))? (\w+)\s*\{(.*?)^\}", file.code,
                                 re.MULTILINE | re.DOTALL):
            name, body = match.groups()
            where = f"{file.path}:{file.line_of(match.start())}"
            if not re.search(rf"_Static_assert\(sizeof\((?:struct|union) {name}\)", file.code):
                complaints.append(f"{where}: the size of {name} is not asserted")
            for text, pattern in (("a pointer", r"\*\s*\w+\s*[;\[,]"), ("a bit-field", r"\w\s*:\s*\d+\s*[;,]"),
                                  ("an enum member", r"\benum\s+\w+\s+\w+\s*;")):
                if re.search(pattern, body):
                    complaints.append(f"{where}: {name} has {text}")
    return complaints


def code_lines(file):
    """Lines that hold more than blanks and comments."""
    return sum(bool(line.strip()) for line in file.code.splitlines())


def budgets(tree):
    """Each part keeps within its number of lines of code; the figures are printed, with all lines beside them."""
    complaints = []
    for label, folders, without, limit in BUDGETS:
        files = [file for file in tree.matching(*C_FILES, below=folders)
                 if not file.path.startswith(tuple(folder + "/" for folder in without))]
        lines = sum(code_lines(file) for file in files)
        print(f"  {label}: {lines} of {limit} lines of code ({sum(len(file.lines) for file in files)} with comments)")
        if lines > limit:
            complaints.append(f"{folders[0]}:1: {label} has {lines} lines of code, its budget is {limit}")
    return complaints


def private_paths(tree):
    """No paths of somebody's own machine in the tree."""
    pattern = re.compile(r"(?<![\w.])/(?:work|home|Users)/\w")
    return [f"{file.path}:{number}: a path of one machine"
            for file in tree.files if not file.path.startswith("tests/lint/")
            for number, line in enumerate(file.lines, 1) if pattern.search(line)]


def hypercall_tests(tree):
    """Each hypercall of the table is mentioned by a test."""
    return [f"{coverage.TABLE}:{row.line}: no test mentions {row.name} or {row.handler}"
            for row in coverage.rows(tree) if not row.tests]


def coverage_page(tree):
    """docs/abi-coverage.md is what coverage.py would write."""
    if not coverage.rows(tree):
        return []
    page = tree.get(coverage.PAGE)
    if page is not None and page.text == coverage.render(tree):
        return []
    return [f"{coverage.PAGE}:1: out of date; run tests/lint/coverage.py --write"]


def table_readable(tree):
    """The table exists in the form that coverage.py reads: a table in which no row is found would pass unseen."""
    table = tree.get(coverage.TABLE)
    if table is not None and not coverage.rows(tree):
        return [f"{coverage.TABLE}:1: no rows found in the form that tests/lint/coverage.py reads"]
    return []


RULES = {
    "include-table": include_table,
    "include-cycles": include_cycles,
    "header-guards": header_guards,
    "licence-line": licence_line,
    "text-form": text_form,
    "function-size": function_size,
    "no-if-inside": no_conditionals_inside,
    "vendor-words": vendor_words,
    "abi-structs": abi_structs,
    "budgets": budgets,
    "private-paths": private_paths,
    "table-readable": table_readable,
    "hypercall-tests": hypercall_tests,
    "coverage-page": coverage_page,
}
