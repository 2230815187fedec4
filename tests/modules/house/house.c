/* house.c - a sample of a native module: rules of a house. docs/modules.md walks through it.
 *
 * house.has(net, address) tells policies whether an IPv4 address lies in a network; and every
 * Cluster must say who looks after it. */
#include <string.h>

#include "moonherd/module.h"

/* "10.0.0.0" as a number; *rest is what follows. False: it is no address. */
static bool
read_address(const char *text, uint32_t *out, const char **rest)
{
    uint32_t value = 0;
    for (int part = 0; part < 4; part++) {
        unsigned n = 0;
        size_t digits = strspn(text, "0123456789");
        for (size_t i = 0; i < digits && i < 4; i++)
            n = n * 10 + (unsigned)(text[i] - '0');
        if (digits < 1 || digits > 3 || n > 255)
            return false;
        value = value << 8 | n;
        text += digits;
        if (part < 3 && *text++ != '.')
            return false;
    }
    *out = value;
    *rest = text;
    return true;
}

/* "10.0.0.0/8" */
static bool
read_net(const char *text, uint32_t *out, unsigned *bits)
{
    const char *rest;
    if (!read_address(text, out, &rest) || *rest++ != '/')
        return false;
    size_t digits = strspn(rest, "0123456789");
    *bits = digits > 0 ? (unsigned)(rest[0] - '0') : 99;
    if (digits == 2)
        *bits = *bits * 10 + (unsigned)(rest[1] - '0');
    return digits <= 2 && !rest[digits] && *bits <= 32;
}

static enum mh_code
has(struct mh_call *c, struct mh_err *err)
{
    uint32_t net, address;
    unsigned bits;
    const char *rest;
    const char *a = mh_call_text(c, 1, NULL), *b = mh_call_text(c, 2, NULL);
    if (!a || !read_net(a, &net, &bits))
        return mh_fail(err, MH_E_INVALID, "argument 1: want a network as in \"10.0.0.0/8\"");
    if (!b || !read_address(b, &address, &rest) || *rest)
        return mh_fail(err, MH_E_INVALID, "argument 2: want an address as in \"10.1.2.3\"");
    mh_give_flag(c, bits == 0 || (net ^ address) >> (32 - bits) == 0);
    return MH_OK;
}

static void
check_team(const struct mh_object *now, const struct mh_object *old, struct mh_faults *f)
{
    const char *team = mh_object_text(now, "/metadata/labels/team");
    (void)old;
    if (!team || !*team)
        mh_fault(
            f, "metadata.labels.team",
            "every Cluster says who looks after it. HINT: kubectl label cluster NAME team=...");
}

static const struct mh_module_function functions[] = {
    { "has", has, "has(net, address): whether the IPv4 address lies in the network" },
    { NULL, NULL, NULL },
};

static const struct mh_module_check checks[] = {
    { "Cluster", check_team, "has the label team" },
    { NULL, NULL, NULL },
};

extern const struct mh_module mh_module_house;
const struct mh_module mh_module_house = {
    .version = MH_MODULE_VERSION,
    .name = "house",
    .summary = "rules of a house: networks, and who looks after a Cluster",
    .functions = functions,
    .checks = checks,
};
