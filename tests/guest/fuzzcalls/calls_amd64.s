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
