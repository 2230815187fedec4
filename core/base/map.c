#include "base/map.h"

#include <string.h>

#include "base/mem.h"

static uint32_t
hash_of(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

void
mh_map_init(struct mh_map *m, size_t cap)
{
    *m = (struct mh_map){ .cap = cap };
}

void
mh_map_release(struct mh_map *m)
{
    for (size_t i = 0; i < m->len; i++)
        mh_free(m->entries[i].key);
    mh_free(m->entries);
    mh_free(m->slots);
    *m = (struct mh_map){ .cap = m->cap };
}

/* The slot of key, or the free slot where it would go. */
static size_t
slot_of(const struct mh_map *m, const char *key, uint32_t hash)
{
    size_t i = hash & (m->nslots - 1);
    while (m->slots[i]) {
        const struct mh_map_entry *e = &m->entries[m->slots[i] - 1];
        if (e->hash == hash && strcmp(e->key, key) == 0)
            return i;
        i = (i + 1) & (m->nslots - 1);
    }
    return i;
}

void *
mh_map_get(const struct mh_map *m, const char *key)
{
    if (!m->nslots)
        return NULL;
    size_t i = slot_of(m, key, hash_of(key));
    return m->slots[i] ? m->entries[m->slots[i] - 1].value : NULL;
}

static void
fill_slots(struct mh_map *m)
{
    memset(m->slots, 0, m->nslots * sizeof(*m->slots));
    for (size_t i = 0; i < m->len; i++)
        m->slots[slot_of(m, m->entries[i].key, m->entries[i].hash)] = (uint32_t)i + 1;
}

static bool
grow(struct mh_map *m)
{
    if (m->len < m->size)
        return true;
    size_t size = m->size ? m->size * 2 : 8;
    struct mh_map_entry *e = mh_realloc(m->entries, size * sizeof(*e));
    if (!e)
        return false;
    m->entries = e;
    uint32_t *s = mh_malloc(size * 2 * sizeof(*s));
    if (!s)
        return false;
    mh_free(m->slots);
    m->slots = s;
    m->size = size;
    m->nslots = size * 2;
    fill_slots(m);
    return true;
}

bool
mh_map_put(struct mh_map *m, const char *key, void *value, void **old)
{
    uint32_t hash = hash_of(key);
    if (old)
        *old = NULL;
    if (m->nslots) {
        size_t i = slot_of(m, key, hash);
        if (m->slots[i]) {
            struct mh_map_entry *e = &m->entries[m->slots[i] - 1];
            if (old)
                *old = e->value;
            e->value = value;
            return true;
        }
    }
    if (m->len >= m->cap || !grow(m))
        return false;
    char *copy = mh_strdup(key);
    if (!copy)
        return false;
    m->entries[m->len++] = (struct mh_map_entry){ copy, value, hash };
    m->slots[slot_of(m, key, hash)] = (uint32_t)m->len;
    return true;
}

void *
mh_map_remove(struct mh_map *m, const char *key)
{
    if (!m->nslots)
        return NULL;
    size_t i = slot_of(m, key, hash_of(key));
    if (!m->slots[i])
        return NULL;
    size_t at = m->slots[i] - 1;
    void *value = m->entries[at].value;
    mh_free(m->entries[at].key);
    m->entries[at] = m->entries[--m->len];
    fill_slots(m);
    return value;
}
