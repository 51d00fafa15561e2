/* Handles that were never given out, thrown at every function from several threads while a backup runs: each
 * call is refused, and the backup is what it would have been. Pointers are always good ones.
 *
 * Arguments: the database; a folder for logs; one for the backup. */
#include "support.h"
#include <pthread.h>

enum { THREADS = 3, ROUNDS = 4000, CHUNK = 64 * 1024 };

static const char *database, *logs;
static JET_INSTANCE live;
static JET_SESID live_session;
static JET_DBID live_database;

struct thrower {
    pthread_t thread;
    unsigned long long state;
    unsigned long calls;
};

static unsigned long long random_number(struct thrower *t)
{
    t->state ^= t->state << 13;
    t->state ^= t->state >> 7;
    t->state ^= t->state << 17;
    return t->state;
}

/* A number near a live handle, one of the usual bad ones, or any. */
static JET_API_PTR handle_not(struct thrower *t, JET_API_PTR handle)
{
    static const JET_API_PTR usual[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x100000000, ~(JET_API_PTR)0};
    for (;;) {
        JET_API_PTR found;
        unsigned long long number = random_number(t);
        switch (number % 4) {
        case 0:
            found = usual[number / 4 % 6];
            break;
        case 1:
            found = handle + (JET_API_PTR)(number / 4 % 65) - 32;
            break;
        case 2:
            found = handle ^ (JET_API_PTR)1 << (number / 4 % 64);
            break;
        default:
            found = (JET_API_PTR)number;
        }
        if (found != handle)
            return found;
    }
}

