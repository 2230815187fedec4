/* What runs in a pod, without the rest of the program: `instance`, `wal-archive`, `wal-restore`. */
#include <string.h>

#include "instance/run.h"

int
main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    return strcmp(argv[1], "instance") == 0 ? mh_instance_main(argc - 1, argv + 1)
                                            : mh_wal_main(argc - 1, argv + 1);
}
