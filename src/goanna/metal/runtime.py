"""The four memory functions that LLVM calls by name: memcpy, memmove, memset, memcmp, for code that has no C library.

On x86-64 they are assembly, because its string instructions have no other spelling; on the other machines a word loop
in LLVM's own text, marked so that the optimiser doesn't turn the loop into a call of itself. Word access is made only
at addresses that are multiples of 8.
"""

from __future__ import annotations

import os

from .backend import assemble, emit_object
from .target import Target

__all__ = ["runtime_object"]

# From this many bytes on, the start of a string instruction pays off.
_STRING = 256

ASSEMBLY_X86_64 = f"""
.section .text.memcpy,"ax",@progbits
.globl memcpy, memmove
.hidden memcpy, memmove
.type memcpy,@function
.type memmove,@function
.p2align 4
memcpy:
memmove:
    movq %rdi, %rax
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx
    jb 5f
    cmpq $8, %rdx
    jb 3f
    movq -8(%rsi,%rdx), %r8     # the last word is read first and written last: it covers the odd bytes
    leaq -8(%rdi,%rdx), %r9
    movq %rdx, %rcx
    cmpq ${_STRING}, %rdx
    jae 2f
    subq $8, %rcx
    jbe 8f
1:  movq (%rsi), %rdx
    movq %rdx, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    subq $8, %rcx
    ja 1b
8:  movq %r8, (%r9)
    ret
2:  shrq $3, %rcx
    rep movsq
    movq %r8, (%r9)
    ret
3:  testq %rdx, %rdx
    je 4f
    movzbl (%rsi), %ecx
    movb %cl, (%rdi)
    incq %rsi
    incq %rdi
    decq %rdx
    jmp 3b
4:  ret
5:  cmpq $8, %rdx               # the target begins inside the source: from the end on downwards
    jb 7f
6:  movq -8(%rsi,%rdx), %rcx
    movq %rcx, -8(%rdi,%rdx)
    subq $8, %rdx
    cmpq $8, %rdx
    jae 6b
7:  testq %rdx, %rdx
    je 4b
    movzbl -1(%rsi,%rdx), %ecx
    movb %cl, -1(%rdi,%rdx)
    decq %rdx
    jmp 7b
.size memcpy, . - memcpy
.size memmove, . - memmove

.section .text.memset,"ax",@progbits
.globl memset
.hidden memset
.type memset,@function
.p2align 4
memset:
    movq %rdi, %r9
    movzbl %sil, %eax
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rax
    cmpq $8, %rdx
    jb 3f
    leaq -8(%rdi,%rdx), %r8
    movq %rdx, %rcx
    cmpq ${_STRING}, %rdx
    jae 2f
    subq $8, %rcx
    jbe 8f
1:  movq %rax, (%rdi)
    addq $8, %rdi
    subq $8, %rcx
    ja 1b
8:  movq %rax, (%r8)
    movq %r9, %rax
    ret
2:  shrq $3, %rcx
    rep stosq
    movq %rax, (%r8)
    movq %r9, %rax
    ret
3:  testq %rdx, %rdx
    je 4f
    movb %al, (%rdi)
    incq %rdi
    decq %rdx
    jmp 3b
4:  movq %r9, %rax
    ret
.size memset, . - memset

.section .text.memcmp,"ax",@progbits
.globl memcmp
.hidden memcmp
.type memcmp,@function
.p2align 4
memcmp:
    cmpq $8, %rdx
    jb 3f
1:  movq (%rdi), %rax
    movq (%rsi), %rcx
    cmpq %rcx, %rax
    jne 5f
    addq $8, %rdi
    addq $8, %rsi
    subq $8, %rdx
    je 4f
    cmpq $8, %rdx
    jae 1b
    movq -8(%rdi,%rdx), %rax    # the odd bytes, with some that were found equal
    movq -8(%rsi,%rdx), %rcx
    cmpq %rcx, %rax
    jne 5f
4:  xorl %eax, %eax
    ret
3:  cmpq $4, %rdx
    jb 7f
    movl (%rdi), %eax
    movl (%rsi), %ecx
    cmpl %ecx, %eax
    jne 5f
    movl -4(%rdi,%rdx), %eax
    movl -4(%rsi,%rdx), %ecx
    cmpl %ecx, %eax
    je 4b
5:  bswapq %rax
    bswapq %rcx
    cmpq %rcx, %rax
    sbbl %eax, %eax
    orl $1, %eax
    ret
6:  incq %rdi
    incq %rsi
    decq %rdx
7:  testq %rdx, %rdx
    je 4b
    movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    subl %ecx, %eax
    je 6b
    ret
.size memcmp, . - memcmp
"""


def _copy_loop(name: str, width: int, condition: str, following: str) -> str:
    """A loop upwards that copies `width` bytes a turn while `condition` (an IR comparison of %left) holds."""
    return f"""
{name}:
  %{name}.to = phi ptr [ %{name}.to0, %{name}.enter ], [ %{name}.to1, %{name}.body ]
  %{name}.from = phi ptr [ %{name}.from0, %{name}.enter ], [ %{name}.from1, %{name}.body ]
  %{name}.left = phi i64 [ %{name}.left0, %{name}.enter ], [ %{name}.left1, %{name}.body ]
  %{name}.more = icmp {condition.format(left=f"%{name}.left")}
  br i1 %{name}.more, label %{name}.body, label %{following}
{name}.body:
  %{name}.word = load i{8 * width}, ptr %{name}.from, align {width}
  store i{8 * width} %{name}.word, ptr %{name}.to, align {width}
  %{name}.to1 = getelementptr i8, ptr %{name}.to, i64 {width}
  %{name}.from1 = getelementptr i8, ptr %{name}.from, i64 {width}
  %{name}.left1 = sub i64 %{name}.left, {width}
  br label %{name}
"""


