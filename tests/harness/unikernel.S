/*
 * A kernel that is no Linux: it prints its command line on the first serial port, and ends the machine, by the port of
 * isa-debug-exit with the status 3, and where there is none by the power management of a PC.
 */
	.code32
	.section .multiboot, "a"
	.align 4
	.long 0x1BADB002
	.long 0
	.long -0x1BADB002

	.text
	.globl _start
_start:
	cli
	mov $stack_end, %esp
	/* The Multiboot Specification, 3.3: the command line's address. */
	mov 16(%ebx), %esi
next:
	lodsb
	test %al, %al
	jz end
	call put
	jmp next
end:
	mov $'\n', %al
	call put
	mov $0x501, %dx
	mov $3, %ax
	outw %ax, %dx
	mov $0x604, %dx
	mov $0x2000, %ax
	outw %ax, %dx
halt:
	hlt
	jmp halt

put:
	mov %al, %cl
	mov $0x3fd, %dx
wait:
	inb %dx, %al
	test $0x20, %al
	jz wait
	mov $0x3f8, %dx
	mov %cl, %al
	outb %al, %dx
	ret

	.bss
	.align 16
	.skip 4096
stack_end:
	.section .note.GNU-stack, "", @progbits
