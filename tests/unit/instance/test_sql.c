/* The statement of a plugin: identifiers are identifiers, and there is no way to put a text into it. */
#include <string.h>

#include "harness/test.h"
#include "instance/sql.h"

static struct mh_arena arena;

static enum mh_code
text(const char *body, const char **out)
{
    yyjson_val *v = NULL;
    mh_arena_release(&arena);
    mh_arena_init(&arena, 1 << 20);
    CHECK_INT(mh_json_parse(&arena, body, strlen(body), &v, NULL), MH_OK);
    return mh_sql_text(&arena, v, out, NULL);
}

TEST(a_name_is_a_name_whatever_is_in_it)
{
    const char *s = NULL;
    mh_arena_init(&arena, 1 << 20);
    CHECK_INT(text("{\"sql\":\"GRANT %I TO %I\",\"args\":[\"a\",\"x\\\"; DROP ROLE y; --\"]}", &s),
              MH_OK);
    CHECK_STR(s, "GRANT \"a\" TO \"x\"\"; DROP ROLE y; --\"");
    CHECK_INT(text("{\"sql\":\"select 5 %% 2, $1\"}", &s), MH_OK);
    CHECK_STR(s, "select 5 % 2, $1");
    mh_arena_release(&arena);
}

TEST(a_password_is_a_verifier_or_nothing)
{
    const char *s = NULL;
    CHECK_INT(text("{\"sql\":\"ALTER ROLE %I PASSWORD %P\",\"args\":[\"a\"],"
                   "\"password\":\"SCRAM-SHA-256$4096:a$b:c\"}",
                   &s),
              MH_OK);
    CHECK_STR(s, "ALTER ROLE \"a\" PASSWORD 'SCRAM-SHA-256$4096:a$b:c'");
    CHECK_INT(text("{\"sql\":\"ALTER ROLE a PASSWORD %P\",\"password\":\"plain\"}", &s),
              MH_E_INVALID);
    CHECK_INT(text("{\"sql\":\"ALTER ROLE a PASSWORD %P\"}", &s), MH_E_INVALID);
    mh_arena_release(&arena);
}

TEST(what_does_not_fit_is_refused)
{
    static const char *const bad[] = {
        "{}",
        "{\"sql\":\"select %s\",\"args\":[\"a\"]}",
        "{\"sql\":\"select %L\",\"args\":[\"a\"]}",
        "{\"sql\":\"select %\"}",
        "{\"sql\":\"select %I\"}",
        "{\"sql\":\"select %I\",\"args\":[1]}",
        "{\"sql\":\"select %I\",\"args\":[\"\"]}",
        "{\"sql\":\"select %I\",\"args\":[\"a\",\"b\"]}",
        "{\"sql\":\"select 1\",\"args\":[\"a\"]}",
        ("{\"sql\":\"select %I\",\"args\":"
         "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *s = NULL;
        CHECK_INT(text(bad[i], &s), MH_E_INVALID);
        CHECK(s == NULL);
    }
    mh_arena_release(&arena);
}

TEST(the_owner_of_the_application_is_found_as_the_defaults_are)
{
    const char *db = NULL, *owner = NULL;
    yyjson_val *v = NULL;
    static const char given[] =
        "{\"spec\":{\"bootstrap\":{\"initdb\":{\"database\":\"shop\",\"owner\":\"seller\"}}}}";
    (void)mh_accounts_application(NULL, &db, &owner);
    CHECK_STR(db, "app");
    CHECK_STR(owner, "app");
    mh_arena_init(&arena, 1 << 20);
    CHECK_INT(mh_json_parse(&arena, given, sizeof(given) - 1, &v, NULL), MH_OK);
    (void)mh_accounts_application(v, &db, &owner);
    CHECK_STR(db, "shop");
    CHECK_STR(owner, "seller");
    mh_arena_release(&arena);
}
