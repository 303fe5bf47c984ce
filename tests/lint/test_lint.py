# SPDX-License-Identifier: MIT
"""Tests of the lint: for each rule a small tree that is clean, and planted violations that it has to find."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import compilers
import coverage
import lint
import rules
from source import Tree, functions

SPDX = "/* SPDX-License-Identifier: MIT */\n"

CLEAN = {
    "hv/abi/hv_call.h": SPDX + """#ifndef ABI_HV_CALL_H
#define ABI_HV_CALL_H

#include <stdint.h>

#define HvCallOne 0x0001u
#define HvCallTwo 0x0002u

/* A struct of the ABI. */
struct hv_one {
    uint64_t value;
};
_Static_assert(sizeof(struct hv_one) == 8, "size");

#endif
""",
    "hv/abi/hv_hypercall.h": SPDX + """#ifndef ABI_HV_HYPERCALL_H
#define ABI_HV_HYPERCALL_H

#define HvCallOne 0x0001u

#endif
""",
    "hv/mem/mem.h": SPDX + """#ifndef MEM_MEM_H
#define MEM_MEM_H

#include <stdint.h>

#include "hv/abi/hv_call.h"

/* Doubles. */
uint64_t mem_double(uint64_t value);

#endif
""",
    "hv/mem/mem.c": SPDX + """/* Doubles numbers. */
#include "hv/mem/mem.h"

uint64_t mem_double(uint64_t value)
{
    if (value > 1) {
        return value * 2;
    }
    return value;
}
""",
    "hv/hypercall/table.c": SPDX + """/* The table. */
#include "hv/abi/hv_hypercall.h"

