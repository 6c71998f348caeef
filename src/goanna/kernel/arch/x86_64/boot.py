"""From the loader's hands to the first metal function: PVH entry in 32-bit mode, long mode, and the start of
further processors.

Assembly, because it runs in three processor modes before a stack exists. The kernel build assembles ASSEMBLY beside the
compiled modules (`goanna.metal.backend.assemble`). It builds the least page tables that metal code can run on: the
first GiB at its own address and in the direct map, and the kernel's image; memory_map.py replaces them by exact
ones.

PVH: the loader finds the entry's physical address in a note of owner Xen, type 18, and enters with paging off, flat
segments, and the physical address of hvm_start_info in EBX (xen/include/public/arch-x86/hvm/start_info.h).
"""

from goanna.metal import Array, extern_static, u64

from .cpu import CR0_VALUE, EFER_VALUE, MSR_EFER, MSR_GS_BASE
from .frame import KERNEL_CODE, KERNEL_DATA
from .layout import DIRECT_MAP, KERNEL_AREA, KERNEL_OFFSET, TRAMPOLINE

__all__ = ["ASSEMBLY", "BOOT_STACK_SIZE", "CR4_BOOT", "IMAGE_TABLES"]

BOOT_STACK_SIZE = 16384
CR4_BOOT = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10  # PAE PGE OSFXSR OSXMMEXCPT
CODE32 = 0x18  # in the boot GDT alone
_IMAGE_PAGES = 8  # 2 MiB pages from physical 0 on that the first tables map at KERNEL_OFFSET: the kernel's image
IMAGE_TABLES = 2  # of 2 MiB each, for the exact map of it
# The first processor's variables are the template itself, seen through the direct map.
_FIRST_BASE = (DIRECT_MAP - KERNEL_OFFSET) % 2**64
_HIGH_BIT = 1 << 31  # of the upper half of an entry: no execution
_PRESENT, _HUGE = 0x63, 0xE3  # present, writable, accessed, dirty; and a large page


def _top(address: int) -> int:
    """The offset in the top table of the entry for an address."""
    return (address >> 39 & 511) * 8


def _low(symbol: str) -> str:
    """The physical address of a symbol of the image, as a 32-bit operand."""
    return f"({symbol} - {KERNEL_OFFSET:#x})"


_ENTER_LONG = f"""
.macro enter_long target
    movl ${CR4_BOOT:#x}, %eax
    movl %eax, %cr4
    movl ${_low("boot_top")}, %eax
    movl %eax, %cr3
    movl ${MSR_EFER:#x}, %ecx
    movl ${EFER_VALUE:#x}, %eax
    xorl %edx, %edx
    wrmsr
    movl ${CR0_VALUE:#x}, %eax
    movl %eax, %cr0
    ljmpl ${KERNEL_CODE}, $\\target
.endm
.macro set_segments
    movl ${KERNEL_DATA}, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
.endm
"""

