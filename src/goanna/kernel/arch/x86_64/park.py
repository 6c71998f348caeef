"""Waiting for another processor without keeping the machine busy.

With interrupts off a processor can only spin, and where there are more virtual processors than real ones, those
that spin keep from running the one they wait for. So a processor that has spun long enough parks: it halts, and a
non-maskable interrupt of the one that makes its wish true wakes it.

    park_begin(); look once more; park(); park_end(); and all over again        (the last two are in tlb.py)

Who changes what others may park for calls `kick` afterwards. Between the look and the halt an NMI may come: it
notes so, and sends a processor that was about to halt back to the test before it.
"""

from goanna.metal import Atomic, extern_static, metal, per_processor, static, u8, u64, unsafe

from .apic import send_kick
from .frame import Frame
from .layout import SIMULATED
from .processor import processor_index
from .trap import answer_kick

__all__ = ["kick", "note_kick", "park_begin", "park_halt", "parked"]

kicked = per_processor(u8)  # an NMI came since park_begin
parked = static(Atomic[u64])  # processors between park_begin and park_end, a bit each
halt_instruction = extern_static("park_halt_instruction", u8)


@metal
def park_begin() -> None:
    """Announce that this processor is going to park. What it waits for must be looked at after this."""
    global kicked
    kicked = 0
    parked.or_(u64(1) << u64(processor_index()))


@metal(naked=True)
def park_halt() -> None:
    """Halt until an NMI comes, or not at all if one has come since park_begin. Wakes for no reason now and then."""
    unsafe.asm(
        """
        cmpb $0, %gs:{kicked}
        jne 1f
        .globl park_halt_instruction
        .hidden park_halt_instruction
    park_halt_instruction:
        hlt
    1:  ret
        """,
        kicked=kicked,
    )


@metal
def note_kick(frame: Frame) -> None:
    """An NMI came: whoever has tested, but not halted yet, tests again."""
    global kicked
    kicked = 1
    if unsafe.address(park_halt) <= frame.rip <= unsafe.address(halt_instruction):
        frame.rip = unsafe.address(park_halt)


answer_kick.set(note_kick)


@metal(inline=False)  # once in the kernel, and not wherever a lock is opened
def kick(targets: u64) -> None:
    """Wake those processors of `targets`, a bit each, that are parked."""
    rest = targets & parked.load()
    index: u64 = 0
    while rest != 0:
        if rest & 1 != 0 and not SIMULATED:
            send_kick(index)
        rest >>= 1
        index += 1