static const struct row rows[] = {
    [0] = {.code = HvCallOne, .name = "HvCallOne", .handler = hc_one},
};
""",
    "tests/unit/test_one.c": SPDX + "/* Calls hc_one. */\nint test_one(void)\n{\n    return hc_one();\n}\n",
    "tests/lint/coverage.py": "# SPDX-License-Identifier: MIT\n",
}


def padded(lines, line="    value++;\n"):
    """A function with so many lines between its braces, the braces counted."""
    return SPDX + "/* Pads. */\nvoid pad(int value)\n{\n" + line * (lines - 2) + "}\n"


NESTED = (SPDX + "void deep(int a)\n{\n" + "".join("    " * n + "if (a) {\n" for n in range(1, 6)) +
          "".join("    " * n + "}\n" for n in range(5, 0, -1)) + "}\n")
FLAT = (SPDX + "int flat(int a)\n{\n    switch (a) {\n" +
        "".join(f"    case {n}:\n        return {n + 1};\n" for n in range(90)) + "    }\n    return 0;\n}\n")

# rule -> [(file, new text or (old, new) in the clean text, part of the complaint)]
PLANTED = {
    "include-table": [
        ("hv/mem/mem.c", ('"hv/mem/mem.h"', '"hv/partition/vp.h"'), "no path from the top"),
        ("hv/abi/hv_call.h", ("<stdint.h>", '"hv/mem/mem.h"'), "hv/abi may not include hv/mem/mem.h"),
        ("hv/abi/hv_call.h", ("<stdint.h>", "<stdbool.h>"), "<stdbool.h> is not for hv/abi"),
        ("hv/mem/mem.c", ("#include", "#include <stdio.h>\n#include"), "<stdio.h>"),
        ("partitions/root/kernel/a.c", SPDX + '#include "hv/mem/mem.h"\n', "partitions/root/kernel may not include"),
        ("svm/svm.c", SPDX + '#include "vmx/vmx.h"\n', "no path"),
        ("vmbus/ring.c", SPDX + '#include "hv/mem/mem.h"\n', "vmbus may not include"),
    ],
    "include-cycles": [("hv/abi/hv_call.h", ("<stdint.h>", '"hv/mem/mem.h"'), "circle of headers")],
    "header-guards": [
        ("hv/mem/mem.h", ("#define MEM_MEM_H", "#define MEM_MEM"), "the guard is not MEM_MEM_H"),
        ("hv/mem/mem.h", SPDX + "#pragma once\n", "the guard is not MEM_MEM_H"),
        ("hv/lib/x86/x86_decode.h", SPDX + "#ifndef X\n#define X\n#endif\n", "X86_X86_DECODE_H"),
    ],
    "licence-line": [
        ("hv/mem/mem.c", "/* Doubles. */\n", "SPDX"), ("hv/x.ld", "/* layout */\n", "SPDX"),
        ("tests/a.py", "import os\n", "SPDX"),
    ],
    "text-form": [
        ("hv/mem/mem.c", SPDX + "/* " + "x" * 120 + " */\n", "columns"), ("hv/mem/mem.c", SPDX + "int a; \n", "blanks"),
        ("hv/mem/mem.c", SPDX + "\tint a;\n", "tab"), ("hv/mem/mem.c", SPDX + "\n" * 1200, "1201 lines"),
        ("hv/mem/mem.c", SPDX + "int a;", "no newline"),
    ],
    "function-size": [
        ("hv/mem/mem.c", padded(101), "pad() has 101 lines"), ("hv/mem/mem.c", NESTED, "deep() nests 5 deep"),
    ],
    "no-if-inside": [
        ("hv/mem/mem.c", ("    return value;", "#ifdef X\n    return value;\n#endif\n    return 0;"),
         "#if inside mem_double()"),
    ],
    "vendor-words": [
        ("hv/mem/mem.c", ("value * 2", "value * vmcb_count"), "vmcb_count"),
        ("hv/mem/mem.c", ("value * 2", "vmx_run()"), "vmx_run"),
        ("hv/mem/mem.c", ("value * 2", "cpuid_is_amd() ? 1 : 2"), "cpuid_is_amd"),
        ("hv/mem/mem.c", ("value * 2", "backend == &other"), "backend == &"),
        ("hv/mem/mem.c", ("value * 2", "&vmx_backend != 0"), "vmx_backend"),
        ("hv/mem/mem.c", ("value * 2", "backend->name[0]"), "backend->name"),
        ("hv/mem/mem.c", ("value * 2", "rdmsr(X86_MSR_VMX_BASIC)"), "X86_MSR_VMX_BASIC"),
        ("hv/mem/mem.c", ("value * 2", "VMX_EXIT_CPUID"), "VMX_EXIT_CPUID"),
        ("hv/mem/mem.c", ("value * 2", "VMEXIT_CPUID"), "VMEXIT_CPUID"),
        ("hv/mem/mem.c", ("value * 2", "VMCB_EXIT_CPUID"), "VMCB_EXIT_CPUID"),
        ("hv/mem/mem.c", ("value * 2", "CPUID_FEATURES_ECX_VMX"), "CPUID_FEATURES_ECX_VMX"),
        ("hv/mem/mem.c", ("value * 2", "value == 0x756E6547u"), "0x756E6547u"),
        ("hv/mem/mem.c", ("value * 2", 'memcmp(&value, "Auth", 4)'), '"Auth"'),
        ("hv/mem/mem.c", ("value * 2", "cpuid(0, 0).ebx == 1970169159u"), "1970169159u"),
        ("hv/mem/mem.c", ("value * 2", "cpuid(0, 0).ebx + 1u"), "cpuid(0, 0)"),
        ("hv/mem/mem.c", ("value * 2", "first_of(cpuid_machine(0x0u, 0))"), "cpuid_machine(0x0u, 0)"),
        ("hv/mem/mem.c", ("value * 2", "*(const int *)name == 'Genu'"), "'Genu'"),
        ("hv/mem/mem.c", ("value * 2", "rdmsr(0x480)"), "rdmsr(0x480"),
        ("hv/mem/mem.c", ("value * 2", "msr_read_safe( 58, &value)"), "msr_read_safe( 58"),
        ("hv/mem/mem.c", ("value * 2", "value == 0xC0010015u"), "0xC0010015u"),
        ("hv/mem/mem.c", ("value * 2", "MSR_AMD_SMCA_FIRST"), "MSR_AMD_SMCA_FIRST"),
        ("hv/mem/mem.c", ("value * 2", "AMD_SMCA_FIRST"), "AMD_SMCA_FIRST"),
        ("hv/mem/mem.c", ("value * 2", "rdmsr(X86_MSR_INTEL_FSB_FREQ)"), "X86_MSR_INTEL_FSB_FREQ"),
        ("hv/mem/mem.c", ("value * 2", "runsOnIntel"), "runsOnIntel"),
        ("hv/mem/mem.c", ("value * 2", "X86_OP_VMMCALL"), "X86_OP_VMMCALL"),
        ("hv/mem/mem.c", ("value * 2", "other == backend"), "= backend"),
        ("hv/mem/mem.c", ("value * 2", "backend == other"), "backend =="),
        ("hv/mem/mem.c", ("value * 2", "which(backend)"), "(backend"),
        ("hv/mem/mem.c", ("    if (value", "    const struct cpu_backend *b = backend;\n    if (value"), "= backend"),
        ("hv/mem/mem.c", ("value * 2", "backends[0] == other"), "backends"),
        ("hv/mem/mem.c", ("value * 2", "b->processor_vendor"), "b->processor_vendor"),
        ("hv/mem/mem.c", ("value * 2", "backend->hypercall_instruction[2] == 0xc1"), "hypercall_instruction"),
        ("hv/mem/mem.h", ("#include <stdint.h>", "#define B backend\n#include <stdint.h>"), "#define B backend"),
        ("hv/partition/backend_list.c", SPDX + "#define X vmx_run\n", "vmx_run"),
        ("vmbus/a.c", SPDX + "#define X is_intel()\n", "is_intel"),
        ("partitions/root/kernel/a.c", SPDX + "#define X cpuid_is_amd()\n", "cpuid_is_amd"),
    ],
    "abi-structs": [
        ("hv/abi/hv_call.h", ("_Static_assert(sizeof(struct hv_one) == 8, \"size\");", ""),
         "size of hv_one is not asserted"),
        ("hv/abi/hv_call.h", ("uint64_t value;", "uint64_t *value;"), "a pointer"),
        ("hv/abi/hv_call.h", ("uint64_t value;", "uint64_t value : 3;"), "a bit-field"),
        ("hv/abi/hv_call.h", ("uint64_t value;", "enum x value;"), "an enum member"),
    ],
    "budgets": [("partitions/root/kernel/big.c", "int a;\n" * 3001, "minroot has 3001 lines")],
    "private-paths": [("docs/x.md", "see /home/" + "someone/x\n", "a path of one machine")],
    "table-readable": [("hv/hypercall/table.c", SPDX + "ROW(One)\n", "no rows found")],
    "hypercall-tests": [
        ("tests/unit/test_one.c", SPDX + "/* hc_one HvCallOne only in a comment */\n", "no test mentions HvCallOne"),
        ("hv/hypercall/table.c", (".handler = hc_one},", ".handler = hc_one},\n    [1] = {.code = HvCallTwo},"),
         "no test mentions HvCallTwo"),
    ],
    "coverage-page": [("docs/abi-coverage.md", "# old\n", "out of date")],
    "headers-alone": [
        ("hv/mem/mem.h", ('#include <stdint.h>\n\n#include "hv/abi/hv_call.h"\n', ""), "gcc"),
        ("hv/mem/mem.h", ('#include <stdint.h>\n\n#include "hv/abi/hv_call.h"\n', ""), "clang"),
    ],
    "clang-clean": [("hv/mem/mem.c", ("value > 1", "value = 1"), "clang: hv/mem/mem.c")],
    "formatting": [("hv/mem/mem.c", ("    if (value", "  if (value"), "clang-format")],
}


class LintRules(unittest.TestCase):
    """Runs each rule on the clean tree and on each planted one."""

    def tree(self, folder, changes=()):
        """Writes the clean tree with changes."""
        top = Path(folder)
        for path, text in {**CLEAN, **dict(changes)}.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text, encoding="utf-8")
        (top / ".clang-format").write_text((lint.TOP / ".clang-format").read_text(encoding="utf-8"), encoding="utf-8")
        if "docs/abi-coverage.md" not in dict(changes):
            (top / "docs").mkdir(exist_ok=True)
            (top / "docs/abi-coverage.md").write_text(coverage.render(Tree(top)), encoding="utf-8")
        database = [{"file": str(top / "hv/mem/mem.c"), "directory": str(top),
                     "command": f"gcc -I{top} -Wall -Werror -fno-sanitize-recover=all -o x.o -c hv/mem/mem.c"}]
        (top / "database.json").write_text(json.dumps(database), encoding="utf-8")
        return Tree(top), lint.all_rules(top / "database.json")

    def test_every_rule_has_a_planted_violation(self):
        """A new rule brings its own."""
        self.assertEqual(set(PLANTED), set(lint.all_rules(Path("x"))))

    def test_clean_tree(self):
        """No rule complains about what is right."""
        with tempfile.TemporaryDirectory() as folder:
            tree, table = self.tree(folder)
            for name, rule in table.items():
                self.assertEqual(rule(tree), [], name)

    def test_planted_violations(self):
        """Each violation is found by its rule."""
        for name, plants in PLANTED.items():
            for path, change, wanted in plants:
                text = change if isinstance(change, str) else CLEAN[path].replace(change[0], change[1])
                self.assertNotEqual(text, CLEAN.get(path), f"{name}: nothing planted")
                with self.subTest(rule=name, plant=wanted), tempfile.TemporaryDirectory() as folder:
                    tree, table = self.tree(folder, [(path, text)])
                    complaints = table[name](tree)
                    self.assertTrue(any(wanted in complaint for complaint in complaints), complaints)

    def test_words_that_are_no_vendors(self):
        """A capability, a null pointer, the highest leaf, and words with the same letters are fine."""
        for fine in ("backend->features->has_virtual_eoi", "vp->backend != NULL", "cpuid(0, 0).eax", "except(accepted)",
                     "HV_PROC_FEATURE_INTEL_PREFETCH", "backend->get_paging(vp)", "1970169158u", "rdmsr(X86_MSR_PAT)"):
            text = CLEAN["hv/mem/mem.c"].replace("value * 2", fine)
            with self.subTest(fine), tempfile.TemporaryDirectory() as folder:
                tree, table = self.tree(folder, [("hv/mem/mem.c", text)])
                self.assertEqual(table["vendor-words"](tree), [])

    def test_limits_are_exact(self):
        """What is just within a limit passes; a flat switch does not count."""
        four_deep = NESTED.replace("                    if (a) {\n", "").replace("                    }\n", "")
        for text in (padded(100), four_deep, FLAT):
            with tempfile.TemporaryDirectory() as folder:
                tree, table = self.tree(folder, [("hv/mem/mem.c", text)])
                self.assertEqual(table["function-size"](tree), [])

    def test_budget_counts_code(self):
        """Comments and blank lines are not counted, whatever they contain."""
        text = "/* one\n * two\n */\n\nint a; /* three */\n" * 1000
        with tempfile.TemporaryDirectory() as folder:
            tree, _ = self.tree(folder, [("partitions/root/kernel/big.c", text)])
            self.assertEqual(rules.code_lines(tree.get("partitions/root/kernel/big.c")), 1000)

    def test_function_finder(self):
        """Initialisers, macros, comments and strings do not confuse the count of braces."""
        with tempfile.TemporaryDirectory() as folder:
            tree, _ = self.tree(folder, [("hv/mem/mem.c", SPDX + """
struct s { int a; };
#define M(x) \\
    do { \\
        if (x) {
static const int table[] = { 1, 2 };
/* } */
int one(struct s *list, int (*call)(int))
{
    const char *text = "}";
    struct s value = (struct s){ .a = 1 };
    for (int i = 0; i < 3; i++) {
        value.a += '{';
    }
    return call(value.a) + text[0];
}

int two(void)
{
    return 0;
}
""")])
            found = functions(tree.get("hv/mem/mem.c"))
            self.assertEqual([(function.name, function.depth) for function in found], [("one", 1), ("two", 0)])


if __name__ == "__main__":
    unittest.main()
