/* jobs.h - `moonherd instance init` and `join`: the jobs as processes. */
#ifndef MH_INSTANCE_JOBS_H
#define MH_INSTANCE_JOBS_H

/* argv[0] is "init" or "join". Returns the exit code. */
int mh_job_main(int argc, char **argv);

#endif
