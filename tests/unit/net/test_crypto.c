#include <ctype.h>
#include <string.h>

#include "harness/test.h"
#include "net/crypto.h"
#include "net/jwt.h"
#include "net/pg_text.h"

static bool
counting(void *self, void *out, size_t n)
{
    unsigned *seed = self;
    unsigned char *p = out;
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        p[i] = (unsigned char)(*seed >> 24);
    }
    return true;
}

static bool
empty(void *self, void *out, size_t n)
{
    (void)self, (void)out, (void)n;
    return false;
}

TEST(sha256_of_the_empty_text_and_of_abc)
{
    char hex[MH_SHA256_HEX];
    mh_sha256_hex(hex, "", 0);
    CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    mh_sha256_hex(hex, "abc", 3);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(base64_goes_there_and_back)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    for (size_t n = 0; n < 40; n++) {
        char in[40];
        unsigned seed = (unsigned)n;
        counting(&seed, in, n);
        char *text = mh_base64_encode(&a, in, n);
        size_t len = 99;
        char *out = mh_base64_decode(&a, text, strlen(text), &len);
        CHECK(out && len == n && memcmp(in, out, n) == 0);
    }
    CHECK_STR(mh_base64_encode(&a, "light work.", 11), "bGlnaHQgd29yay4=");
    CHECK_STR(mh_base64_decode(&a, "bGln\naHQ=\n", 10, NULL), "light");
    mh_arena_release(&a);
}

TEST(base64_refuses_what_no_encoder_makes)
{
    static const char *const bad[] = { "a",    "ab",       "abc",  "a===", "ab=c",  "abc=d",
                                       "====", "ab==ab==", "a b=", "abc-", "abd=x", "aB==" };
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!mh_base64_decode(&a, bad[i], strlen(bad[i]), NULL));
    mh_arena_release(&a);
}

TEST(a_password_has_64_characters_of_which_10_are_digits)
{
    struct mh_arena a;
    unsigned seed = 7;
    struct mh_rand rand = { counting, &seed };
    mh_arena_init(&a, 1 << 20);
    const char *before = "";
    for (int round = 0; round < 50; round++) {
        const char *p = NULL;
        CHECK_INT(mh_password(&a, &rand, &p, NULL), MH_OK);
        int digits = 0;
        for (const char *c = p; *c; c++) {
            CHECK(isalnum((unsigned char)*c));
            digits += isdigit((unsigned char)*c) != 0;
        }
        CHECK_INT(strlen(p), 64);
        CHECK_INT(digits, 10);
        CHECK(strcmp(p, before) != 0);
        before = p;
    }
    mh_arena_release(&a);
}

TEST(without_randomness_there_is_no_password)
{
    struct mh_arena a;
    struct mh_rand rand = { empty, NULL };
    struct mh_err err = { 0 };
    const char *p = NULL;
    mh_arena_init(&a, 1 << 20);
    CHECK_INT(mh_password(&a, &rand, &p, &err), MH_E_UNAVAILABLE);
    CHECK(!mh_pg_scram(&a, &rand, "x"));
    mh_arena_release(&a);
}

TEST(stored_passwords_look_as_postgresql_wants_them)
{
    struct mh_arena a;
    unsigned seed = 1;
    struct mh_rand rand = { counting, &seed };
    mh_arena_init(&a, 1 << 20);
    CHECK_STR(mh_pg_md5(&a, "postgres", "secret"), "md553f48b7c4b76a86ce72276c5755f217d");
    const char *v = mh_pg_scram(&a, &rand, "secret");
    CHECK(v && strncmp(v, "SCRAM-SHA-256$4096:", 19) == 0 && strlen(v) == 133);
    CHECK(!mh_pg_scram(&a, &rand, "p\xc3\xa4ss"));
    mh_arena_release(&a);
}

/* The verifier is from the example in RFC 7677: user "user", password "pencil". */
TEST(a_verifier_knows_its_password)
{
    static const char rfc[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                              "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                              "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    static const char *const broken[] = { "",
                                          "pencil",
                                          "SCRAM-SHA-256$",
                                          "SCRAM-SHA-256$4096:",
                                          "SCRAM-SHA-256$:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",
                                          "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",
                                          "SCRAM-SHA-256$4096:!$a:b" };
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    CHECK(mh_pg_scram_matches(&a, rfc, "pencil"));
    CHECK(!mh_pg_scram_matches(&a, rfc, "pencils"));
    CHECK(!mh_pg_scram_matches(&a, rfc, ""));
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
        CHECK(!mh_pg_scram_matches(&a, broken[i], "pencil"));
    CHECK(mh_pg_is_verifier(rfc));
    CHECK(mh_pg_is_verifier("md5d41d8cd98f00b204e9800998ecf8427e"));
    CHECK(!mh_pg_is_verifier("md5d41d8cd98f00b204e9800998ecf8427") && !mh_pg_is_verifier("md5"));
    CHECK(!mh_pg_is_verifier("SCRAM-SHA-256$") && !mh_pg_is_verifier("secret"));
    mh_arena_release(&a);
}

TEST(secrets_are_compared_whole)
{
    CHECK(mh_secret_eq("abc", "abc"));
    CHECK(!mh_secret_eq("abc", "abd"));
    CHECK(!mh_secret_eq("abc", "ab"));
    CHECK(!mh_secret_eq(NULL, NULL));
}

TEST(quoted_texts_cannot_end_early)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    CHECK_STR(mh_pg_ident(&a, "a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
    CHECK_STR(mh_pg_literal(&a, "it's"), "'it''s'");
    CHECK_STR(mh_pg_literal(&a, "\\' OR 1=1"), " E'\\\\'' OR 1=1'");
    CHECK_STR(mh_pg_conninfo_value(&a, "a'b\\c d"), "'a\\'b\\\\c d'");
    CHECK_STR(mh_pg_conf_value(&a, "it's \\n"), "'it''s \\\\n'");
    CHECK(!mh_pg_conf_value(&a, "a\nb"));
    CHECK(!mh_pg_ident(&a, "bad \xc3"));
    CHECK(!mh_pg_literal(&a, "bad \xc0\xaf"));
    CHECK(!mh_pg_literal(&a, NULL));
    mh_arena_release(&a);
}

TEST(a_token_is_read_back_and_not_with_another_key_or_text)
{
    struct mh_arena a;
    mh_arena_init(&a, 1 << 20);
    yyjson_val *claims = NULL;
    char *t = mh_jwt_sign(&a, "secret", 6, "{\"sub\":\"x>>?\"}", 14);
    CHECK(t && strncmp(t, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", 37) == 0);
    CHECK_INT(mh_jwt_verify(&a, "secret", 6, t, &claims, NULL), MH_OK);
    CHECK_STR(mh_json_str(claims, "sub", NULL), "x>>?");
    CHECK_INT(mh_jwt_verify(&a, "Secret", 6, t, &claims, NULL), MH_E_INVALID);
    t[40] = t[40] == 'a' ? 'b' : 'a';
    CHECK_INT(mh_jwt_verify(&a, "secret", 6, t, &claims, NULL), MH_E_INVALID);
    static const char *const bad[] = { "", ".", "..", "a.b.c", "a.b", "eyJ9.eyJ9.====" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(mh_jwt_verify(&a, "secret", 6, bad[i], &claims, NULL), MH_E_INVALID);
    mh_arena_release(&a);
}
