/* run.h - `moonherd instance ...`: the manager as PID 1 and the jobs that fill a volume. */
#ifndef MH_INSTANCE_RUN_H
#define MH_INSTANCE_RUN_H

/* argv[0] is "instance". Returns the exit code. */
int mh_instance_main(int argc, char **argv);
/* argv[0] is "bootstrap". */
int mh_bootstrap_main(int argc, char **argv);
/* argv[0] is "wal-archive" or "wal-restore". */
int mh_wal_main(int argc, char **argv);

#endif