ASSEMBLY = f"""
{_ENTER_LONG}
.section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad _start

.section .boot, "awx", @progbits
.code32
.globl _start
_start:
    cld
    movl %ebx, %esi
    movl ${_HUGE:#x}, %eax
    movl ${_low("boot_low_directory")}, %edi
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl ${(1 << 30) + _HUGE:#x}, %eax
    jb 1b
    movl ${_HUGE:#x}, %eax
    movl ${_low("boot_image_directory")}, %edi
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl ${_IMAGE_PAGES * 0x200000 + _HUGE:#x}, %eax
    jb 1b
    movl ${_low("boot_low_directory")} + {_PRESENT:#x}, {_low("boot_low_pointers")}
    movl ${_low("boot_image_directory")} + {_PRESENT:#x}, {_low("boot_image_pointers")} + {510 * 8}
    movl ${_low("boot_low_pointers")} + {_PRESENT:#x}, {_low("boot_top")}
    movl ${_low("boot_low_pointers")} + {_PRESENT:#x}, {_low("boot_top")} + {_top(DIRECT_MAP)}
    movl ${_HIGH_BIT:#x}, {_low("boot_top")} + {_top(DIRECT_MAP) + 4}
    movl ${_low("boot_area_pointers")} + {_PRESENT:#x}, {_low("boot_top")} + {_top(KERNEL_AREA)}
    movl ${_HIGH_BIT:#x}, {_low("boot_top")} + {_top(KERNEL_AREA) + 4}
    movl ${_low("boot_image_pointers")} + {_PRESENT:#x}, {_low("boot_top")} + {511 * 8}
    lgdtl boot_descriptors_pointer
    enter_long start64

.globl boot_trampoline, boot_trampoline_end
.code16
boot_trampoline:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl {TRAMPOLINE:#x} + boot_descriptors_pointer - boot_trampoline
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl ${CODE32}, $processor32
boot_descriptors_pointer:
    .word 31
    .long boot_descriptors
boot_trampoline_end:

.code32
processor32:
    movl ${KERNEL_DATA}, %eax
    movl %eax, %ds
    enter_long processor64

.balign 8
boot_descriptors:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff

.code64
start64:
    set_segments
    movabsq $boot_stack_end, %rsp
    # The loader has cleared this, but the firmware of a PC with little memory may have worked here since.
    movabsq $boot_cleared, %rdi
    movabsq $__bss_end, %rcx
    subq %rdi, %rcx
    shrq $3, %rcx
    xorl %eax, %eax
    rep stosq
    movl ${MSR_GS_BASE:#x}, %ecx
    movl ${_FIRST_BASE & 0xFFFFFFFF:#x}, %eax
    movl ${_FIRST_BASE >> 32:#x}, %edx
    wrmsr
    movabsq ${_FIRST_BASE:#x}, %rax
    movabsq $__percpu_base, %rdi
    movq %rax, (%rdi)
    movl %esi, %edi
    xorl %ebp, %ebp
    movabsq $first_boot_start, %rax
    jmp *%rax

processor64:
    set_segments
    movabsq $boot_processor_base, %rdi
    movq (%rdi), %rax
    movq %rax, %rdx
    shrq $32, %rdx
    movl ${MSR_GS_BASE:#x}, %ecx
    wrmsr
    movabsq $boot_processor_stack, %rdi
    movq (%rdi), %rsp
    xorl %ebp, %ebp
    movabsq $first_processor_start, %rax
    jmp *%rax

# From here on at the kernel's own addresses. Nobody called this: a debugger's back trace ends here.
.section .text.first, "ax", @progbits
.cfi_sections .debug_frame
first_boot_start:
    .cfi_startproc
    .cfi_undefined 16
    call boot_start
    ud2
    .cfi_endproc
first_processor_start:
    .cfi_startproc
    .cfi_undefined 16
    call processor_start
    ud2
    .cfi_endproc

.section .bss.boot, "aw", @nobits
.balign 4096
.globl boot_top, boot_low_pointers, boot_low_directory, boot_image_pointers, boot_image_directory, boot_area_pointers
.globl boot_image_table, boot_stack, boot_stack_end, boot_processor_base, boot_processor_stack
boot_top:             .skip 4096
boot_low_pointers:    .skip 4096
boot_low_directory:   .skip 4096
boot_image_pointers:  .skip 4096
boot_image_directory: .skip 4096
boot_image_table:     .skip {IMAGE_TABLES * 4096}
boot_area_pointers:   .skip 4096
boot_stack:           .skip {BOOT_STACK_SIZE}
boot_stack_end:
boot_processor_base:  .quad 0
boot_processor_stack: .quad 0
boot_cleared:
"""

boot_top = extern_static("boot_top", Array[u64, 512])
boot_low_pointers = extern_static("boot_low_pointers", Array[u64, 512])
boot_image_directory = extern_static("boot_image_directory", Array[u64, 512])
boot_image_table = extern_static("boot_image_table", Array[u64, IMAGE_TABLES * 512])
