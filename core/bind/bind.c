#include "bind/bind.h"

#include <stddef.h>

#include "lua/vm.h"

void
mh_bind_init(void)
{
    static const struct mh_vm_module modules[] = {
        { "json", mh_bind_json }, { "log", mh_bind_log }, { "lsn", mh_bind_lsn },
        { "time", mh_bind_time }, { NULL, NULL },
    };
    mh_vm_set_modules(modules);
}