def _enter(name: str, to: str, source: str, left: str) -> str:
    """What leads into a loop: its first values."""
    return f"""
{name}.enter:
  %{name}.to0 = getelementptr i8, ptr {to}, i64 0
  %{name}.from0 = getelementptr i8, ptr {source}, i64 0
  %{name}.left0 = add i64 {left}, 0
  br label %{name}
"""


_COMPARE = """
define i32 @memcmp(ptr %a, ptr %b, i64 %n) #0 {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %same ]
  %done = icmp eq i64 %i, %n
  br i1 %done, label %equal, label %look
look:
  %pa = getelementptr i8, ptr %a, i64 %i
  %pb = getelementptr i8, ptr %b, i64 %i
  %x = load i8, ptr %pa
  %y = load i8, ptr %pb
  %next = add i64 %i, 1
  %differs = icmp ne i8 %x, %y
  br i1 %differs, label %decided, label %same
same:
  br label %loop
equal:
  ret i32 0
decided:
  %wx = zext i8 %x to i32
  %wy = zext i8 %y to i32
  %difference = sub i32 %wx, %wy
  ret i32 %difference
}
"""

_SET = """
define ptr @memset(ptr %to, i32 %value, i64 %n) #0 {
entry:
  %byte = trunc i32 %value to i8
  %wide = zext i8 %byte to i64
  %word = mul i64 %wide, 72340172838076673
  %address = ptrtoint ptr %to to i64
  br label %head
head:
  %h = phi i64 [ 0, %entry ], [ %h1, %headbody ]
  %at = add i64 %address, %h
  %odd = and i64 %at, 7
  %unaligned = icmp ne i64 %odd, 0
  %inside = icmp ult i64 %h, %n
  %go = and i1 %unaligned, %inside
  br i1 %go, label %headbody, label %words
headbody:
  %hp = getelementptr i8, ptr %to, i64 %h
  store i8 %byte, ptr %hp
  %h1 = add i64 %h, 1
  br label %head
words:
  %w = phi i64 [ %h, %head ], [ %w1, %wordsbody ]
  %left = sub i64 %n, %w
  %enough = icmp uge i64 %left, 8
  br i1 %enough, label %wordsbody, label %tail
wordsbody:
  %wp = getelementptr i8, ptr %to, i64 %w
  store i64 %word, ptr %wp, align 8
  %w1 = add i64 %w, 8
  br label %words
tail:
  %t = phi i64 [ %w, %words ], [ %t1, %tailbody ]
  %some = icmp ult i64 %t, %n
  br i1 %some, label %tailbody, label %end
tailbody:
  %tp = getelementptr i8, ptr %to, i64 %t
  store i8 %byte, ptr %tp
  %t1 = add i64 %t, 1
  br label %tail
end:
  ret ptr %to
}
"""


def _move() -> str:
    """memmove: upwards in words where both addresses have the same low bits, else in bytes; downwards in bytes."""
    return (
        """
define ptr @memmove(ptr %to, ptr %from, i64 %n) #0 {
entry:
  %ti = ptrtoint ptr %to to i64
  %fi = ptrtoint ptr %from to i64
  %distance = sub i64 %ti, %fi
  %overlaps = icmp ult i64 %distance, %n
  br i1 %overlaps, label %down, label %up
up:
  %low = and i64 %distance, 7
  %together = icmp eq i64 %low, 0
  br i1 %together, label %count, label %odd
odd:
  br label %tail.enter
count:
  %negative = sub i64 0, %ti
  %first = and i64 %negative, 7
  %short = icmp ult i64 %n, %first
  %lead = select i1 %short, i64 %n, i64 %first
  %rest = sub i64 %n, %lead
  br label %head.enter
"""
        + _enter("head", "%to", "%from", "%lead")
        + _copy_loop("head", 1, "ne i64 {left}, 0", "words.enter")
        + _enter("words", "%head.to", "%head.from", "%rest")
        + _copy_loop("words", 8, "uge i64 {left}, 8", "bytes")
        + """
bytes:
  br label %tail.enter
tail.enter:
  %tail.to0 = phi ptr [ %to, %odd ], [ %words.to, %bytes ]
  %tail.from0 = phi ptr [ %from, %odd ], [ %words.from, %bytes ]
  %tail.left0 = phi i64 [ %n, %odd ], [ %words.left, %bytes ]
  br label %tail
"""
        + _copy_loop("tail", 1, "ne i64 {left}, 0", "end")
        + """
down:
  %d = phi i64 [ %n, %entry ], [ %d1, %downbody ]
  %finished = icmp eq i64 %d, 0
  br i1 %finished, label %end, label %downbody
downbody:
  %d1 = sub i64 %d, 1
  %dp = getelementptr i8, ptr %to, i64 %d1
  %sp = getelementptr i8, ptr %from, i64 %d1
  %byte = load i8, ptr %sp
  store i8 %byte, ptr %dp
  br label %down
end:
  ret ptr %to
}
@memcpy = hidden alias ptr (ptr, ptr, i64), ptr @memmove
"""
    )


def memory_ir(target: Target) -> str:
    """The IR of the four functions, without target lines."""
    return _move() + _SET + _COMPARE + f'attributes #0 = {{ {target.attributes} "no-builtins" }}\n'


def runtime_object(target: Target, out_path: str | os.PathLike[str]) -> None:
    """Make the object file that every kernel is linked with."""
    if target.name == "x86_64":
        assemble(ASSEMBLY_X86_64, target, out_path)
    else:
        emit_object(memory_ir(target), target, out_path)
