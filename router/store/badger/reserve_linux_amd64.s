#include "textflag.h"

// func reserveHandlerAddress() uintptr
TEXT ·reserveHandlerAddress(SB), NOSPLIT, $0-8
	LEAQ ·reserveHandler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// reserveHandler is called by the kernel for SIGBUS, as C would be: DI is the
// signal, SI its information, DX the context. It makes the reserve a MiB shorter
// and returns, and the write is tried again. When nothing is left, Go's handler
// has the signal.
TEXT ·reserveHandler(SB), NOSPLIT|NOFRAME, $0
	MOVQ $-1048576, AX
	LOCK
	XADDQ AX, ·reserveLeft(SB)
	SUBQ $1048576, AX
	JLT  none
	MOVLQSX ·reserveFile(SB), DI
	MOVQ AX, SI
	MOVL $77, AX // ftruncate
	SYSCALL
	RET

none:
	MOVQ ·reserveBefore(SB), AX
	JMP  AX
