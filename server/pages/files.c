#include "pages/files.h"

/* The assembler reads the files, from where make runs: of any size and with any bytes in them. */
#define X(name, path)                                                                              \
    __asm__(".pushsection .rodata, \"a\"\n"                                                        \
            ".global " #name ", " #name "_size\n"                                                  \
            ".hidden " #name ", " #name "_size\n"                                                  \
            ".balign 8\n" #name "_size: .8byte 1f - " #name "\n" #name ": .incbin \"" path "\"\n"  \
            "1: .byte 0\n"                                                                         \
            ".popsection\n");
FILES(X)
#undef X
