#include "sandbox/install.h"

__asm__(".section .rodata\n"
        ".balign 16\n"
        ".global mh_sb_install_yaml\n"
        "mh_sb_install_yaml:\n"
        ".incbin \"" MH_SB_INSTALL "\"\n"
        ".global mh_sb_install_yaml_end\n"
        "mh_sb_install_yaml_end:\n"
        ".byte 0\n"
        ".previous\n");
