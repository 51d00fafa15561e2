/* Instances of several threads that come and go, and one instance whose backup and end come from different
 * threads.
 *
 * Arguments: a folder with the folders 0 to 3, each with a database "test.edb" and the empty folders "logs" and
 * "backup". */
#include "support.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 12, CHUNK = 64 * 1024 };

struct worker {
    pthread_t thread;
    int number;
    char folder[UNITS];
};

/* Instances come and go. */
static void *come_and_go(void *argument)
{
    struct worker *me = argument;
    char database[UNITS], logs[UNITS], backup[UNITS], name[32];
    JET_INSTANCE before = 0;

    join(database, me->folder, "test.edb");
    join(logs, me->folder, "logs");
    for (int round = 0; round < ROUNDS; round++) {
        JET_INSTANCE instance = 0;
        JET_SESID session = 0;
        JET_ULONG count = 0;
        JET_INSTANCE_INFO_A *running = NULL;

        snprintf(name, sizeof name, "worker %d", me->number);
        instance = create(name, logs);
        CHECK(instance != before);
        before = instance;
        set_number(&instance, JET_paramCreatePathIfNotExist, 1);
        EXPECT(JET_errSuccess, JetInit(&instance));
        EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
        EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
        EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
        CHECK(count >= 1 && count <= THREADS);
        EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));
        EXPECT(JET_errSuccess, JetBackupInstanceA(instance, join(backup, me->folder, "backup"), JET_bitBackupAtomic, NULL));
        if (round % 3 == 0)
            EXPECT(JET_errDirtyShutdown, JetTerm2(instance, JET_bitTermDirty));
        else
            EXPECT(JET_errSuccess, JetTerm(instance));
        EXPECT(JET_errInvalidSesid, JetEndSession(session, 0));
        EXPECT(JET_errInvalidParameter, JetTerm(instance));
    }
    return NULL;
}

static JET_INSTANCE shared;
static const char *shared_database;
static atomic_int finished;

/* Backs up until the instance is gone; tells what the last backup came to. */
static void *back_up_until_the_end(void *argument)
{
    JET_ERR *last = argument;
    void *memory = NULL;

    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    for (;;) {
        JET_HANDLE handle = 0;
        JET_ULONG low = 0, high = 0, got = 1;
        *last = JetBeginExternalBackupInstance(shared, 0);
        if (*last < 0)
            break;
        *last = JetOpenFileInstanceA(shared, shared_database, &handle, &low, &high);
        while (*last >= 0 && got > 0)
            *last = JetReadFileInstance(shared, handle, memory, CHUNK, &got);
        if (*last >= 0)
            *last = JetCloseFileInstance(shared, handle);
        if (*last >= 0)
            *last = JetGetLogInfoInstanceA(shared, NULL, 0, NULL);
        if (*last < 0 && *last != JET_errBackupAbortByServer)
            break;
        *last = JetEndExternalBackupInstance2(shared, JET_bitBackupEndAbort);
        if (*last < 0)
            break;
        finished++;
    }
    free(memory);
    return NULL;
}

/* Its owner stops backups and then ends the instance, while another thread backs it up. */
static void end_under_a_backup(const char *folder)
{
    char database[UNITS], logs[UNITS];
    JET_SESID session = 0;
    JET_ERR last = 0;
    pthread_t thread;

    shared = create("shared", join(logs, folder, "logs"));
    shared_database = join(database, folder, "test.edb");
    finished = 0;
    EXPECT(JET_errSuccess, JetInit(&shared));
    EXPECT(JET_errSuccess, JetBeginSessionA(shared, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, shared_database, 0));
    CHECK(pthread_create(&thread, NULL, back_up_until_the_end, &last) == 0);
    while (finished < 3)
        EXPECT(JET_errSuccess, JetStopBackupInstance(shared));
    EXPECT(JET_errSuccess, JetTerm2(shared, JET_bitTermComplete | JET_bitTermStopBackup));
    CHECK(pthread_join(thread, NULL) == 0);
    /* The backup was cancelled, or met an instance on its way out, or none. */
    if (last != JET_errNoBackup && last != JET_errTermInProgress && last != JET_errNotInitialized &&
        last != JET_errInvalidParameter && last != JET_errBackupNotAllowedYet) {
        fprintf(stderr, "the last call gave %d\n", (int)last);
        exit(1);
    }
    CHECK(facts(shared_database).dbstate == JET_dbstateCleanShutdown);
}

int main(int argc, char **argv)
{
    struct worker workers[THREADS];
    JET_ULONG count = 99;
    JET_INSTANCE_INFO_A *running = NULL;
    JET_SETSYSPARAM_A none = {.paramid = JET_paramMaxInstances, .lParam = 16};

    CHECK(argc == 2);
    EXPECT(JET_errSuccess, JetEnableMultiInstanceA(&none, 1, NULL));
    for (int i = 0; i < THREADS; i++) {
        char name[8];
        workers[i].number = i;
        snprintf(name, sizeof name, "%d", i);
        join(workers[i].folder, argv[1], name);
        CHECK(pthread_create(&workers[i].thread, NULL, come_and_go, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 0);
    for (int round = 0; round < 5; round++)
        end_under_a_backup(workers[0].folder);
    return 0;
}
