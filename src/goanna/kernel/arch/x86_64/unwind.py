"""What a debugger must know to go from the kernel's entries on into the program: where a frame has the registers.

This is DWARF's call frame information (DWARF 5, section 6.4), written out because no directive gives what is needed in
.debug_frame: that the entries are *signal frames*, augmentation "S" (Linux Standard Base 5.0, 10.6.1.1.1). Without it a
debugger takes a program's stack, which lies below the kernel's, for a broken one and stops there. It shows such a frame
as `<signal handler called>`.
"""

from .frame import FRAME_SIZE

__all__ = ["AT_FRAME", "NO_CALLER", "unwound"]

# DWARF's numbers (System V ABI for AMD64, figure 3.36): 7 is rsp, 16 the return address.
_IN_FRAME = (15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5)  # r15 to rdi, as the frame has them
_STACK_POINTER, _RETURN = 7, 16
_DEF_CFA, _UNDEFINED, _ADVANCE, _OFFSET = 0x0C, 0x07, 0x04, 0x80


def _saved(register: int, offset: int) -> str:
    """A register lies `offset` bytes above the start of the frame."""
    return f".byte {_OFFSET | register}\n.uleb128 {(FRAME_SIZE - offset) // 8}\n"


# NO_CALLER: a back trace ends here. AT_FRAME: the stack pointer is at a frame, and who was interrupted is in it.
NO_CALLER = f".byte {_DEF_CFA}, {_STACK_POINTER}, 8\n.byte {_UNDEFINED}, {_RETURN}\n"
AT_FRAME = "".join(
    [
        f".byte {_DEF_CFA}\n.uleb128 {_STACK_POINTER}\n.uleb128 {FRAME_SIZE}\n",
        *(_saved(number, 8 * index) for index, number in enumerate(_IN_FRAME)),
        _saved(_RETURN, 136),
        _saved(_STACK_POINTER, 160),
    ]
)

# The compiler's own description of the function is empty: it ends before the first instruction and goes on after the
# last. Labels from 80 on are taken here.
_BEGIN = ".cfi_endproc\n90:\n"
_COMMON = """99:
.pushsection .debug_frame,"",@progbits
.balign 8
80: .long 82f - 81f
81: .long 0xffffffff
    .byte 1
    .asciz "zS"
    .uleb128 1
    .sleb128 -8
    .byte 16
    .uleb128 0
    .balign 8
82: .long 84f - 83f
83: .long 80b
    .quad 90b, 99b - 90b
    .uleb128 0
"""
_END = """    .balign 8
84:
.popsection
.cfi_startproc
"""


def unwound(*parts: tuple[str, str]) -> str:
    """The assembly of an entry, made of at most nine parts: each is what a debugger must know (NO_CALLER or AT_FRAME)
    while the instructions beside it run."""
    assert len(parts) <= 9
    code = [f"{90 + index}:\n{text}" for index, (_, text) in enumerate(parts) if index]
    rules = [
        f"    .byte {_ADVANCE}\n    .long {90 + index}b - {89 + index}b\n{rule}" if index else rule
        for index, (rule, _) in enumerate(parts)
    ]
    return _BEGIN + parts[0][1] + "".join(code) + _COMMON + "".join(rules) + _END
