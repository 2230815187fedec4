/* What /metrics prints. */
#include <string.h>

#include "harness/test.h"
#include "io/file.h"
#include "operator/metrics.h"
#include "operator/pages.h"

static const char *
text_of(const struct mh_metrics *m)
{
    static struct mh_buf b;
    mh_buf_release(&b);
    mh_buf_init(&b, 1 << 20);
    CHECK(mh_metrics_text(m, &b));
    return mh_buf_text(&b);
}

TEST(counters_gauges_and_histograms_are_printed_sorted_with_one_type_each)
{
    struct mh_metrics m;
    mh_metrics_init(&m);
    mh_metrics_add(&m, "passes_total", "result=\"ok\"", 1);
    mh_metrics_add(&m, "passes_total", "result=\"error\"", 1);
    mh_metrics_add(&m, "passes_total", "result=\"ok\"", 2);
    mh_metrics_set(&m, "depth", "", 7);
    mh_metrics_set(&m, "depth", "", 3);
    mh_metrics_observe(&m, "took_seconds", "", 0.002);
    mh_metrics_observe(&m, "took_seconds", "", 1e6);
    const char *t = text_of(&m);
    CHECK(strstr(t, "passes_total{result=\"ok\"} 3\n") != NULL);
    CHECK(strstr(t, "passes_total{result=\"error\"} 1\n") != NULL);
    CHECK(strstr(t, "\ndepth 3\n") != NULL || strncmp(t, "depth 3\n", 8) == 0);
    CHECK(strstr(t, "took_seconds_bucket{le=\"+Inf\"} 2\n") != NULL);
    CHECK(strstr(t, "took_seconds_count 2\n") != NULL);
    CHECK(strstr(t, "took_seconds_bucket{le=\"0.001\"} 0\n") != NULL);
    const char *type = strstr(t, "# TYPE passes_total counter\n");
    CHECK(type && !strstr(type + 1, "# TYPE passes_total"));
    CHECK(strstr(t, "depth 3") < strstr(t, "passes_total{") &&
          strstr(t, "passes_total{") < strstr(t, "took_seconds_bucket"));
    mh_metrics_release(&m);
}

TEST(there_are_at_most_so_many_series)
{
    struct mh_metrics m;
    char labels[32];
    mh_metrics_init(&m);
    for (int i = 0; i < MH_METRICS_MAX + 10; i++) {
        (void)snprintf(labels, sizeof(labels), "n=\"%d\"", i);
        mh_metrics_add(&m, "x_total", labels, 1);
    }
    CHECK_INT(m.dropped, 10);
    mh_metrics_release(&m);
}

TEST(without_memory_a_series_is_left_out)
{
    for (int n = 0; n < 6; n++) {
        struct mh_metrics m;
        mh_metrics_init(&m);
        mh_mem_fail_after(n);
        mh_metrics_add(&m, "a_total", "", 1);
        mh_metrics_observe(&m, "b_seconds", "", 1);
        mh_mem_fail_after(-1);
        mh_metrics_set(&m, "c", "", 1);
        CHECK(strstr(text_of(&m), "c 1\n") != NULL);
        mh_metrics_release(&m);
    }
}

TEST(resident_memory_is_what_the_kernel_says)
{
    struct mh_fs fs = mh_fs_real();
    int64_t resident = 0, anonymous = 0;
    mh_pages_resident(&fs, &resident, &anonymous);
    CHECK(resident > 100000 && anonymous > 10000 && anonymous <= resident);
    mh_pages_drop();
    mh_pages_resident(&fs, &resident, &anonymous);
    CHECK(anonymous > 10000);
}
