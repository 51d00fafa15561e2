/* A program that serves its instance's backup until its standard input ends.
 *
 * Arguments: the database; a folder for logs; the socket. */
#include "support.h"

int main(int argc, char **argv)
{
    JET_INSTANCE instance;
    JET_SESID session;
    CHECK(argc == 4);
    instance = create("serve", argv[2]);
    EXPECT(JET_errNotInitialized, openese_serve_backup(instance, argv[3]));
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, argv[1], 0));
    EXPECT(JET_errInvalidParameter, openese_serve_backup(instance + 77, argv[3]));
    EXPECT(JET_errSuccess, openese_serve_backup(instance, argv[3]));
    EXPECT(JET_errFileAlreadyExists, openese_serve_backup(instance, argv[3]));
    EXPECT(JET_errSuccess, openese_serve_backup(instance, NULL));
    EXPECT(JET_errSuccess, openese_serve_backup(instance, ""));
    EXPECT(JET_errInvalidParameter, openese_serve_backup2(instance, argv[3], 0));
    EXPECT(JET_errSuccess, openese_serve_backup2(instance, argv[3], 60));
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    EXPECT(JET_errSuccess, JetTerm(instance));
    return 0;
}
