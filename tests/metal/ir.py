"""Hand-written LLVM text that the back end's tests compile: a checked table look-up, a per-processor count, a dead
function."""

from goanna.metal.target import Target

BOOT = """
.section .boot,"ax",%progbits
.globl _start
_start: nop
.p2align 3
.quad look
.section .note.Xen,"a",%note
.long 4, 8, 18
.asciz "Xen"
.quad _start
.section .goanna.extable,"a",%progbits
.quad look, _start
"""


def lookup(target: Target) -> str:
    """`look(i)` counts on its processor and gives table[i], check 77 is that i is in range; `dead` is check 78."""
    space = target.per_processor_space
    return f"""
@count = {space}global i64 0, section ".percpu"
@table = constant [4 x i64] [i64 10, i64 20, i64 30, i64 40]
@dirty = global i64 5
@zero = global [512 x i64] zeroinitializer
define i64 @look(i64 %i) #0 {{
  %fits = icmp ult i64 %i, 4
  br i1 %fits, label %good, label %bad
good:
  %base = {target.per_processor_base}
  %place = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %value = load i64, ptr %place
  %old = load i64, ptr {space}@count
  %new = add i64 %old, %base
  store i64 %new, ptr {space}@count
  %more = load volatile i64, ptr @dirty
  store volatile i64 %more, ptr @zero
  ret i64 %value
bad:
{target.failure(77)}
}}
define i64 @dead(i64 %i) #0 {{
  %fits = icmp ult i64 %i, 4
  br i1 %fits, label %good, label %bad
good:
  ret i64 1
bad:
{target.failure(78)}
}}
attributes #0 = {{ {target.attributes} }}
"""
