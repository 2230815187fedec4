/* install.h - what `moonherd sandbox up` installs first: the operator's manifests (deploy/manifest). */
#ifndef MH_SANDBOX_INSTALL_H
#define MH_SANDBOX_INSTALL_H

/* YAML, ends with NUL. */
extern const char mh_sb_install_yaml[];
extern const char mh_sb_install_yaml_end[];

#endif