#define REFUSED(call)                                                                                  \
    do {                                                                                               \
        JET_ERR refused = (call);                                                                      \
        t->calls++;                                                                                    \
        if (refused >= 0) {                                                                            \
            fprintf(stderr, "%s:%d: %s gave %ld\n", __FILE__, __LINE__, #call, (long)refused);          \
            exit(1);                                                                                   \
        }                                                                                              \
    } while (0)

/* Wrong instances. */
static void throw_instances(struct thrower *t, void *memory)
{
    JET_INSTANCE bad = handle_not(t, live);
    JET_HANDLE handle = (JET_HANDLE)random_number(t);
    JET_ULONG number = (JET_ULONG)random_number(t), a, b;
    JET_SESID session;
    JET_API_PTR value = (JET_API_PTR)random_number(t);
    char text[UNITS];
    JET_WCHAR wide[UNITS];
    JET_LOGINFO_A info = {.cbSize = sizeof info};
    JET_LOGINFO_W wide_info = {.cbSize = sizeof wide_info};

    REFUSED(JetTerm(bad));
    REFUSED(JetTerm2(bad, number));
    REFUSED(JetStopServiceInstance(bad));
    REFUSED(JetStopServiceInstance2(bad, number));
    REFUSED(JetStopBackupInstance(bad));
    REFUSED(JetBeginSessionA(bad, &session, NULL, NULL));
    REFUSED(JetBeginSessionW(bad, &session, NULL, NULL));
    REFUSED(JetGetInstanceMiscInfo(bad, memory, CHUNK, number % 4));
    REFUSED(JetBeginExternalBackupInstance(bad, number));
    REFUSED(JetGetAttachInfoInstanceA(bad, text, number % sizeof text, &a));
    REFUSED(JetGetAttachInfoInstanceW(bad, wide, number % sizeof wide, &a));
    REFUSED(JetOpenFileInstanceA(bad, database, &handle, &a, &b));
    REFUSED(JetOpenFileInstanceW(bad, u"x", &handle, &a, &b));
    REFUSED(JetReadFileInstance(bad, handle, memory, CHUNK, &a));
    REFUSED(JetCloseFileInstance(bad, handle));
    REFUSED(JetGetLogInfoInstanceA(bad, text, number % sizeof text, &a));
    REFUSED(JetGetLogInfoInstanceW(bad, wide, number % sizeof wide, &a));
    REFUSED(JetGetLogInfoInstance2A(bad, text, number % sizeof text, &a, &info));
    REFUSED(JetGetLogInfoInstance2W(bad, wide, number % sizeof wide, &a, &wide_info));
    REFUSED(JetGetTruncateLogInfoInstanceA(bad, text, number % sizeof text, &a));
    REFUSED(JetGetTruncateLogInfoInstanceW(bad, wide, number % sizeof wide, &a));
    REFUSED(JetTruncateLogInstance(bad));
    REFUSED(JetEndExternalBackupInstance(bad));
    REFUSED(JetEndExternalBackupInstance2(bad, number));
    REFUSED(JetBackupInstanceA(bad, logs, number, NULL));
    REFUSED(JetBackupInstanceW(bad, u"x", number, NULL));
    REFUSED(JetRestoreInstanceA(bad, logs, NULL, NULL));
    REFUSED(JetRestoreInstanceW(bad, u"x", NULL, NULL));
    if (bad != 0 && bad != JET_instanceNil) {
        /* Those two mean a new instance, or what all share. */
        REFUSED(JetInit(&bad));
        REFUSED(JetInit2(&bad, number));
        REFUSED(JetInit3A(&bad, NULL, number));
        REFUSED(JetInit4W(&bad, NULL, number));
        REFUSED(JetSetSystemParameterA(&bad, 0, JET_paramMaxVerPages, value, NULL));
        REFUSED(JetSetSystemParameterW(&bad, 0, JET_paramLogFilePath, value, u"/no/such/folder"));
        REFUSED(JetGetSystemParameterA(bad, 0, JET_paramMaxVerPages, &value, text, sizeof text));
        REFUSED(JetGetSystemParameterW(bad, 0, JET_paramLogFilePath, &value, wide, sizeof wide));
    }
    REFUSED(JetGetSystemParameterA(live, 0, 0x10000 + number % 0x10000, &value, text, sizeof text));
    REFUSED(JetSetSystemParameterA(&live, 0, 0x10000 + number % 0x10000, value, text));
}

/* Wrong sessions and databases, with any option bits and levels. */
static void throw_sessions(struct thrower *t, void *memory)
{
    JET_SESID bad = handle_not(t, live_session), session;
    JET_DBID dbid = (JET_DBID)random_number(t);
    JET_ULONG number = (JET_ULONG)random_number(t), a;
    JET_SETDBPARAM parameter = {.dbparamid = number, .pvParam = memory, .cbParam = number % CHUNK};

    REFUSED(JetEndSession(bad, number));
    REFUSED(JetEndSession(bad, 0));
    REFUSED(JetDupSession(bad, &session));
    REFUSED(JetIdle(bad, number));
    REFUSED(JetGetVersion(bad, &a));
    REFUSED(JetSetSessionContext(bad, number));
    REFUSED(JetResetSessionContext(bad));
    REFUSED(JetResetSessionContext(live_session));
    REFUSED(JetSetSessionParameter(bad, number, memory, number % CHUNK));
    REFUSED(JetGetSessionParameter(bad, number, memory, number % CHUNK, &a));
    REFUSED(JetAttachDatabaseA(bad, database, number));
    REFUSED(JetAttachDatabaseW(bad, u"x", number));
    REFUSED(JetAttachDatabase2A(bad, database, number, number));
    REFUSED(JetAttachDatabase2W(bad, u"x", number, number));
    REFUSED(JetAttachDatabase3A(bad, database, &parameter, 1, number));
    REFUSED(JetAttachDatabase3W(bad, u"x", &parameter, 1, number));
    REFUSED(JetDetachDatabaseA(bad, NULL));
    REFUSED(JetDetachDatabaseW(bad, NULL));
    REFUSED(JetDetachDatabase2A(bad, database, number));
    REFUSED(JetDetachDatabase2W(bad, u"x", number));
    REFUSED(JetOpenDatabaseA(bad, database, NULL, &dbid, number));
    REFUSED(JetOpenDatabaseW(bad, u"x", NULL, &dbid, number));
    REFUSED(JetCloseDatabase(bad, live_database, 0));
    REFUSED(JetGetDatabaseInfoA(bad, live_database, memory, number % CHUNK, number));
    REFUSED(JetGetDatabaseInfoW(bad, live_database, memory, number % CHUNK, number));
    if (dbid == live_database)
        dbid++;
    REFUSED(JetCloseDatabase(live_session, dbid, 0));
    REFUSED(JetCloseDatabase(live_session, dbid, number));
    REFUSED(JetGetDatabaseInfoA(live_session, dbid, memory, number % CHUNK, number % 32));
    REFUSED(JetGetDatabaseFileInfoA(logs, memory, number % CHUNK, 1000 + number % 1000));
    REFUSED(JetGetLogFileInfoA(database, memory, number % CHUNK, number % 5));
}

/* Wrong files of the backup that runs. */
static void throw_files(struct thrower *t, void *memory)
{
    /* Files are numbered upwards from a small number: leave the lowest out. */
    JET_HANDLE bad = handle_not(t, 0) | (JET_HANDLE)1 << 40;
    JET_ULONG number = (JET_ULONG)random_number(t);

    REFUSED(JetReadFileInstance(live, bad, memory, CHUNK, NULL));
    REFUSED(JetReadFileInstance(live, bad, memory, number % CHUNK, &number));
    REFUSED(JetCloseFileInstance(live, bad));
    REFUSED(JetReadFile(bad, memory, CHUNK, NULL));
    REFUSED(JetCloseFile(bad));
    REFUSED(JetEndExternalBackupInstance2(live, (number & ~3u) | JET_bitBackupEndNormal | JET_bitBackupEndAbort));
    REFUSED(JetStopServiceInstance2(live, number | 0x100));
    REFUSED(JetTerm2(live, number | 0x100));
    REFUSED(JetBeginExternalBackup(number));
    REFUSED(JetEndExternalBackup());
    REFUSED(JetStopBackup());
    REFUSED(JetStopService());
    REFUSED(JetInit(NULL));
    REFUSED(JetBackupA(NULL, number, NULL));
    REFUSED(JetRestoreA(logs, NULL));
}

static void *throw_all(void *argument)
{
    struct thrower *t = argument;
    void *memory = NULL;
    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    memset(memory, 0, CHUNK);
    for (int round = 0; round < ROUNDS; round++) {
        throw_instances(t, memory);
        throw_sessions(t, memory);
        throw_files(t, memory);
    }
    free(memory);
    return NULL;
}

int main(int argc, char **argv)
{
    struct thrower throwers[THREADS];
    char list[8192];
    unsigned long calls = 0;
    JET_ULONG count = 0;
    JET_INSTANCE_INFO_A *running = NULL;

    CHECK(argc == 4);
    database = argv[1], logs = argv[2];
    live = create("live", logs);
    EXPECT(JET_errSuccess, JetInit(&live));
    EXPECT(JET_errSuccess, JetBeginSessionA(live, &live_session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(live_session, database, 0));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(live_session, database, NULL, &live_database, 0));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(live, 0));
    for (int i = 0; i < THREADS; i++) {
        throwers[i] = (struct thrower){.state = 0x9E3779B97F4A7C15ull * (i + 1)};
        CHECK(pthread_create(&throwers[i].thread, NULL, throw_all, &throwers[i]) == 0);
    }
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(live, list, sizeof list, NULL));
    CHECK(read_all(live, list, argv[3]) == 1);
    EXPECT(JET_errSuccess, JetGetLogInfoInstanceA(live, list, sizeof list, NULL));
    CHECK(read_all(live, list, argv[3]) >= 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(throwers[i].thread, NULL) == 0);
        calls += throwers[i].calls;
    }
    EXPECT(JET_errSuccess, JetTruncateLogInstance(live));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance(live));
    CHECK(calls > 60ul * THREADS * ROUNDS);
    CHECK(facts(database).bkinfoFullPrev.genLow != 0);
    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 1 && running->hInstanceId == live && running->cDatabases == 1);
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));
    EXPECT(JET_errSuccess, JetCloseDatabase(live_session, live_database, 0));
    EXPECT(JET_errSuccess, JetEndSession(live_session, 0));
    EXPECT(JET_errSuccess, JetTerm(live));
    return 0;
}
