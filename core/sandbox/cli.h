/* cli.h - the command `moonherd sandbox`. */
#ifndef MH_SANDBOX_CLI_H
#define MH_SANDBOX_CLI_H

/* argv without "sandbox" itself. 0: done; 1: failed; 2: wrong usage; 3: nobody is there, or somebody is
 * already. */
int mh_sandbox_main(int argc, char **argv);

#endif
