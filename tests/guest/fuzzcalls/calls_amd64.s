#include "textflag.h"

// func rawCall(number, a, b, c, stack uintptr) uintptr
TEXT ·rawCall(SB), NOSPLIT, $0-48
	MOVQ number+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ stack+32(FP), R8
	MOVQ SP, R12
	MOVQ R8, SP
	SYSCALL
	MOVQ R12, SP
	MOVQ AX, ret+40(FP)
	RET

// func enter(code, flags, value uintptr)
TEXT ·enter(SB), NOSPLIT, $16-24
	MOVQ code+0(FP), AX
	MOVQ flags+8(FP), CX
	MOVQ value+16(FP), BX
	MOVQ BX, DX
	MOVQ BX, SI
	MOVQ BX, DI
	MOVQ BX, R8
	MOVQ BX, R9
	MOVQ BX, R10
	MOVQ BX, R11
	PUSHQ CX
	POPFQ
	JMP AX

// func fork(flags, stack uintptr) uintptr
TEXT ·fork(SB), NOSPLIT, $0-24
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ $0, DX
	MOVQ $0, R10
	MOVQ $0, R8
	MOVQ $56, AX
	SYSCALL
	CMPQ AX, $0
	JEQ child
	MOVQ AX, ret+16(FP)
	RET
child:
	MOVQ $24, AX // sched_yield, for ever: the parent's exit ends it
	SYSCALL
	JMP child

// func watch(w *watchdog, moment *syscall.Timespec)
//
// Starts a thread that lives on these instructions alone: it has no stack and takes no signal.
TEXT ·watch(SB), NOSPLIT, $16-16
	MOVQ w+0(FP), R12
	MOVQ moment+8(FP), R13
	MOVQ $14, AX // rt_sigprocmask(SIG_SETMASK, all, before, 8)
	MOVQ $2, DI
	MOVQ $-1, 0(SP)
	MOVQ SP, SI
	LEAQ 8(SP), DX
	MOVQ $8, R10
	SYSCALL
	MOVQ $56, AX // clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
	MOVQ $0x50f00, DI
	MOVQ $0, SI
	MOVQ $0, DX
	MOVQ $0, R10
	MOVQ $0, R8
	SYSCALL
	CMPQ AX, $0
	JEQ tick
	MOVQ $14, AX // rt_sigprocmask(SIG_SETMASK, before, 0, 8)
	MOVQ $2, DI
	LEAQ 8(SP), SI
	MOVQ $0, DX
	MOVQ $8, R10
	SYSCALL
	RET
tick:
	MOVQ $35, AX // nanosleep(moment, 0)
	MOVQ R13, DI
	MOVQ $0, SI
	SYSCALL
	SUBL $1, 0(R12)
	JGT tick
	MOVQ $231, AX // exit_group(w.status)
	MOVLQSX 4(R12), DI
	SYSCALL
	JMP tick
