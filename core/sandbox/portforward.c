#include "sandbox/connect_in.h"

void
mh_sb_portforward(struct connect_ask *k)
{
    mh_sb_connect_refuse(k, 501, "NotImplemented", "not yet");
}
