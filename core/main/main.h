/* main.h - the subcommands that live in this folder. Each gets what follows its own name, and
 * returns the exit code. */
#ifndef MH_MAIN_MAIN_H
#define MH_MAIN_MAIN_H

/* moonherd policy check|test FILE... */
int mh_policy_main(int argc, char **argv);
/* moonherd plugin check|crd|plan FILE... */
int mh_plugin_main(int argc, char **argv);
/* moonherd chaos run|list ... */
int mh_chaos_main(int argc, char **argv);
/* kubectl moonherd ... */
int mh_kubectl_main(int argc, char **argv);

/* The native modules that are linked in, made by core/modules.cmake; ends with NULL. */
extern const struct mh_module *const mh_modules_table[];

#endif
