/* cli_replay.h - inside core/main: policies against the recorded decisions of a cluster. */
#ifndef MH_MAIN_CLI_REPLAY_H
#define MH_MAIN_CLI_REPLAY_H

#include "lua/policy.h"
#include "main/cli.h"

/* Reads a script and the parameters beside it, and checks it: its decision point; NULL with a message. */
const char *mh_cli_job(struct mh_cli *c, const char *file, struct mh_policy_job *job);
/* What the text of a file says to what was asked, beside what was answered. */
int mh_cli_diff(struct mh_cli *c, const char *file, const char *cluster);
/* The text that decided, once more. */
int mh_cli_replay(struct mh_cli *c, const char *cluster);
/* Through a worker, over and over; cluster NULL: with an input of our own, and nothing is connected. */
int mh_cli_bench(struct mh_cli *c, const char *file, const char *cluster);

#endif
