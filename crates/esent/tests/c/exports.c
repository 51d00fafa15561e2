/* Says which of the functions named by the arguments the library does not have. */
#include "check.h"
#include "esent.h"
#include <dlfcn.h>

int main(int argc, char **argv)
{
    void *all = dlopen(NULL, RTLD_NOW);

    CHECK(all != NULL);
    EXPECT(JET_errSuccess, JetFreeBuffer(NULL)); /* So that the library is there. */
    for (int i = 1; i < argc; i++)
        if (dlsym(all, argv[i]) == NULL)
            puts(argv[i]);
    return 0;
}
