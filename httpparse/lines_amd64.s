#include "textflag.h"

// MARK looks at the 32 bytes at p. Bit i of name is set where byte i is no tchar:
// a byte 0xRC is one if the rows of column C (Y13) have row R (Y14) among them, and
// VPSHUFB finds no column for bytes above 0x7f. Bit i of value is set where byte i
// may not stand in a value: bytes that are the lesser of themselves and 0x1f (Y11),
// except tab (Y10), and DEL (Y9).
#define MARK(p, name, value) \
	VMOVDQU   p, Y0       \
	VPSRLW    $4, Y0, Y1  \
	VPAND     Y1, Y15, Y1 \
	VPSHUFB   Y1, Y14, Y1 \
	VPSHUFB   Y0, Y13, Y2 \
	VPAND     Y1, Y2, Y1  \
	VPCMPEQB  Y1, Y12, Y1 \
	VPMOVMSKB Y1, name    \
	VPMINUB   Y0, Y11, Y1 \
	VPCMPEQB  Y0, Y1, Y1  \
	VPCMPEQB  Y0, Y10, Y2 \
	VPANDN    Y1, Y2, Y1  \
	VPCMPEQB  Y0, Y9, Y2  \
	VPOR      Y1, Y2, Y1  \
	VPMOVMSKB Y1, value

DATA limits<>+0(SB)/4, $0x7f091f0f
GLOBL limits<>(SB), RODATA|NOPTR, $4

// The marks are made 64 bytes at a time and one word ahead, without waiting for
// where lines and values turn out to end: this is what makes it fast.
#define base   BX  // where the present word begins
#define name   R10 // its marks
#define value  R11
#define name1  R12 // those of the next
#define value1 R13

// ADVANCE makes the next word the present one, and goes to last if there is none
// behind it.
#define ADVANCE(last) \
	MOVQ name1, name                \
	MOVQ value1, value              \
	ADDQ $64, base                  \
	LEAQ 128(base), CX              \
	CMPQ CX, b_cap+16(FP)           \
	JGT  last                       \
	MARK(64(SI)(base*1), R12, R13)  \
	MARK(96(SI)(base*1), CX, DX)    \
	SHLQ $32, CX                    \
	SHLQ $32, DX                    \
	ORQ  CX, name1                  \
	ORQ  DX, value1

// func takeLinesAVX2(b []byte, at int, free []Field) (n, next int)
TEXT ·takeLinesAVX2(SB), NOSPLIT, $0-72
	VBROADCASTI128 ·tokenRows(SB), Y14
	VBROADCASTI128 ·tokenColumns(SB), Y13
	VPXOR Y12, Y12, Y12
	VPBROADCASTB limits<>+0(SB), Y15
	VPBROADCASTB limits<>+1(SB), Y11
	VPBROADCASTB limits<>+2(SB), Y10
	VPBROADCASTB limits<>+3(SB), Y9
	MOVQ b_base+0(FP), SI
	MOVQ free_base+32(FP), DI
	MOVQ free_len+40(FP), R8
	SHLQ $4, R8
	ADDQ DI, R8              // where the free Fields end
	MOVQ at+24(FP), AX       // a line
	LEAQ -128(AX), base

word:
	ADVANCE(last)

line:
	CMPQ   DI, R8
	JEQ    done
	MOVQ   AX, CX
	SUBQ   base, CX
	CMPQ   CX, $64
	JAE    word
	SHRXQ  CX, value, DX
	SHRXQ  CX, name, R9      // and the marks behind them: 64 in all
	NOTQ   CX
	LEAQ   (name1)(name1*1), R15
	SHLXQ  CX, R15, R15
	ORQ    R15, R9
	TZCNTQ R9, R9
	JCS    done              // a name of 64 bytes
	ADDQ   AX, R9            // the colon
	TZCNTQ DX, DX
	JCS    further
	ADDQ   AX, DX            // the end

end:
	LEAQ    2(DX), CX
	CMPQ    CX, b_len+8(FP)  // what was read behind len(b) ends here
	JGT     done
	MOVWLZX (SI)(DX*1), R15
	CMPL    R15, $0x0a0d
	JNE     done
	CMPB    (SI)(R9*1), $':'
	JNE     done
	CMPQ    R9, AX
	JEQ     done
	LEAQ    1(R9), R15
	CMPB    (SI)(R15*1), $' '
	JNE     start
	INCQ    R15

start:
	CMPB (SI)(R15*1), $' '   // a second blank, a tab or no value
	JLS  done
	CMPB -1(SI)(DX*1), $' '  // white space to be cut
	JLS  done
	MOVL AX, (DI)
	MOVL R9, 4(DI)
	MOVL R15, 8(DI)
	MOVL DX, 12(DI)
	ADDQ $16, DI
	MOVQ CX, AX
	JMP  line

further:
	ADVANCE(lastFurther)

search:
	TZCNTQ value, DX
	JCS    further
	ADDQ   base, DX
	JMP    end

// With no word behind the present one name1 is still what name is now. That does
// no harm: a line with no mark in the present word has no end there either.
last:
	LEAQ 64(base), CX
	CMPQ CX, b_cap+16(FP)
	JLE  line
	JMP  done

lastFurther:
	LEAQ 64(base), CX
	CMPQ CX, b_cap+16(FP)
	JLE  search

done:
	VZEROUPPER
	SUBQ free_base+32(FP), DI
	SHRQ $4, DI
	MOVQ DI, n+56(FP)
	MOVQ AX, next+64(FP)
	RET
