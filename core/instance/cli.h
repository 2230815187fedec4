/* cli.h - arguments of `moonherd instance ...`, its help, and `status`. */
#ifndef MH_INSTANCE_CLI_H
#define MH_INSTANCE_CLI_H

#include <stdbool.h>

/* The help of a subcommand, or of all where it is NULL or unknown. */
const char *mh_cli_help(const char *command);
/* --help or -h is among the words behind the subcommand. */
bool mh_cli_wants_help(int argc, char **argv);
/* Flags of `run`: those that say who and where set the environment, as if the pod had it so. False: one is
 * unknown, or wants a value; said on stderr. */
bool mh_cli_run_args(int argc, char **argv);
/* `status`: prints what the manager of this pod says of itself, GET /pg/status. Returns the exit code. */
int mh_cli_status(int argc, char **argv);

#endif
