#include "bind/bind.h"

#include <stddef.h>

#include "base/modules.h"
#include "lua/vm.h"

void
mh_bind_init(void)
{
    static struct mh_vm_module modules[] = {
        { "json", mh_bind_json }, { "log", mh_bind_log }, { "lsn", mh_bind_lsn },
        { "time", mh_bind_time }, { NULL, NULL },         { NULL, NULL },
    };
    const struct mh_module *first = mh_modules()[0];
    if (first) /* it brings the others */
        modules[4] = (struct mh_vm_module){ first->name, mh_bind_native };
    mh_vm_set_modules(modules);
}
