#include <string.h>

#include "harness/test.h"
#include "net/x509.h"

#define NOW 1790000000

static struct mh_arena arena;
static const char *ca;
static const char *ca_key;

static void
setup(void)
{
    mh_arena_init(&arena, 1 << 20);
    struct mh_x509_ca_spec spec = { "demo", "space", NOW - 300, NOW + 90 * 86400, NULL };
    CHECK_INT(mh_x509_make_ca(&arena, &spec, &ca, &ca_key, NULL), MH_OK);
}

static struct mh_x509_spec
leaf(void)
{
    static const char *const names[] = { "demo-rw", "demo-rw.space.svc", "10.0.0.7", NULL };
    return (struct mh_x509_spec){ .ca_cert_pem = ca,
                                  .ca_key_pem = ca_key,
                                  .cn = "demo-rw",
                                  .dns_names = names,
                                  .usage = MH_X509_SERVER,
                                  .not_before = NOW - 300,
                                  .not_after = NOW + 90 * 86400 };
}

TEST(a_ca_reads_back_as_it_was_made)
{
    struct mh_x509_info info;
    setup();
    CHECK_INT(mh_x509_read(&arena, ca, &info, NULL), MH_OK);
    CHECK_STR(info.cn, "demo");
    CHECK_STR(info.ou, "space");
    CHECK_STR(info.issuer_cn, "demo");
    CHECK(info.is_ca);
    CHECK_INT(info.not_before, NOW - 300);
    CHECK_INT(info.not_after, NOW + 90 * 86400);
    CHECK(mh_x509_signed_by(ca, ca));
    CHECK(mh_x509_key_matches(ca, ca_key));
    mh_arena_release(&arena);
}

TEST(a_leaf_has_its_names_and_its_issuer)
{
    struct mh_x509_info info;
    const char *cert;
    const char *key;
    setup();
    struct mh_x509_spec spec = leaf();
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, NULL), MH_OK);
    CHECK_INT(mh_x509_read(&arena, cert, &info, NULL), MH_OK);
    CHECK_STR(info.cn, "demo-rw");
    CHECK_STR(info.issuer_cn, "demo");
    CHECK_STR(info.dns_names[0], "demo-rw");
    CHECK_STR(info.dns_names[2], "10.0.0.7");
    CHECK(!info.dns_names[3]);
    CHECK(!info.is_ca);
    CHECK(mh_x509_signed_by(cert, ca));
    CHECK(mh_x509_key_matches(cert, key));
    CHECK(!mh_x509_key_matches(cert, ca_key));
    mh_arena_release(&arena);
}

TEST(renewal_keeps_the_key_and_with_it_the_fingerprint)
{
    struct mh_x509_info one;
    struct mh_x509_info two;
    const char *cert;
    const char *key;
    const char *again;
    const char *same;
    setup();
    struct mh_x509_spec spec = leaf();
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, NULL), MH_OK);
    spec.key_pem = key;
    spec.not_after += 86400;
    CHECK_INT(mh_x509_issue(&arena, &spec, &again, &same, NULL), MH_OK);
    CHECK_STR(key, same);
    CHECK(strcmp(cert, again) != 0);
    CHECK_INT(mh_x509_read(&arena, cert, &one, NULL), MH_OK);
    CHECK_INT(mh_x509_read(&arena, again, &two, NULL), MH_OK);
    CHECK_STR(one.spki_sha256, two.spki_sha256);
    CHECK_INT(strlen(one.spki_sha256), 64);
    mh_arena_release(&arena);
}

TEST(another_ca_has_not_signed_it)
{
    const char *cert;
    const char *key;
    const char *other;
    const char *other_key;
    setup();
    struct mh_x509_spec spec = leaf();
    struct mh_x509_ca_spec twin = { "demo", "space", NOW - 300, NOW + 900, NULL };
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, NULL), MH_OK);
    CHECK_INT(mh_x509_make_ca(&arena, &twin, &other, &other_key, NULL), MH_OK);
    CHECK(!mh_x509_signed_by(cert, other));
    char *both = mh_arena_printf(&arena, "%s%s", other, ca);
    CHECK(mh_x509_signed_by(cert, both));
    spec.ca_key_pem = other_key;
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, NULL), MH_E_INVALID);
    mh_arena_release(&arena);
}

TEST(rubbish_is_no_certificate)
{
    static const char *const bad[] = {
        "", "x", "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    };
    struct mh_x509_info info;
    struct mh_err err = { 0 };
    setup();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(mh_x509_read(&arena, bad[i], &info, &err), MH_E_INVALID);
        CHECK(!mh_x509_signed_by(bad[i], ca));
        CHECK(!mh_x509_key_matches(ca, bad[i]));
    }
    struct mh_x509_spec spec = leaf();
    const char *cert;
    const char *key;
    spec.ca_key_pem = "no key";
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, &err), MH_E_INVALID);
    mh_arena_release(&arena);
}

TEST(years_beyond_2050_are_right)
{
    struct mh_x509_info info;
    const char *cert;
    const char *key;
    setup();
    struct mh_x509_spec spec = leaf();
    spec.not_after = 2600000000;
    CHECK_INT(mh_x509_issue(&arena, &spec, &cert, &key, NULL), MH_OK);
    CHECK_INT(mh_x509_read(&arena, cert, &info, NULL), MH_OK);
    CHECK_INT(info.not_after, 2600000000);
    mh_arena_release(&arena);
}
