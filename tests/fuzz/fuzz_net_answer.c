/* Any bytes as an HTTP answer: the same whether they come whole or one by one; all within limits. */
#include <stdlib.h>
#include <string.h>

#include "net/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    bool good;
    bool complete;
    int status;
    size_t body;
    uint64_t sum; /* of the body */
};

static struct outcome
read_in_steps(const char *data, size_t size, size_t step)
{
    struct outcome o = { .good = true };
    struct mh_answer a;
    mh_answer_init(&a);
    for (size_t at = 0; o.good && at < size && !mh_answer_complete(&a);) {
        size_t n = size - at < step ? size - at : step, used, body;
        o.good = mh_answer_take(&a, data + at, n, &used, &body);
        if (used > n || body > used || (o.good && !used) || (body && !a.status))
            abort();
        for (size_t i = at + used - body; i < at + used; i++)
            o.sum = o.sum * 31 + (unsigned char)data[i];
        o.body += body;
        at += used;
    }
    if (a.line.len > MH_ANSWER_LINE_MAX || (!o.good && !a.why) || (!o.good && mh_answer_end(&a)))
        abort();
    o.complete = mh_answer_complete(&a);
    o.status = a.status;
    mh_answer_release(&a);
    return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct outcome whole = read_in_steps(text, size, size + 1),
                   single = read_in_steps(text, size, 1), seven = read_in_steps(text, size, 7);
    if (whole.good != single.good || whole.complete != single.complete ||
        whole.status != single.status || whole.body != single.body || whole.sum != single.sum ||
        whole.body != seven.body || whole.good != seven.good)
        abort();
    return 0;
}
