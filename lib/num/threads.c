#include "num/threads.h"

#include <omp.h>

int num_threads(void)
{
    return omp_get_max_threads();
}

int num_thread_index(void)
{
    return omp_get_thread_num();
}
