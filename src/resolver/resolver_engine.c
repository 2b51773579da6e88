/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "resolver/resolver_engine.h"

#include <stdlib.h>
#include <string.h>

static const resolver_engine_t *const engines[] = {
    &resolver_engine_libc,
#ifdef ENGINE_CARES
    &resolver_engine_cares,
#endif
};

const resolver_engine_t *resolver_engine_find(const char *name)
{
    if (name == NULL) {
        name = getenv("ASYNCRT_RESOLVER");
        if (name == NULL || name[0] == '\0')
            return engines[0];
    }
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    }
    return NULL;
}
