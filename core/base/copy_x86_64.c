/* copy_x86_64.c - memcpy of the static build, in the place of musl's.
 *
 * musl copies with rep movsq, which takes longer to begin than most copies here take as a whole
 * (texts of JSON: 5 to 50 bytes). All of a short text is loaded before any of it is stored; longer
 * ones go forwards, their last bytes loaded first: so it may also copy to a lower address that
 * overlaps, as memmove (which goes on in __memcpy_fwd) needs. */
_Static_assert(sizeof(void *) == 8, "x86-64 only");

/* clang-format off */
__asm__(
    "    .text\n"
    "    .globl memcpy\n"
    "    .globl __memcpy_fwd\n"
    "    .hidden __memcpy_fwd\n"
    "    .type memcpy, @function\n"
    "    .type __memcpy_fwd, @function\n"
    "    .p2align 5\n"
    "memcpy:\n"
    "__memcpy_fwd:\n"
    "    movq %rdi, %rax\n"
    "    cmpq $16, %rdx\n"
    "    jae 3f\n"
    "    cmpl $8, %edx\n"
    "    jae 2f\n"
    "    cmpl $4, %edx\n"
    "    jae 1f\n"
    "    testl %edx, %edx\n"
    "    jz 0f\n"
    "    movzbl (%rsi), %ecx\n"                 /* 1 to 3: first, middle, last */
    "    movzbl -1(%rsi,%rdx), %r8d\n"
    "    movq %rdx, %r10\n"
    "    shrq $1, %r10\n"
    "    movzbl (%rsi,%r10), %r9d\n"
    "    movb %cl, (%rdi)\n"
    "    movb %r9b, (%rdi,%r10)\n"
    "    movb %r8b, -1(%rdi,%rdx)\n"
    "0:  ret\n"
    "1:  movl (%rsi), %ecx\n"                   /* 4 to 7 */
    "    movl -4(%rsi,%rdx), %r8d\n"
    "    movl %ecx, (%rdi)\n"
    "    movl %r8d, -4(%rdi,%rdx)\n"
    "    ret\n"
    "2:  movq (%rsi), %rcx\n"                   /* 8 to 15 */
    "    movq -8(%rsi,%rdx), %r8\n"
    "    movq %rcx, (%rdi)\n"
    "    movq %r8, -8(%rdi,%rdx)\n"
    "    ret\n"
    "3:  cmpq $32, %rdx\n"
    "    ja 4f\n"
    "    movups (%rsi), %xmm0\n"                /* 16 to 32 */
    "    movups -16(%rsi,%rdx), %xmm1\n"
    "    movups %xmm0, (%rdi)\n"
    "    movups %xmm1, -16(%rdi,%rdx)\n"
    "    ret\n"
    "4:  cmpq $64, %rdx\n"
    "    ja 5f\n"
    "    movups (%rsi), %xmm0\n"                /* 33 to 64 */
    "    movups 16(%rsi), %xmm1\n"
    "    movups -32(%rsi,%rdx), %xmm2\n"
    "    movups -16(%rsi,%rdx), %xmm3\n"
    "    movups %xmm0, (%rdi)\n"
    "    movups %xmm1, 16(%rdi)\n"
    "    movups %xmm2, -32(%rdi,%rdx)\n"
    "    movups %xmm3, -16(%rdi,%rdx)\n"
    "    ret\n"
    "5:  cmpq $512, %rdx\n"
    "    jae 7f\n"
    "    movups -64(%rsi,%rdx), %xmm4\n"        /* more: the end first, but stored last */
    "    movups -48(%rsi,%rdx), %xmm5\n"
    "    movups -32(%rsi,%rdx), %xmm6\n"
    "    movups -16(%rsi,%rdx), %xmm7\n"
    "    leaq -64(%rdi,%rdx), %rcx\n"
    "6:  movups (%rsi), %xmm0\n"
    "    movups 16(%rsi), %xmm1\n"
    "    movups 32(%rsi), %xmm2\n"
    "    movups 48(%rsi), %xmm3\n"
    "    addq $64, %rsi\n"
    "    movups %xmm0, (%rdi)\n"
    "    movups %xmm1, 16(%rdi)\n"
    "    movups %xmm2, 32(%rdi)\n"
    "    movups %xmm3, 48(%rdi)\n"
    "    addq $64, %rdi\n"
    "    cmpq %rcx, %rdi\n"
    "    jb 6b\n"
    "    movups %xmm4, (%rcx)\n"
    "    movups %xmm5, 16(%rcx)\n"
    "    movups %xmm6, 32(%rcx)\n"
    "    movups %xmm7, 48(%rcx)\n"
    "    ret\n"
    "7:  movq -8(%rsi,%rdx), %r8\n"             /* 512 and more: words, then the last one */
    "    leaq -8(%rdi,%rdx), %r9\n"
    "    movq %rdx, %rcx\n"
    "    shrq $3, %rcx\n"
    "    rep movsq\n"
    "    movq %r8, (%r9)\n"
    "    ret\n"
    "    .size memcpy, .-memcpy\n"
);
/* clang-format on */
