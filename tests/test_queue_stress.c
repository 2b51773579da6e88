/* SPDX-License-Identifier: MIT */
/* The stress run on the library's own objects: test_queue_stress [messages] */
#include "queue_stress.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    return queue_stress(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2500);
}
