/* JetStopBackup, JetStopService and their instance forms in the middle of a backup.
 *
 * Arguments: single or multi; the database; a folder for logs; a folder to restore to. */
#include "support.h"

enum { CHUNK = 64 * 1024 };

static int single;
static JET_INSTANCE instance;
static const char *database;
static void *memory;

/* In a process with one instance the functions without an instance; else those with one. */
#define EITHER(alone, with_instance) (single ? (alone) : (with_instance))
#define BEGIN(grbit) EITHER(JetBeginExternalBackup(grbit), JetBeginExternalBackupInstance(instance, grbit))
#define OPEN(path, handle, size) \
    EITHER(JetOpenFileA(path, handle, size, size), JetOpenFileInstanceA(instance, path, handle, size, size))
#define READ(handle) \
    EITHER(JetReadFile(handle, memory, CHUNK, NULL), JetReadFileInstance(instance, handle, memory, CHUNK, NULL))
#define CLOSE(handle) EITHER(JetCloseFile(handle), JetCloseFileInstance(instance, handle))
#define ATTACHED() EITHER(JetGetAttachInfoA(NULL, 0, NULL), JetGetAttachInfoInstanceA(instance, NULL, 0, NULL))
#define LOGS() EITHER(JetGetLogInfoA(NULL, 0, NULL), JetGetLogInfoInstanceA(instance, NULL, 0, NULL))
#define TRUNCATE() EITHER(JetTruncateLog(), JetTruncateLogInstance(instance))
#define END() EITHER(JetEndExternalBackup(), JetEndExternalBackupInstance(instance))
#define TO_FOLDER() EITHER(JetBackupA(NULL, 0, NULL), JetBackupInstanceA(instance, NULL, 0, NULL))
#define STOP_BACKUP() EITHER(JetStopBackup(), JetStopBackupInstance(instance))
#define STOP_SERVICE() EITHER(JetStopService(), JetStopServiceInstance(instance))

static JET_SESID start(const char *logs)
{
    JET_SESID session = 0;
    if (single) {
        instance = 0;
        set_folders(NULL, logs);
        EXPECT(JET_errSuccess, JetInit(&instance));
    } else {
        instance = create("stop", logs);
        EXPECT(JET_errSuccess, JetInit(&instance));
    }
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    return session;
}

/* Begins a backup and reads the beginning of the database. */
static JET_HANDLE half_a_backup(void)
{
    JET_HANDLE handle = 0;
    JET_ULONG size = 0;
    EXPECT(JET_errSuccess, BEGIN(0));
    EXPECT(JET_errSuccess, OPEN(database, &handle, &size));
    EXPECT(JET_errSuccess, READ(handle));
    return handle;
}

static void stop_backups(JET_SESID session)
{
    JET_HANDLE handle, other;
    JET_ULONG size;

    /* Nothing runs: nothing happens. */
    EXPECT(JET_errSuccess, STOP_BACKUP());
    handle = half_a_backup();
    EXPECT(JET_errSuccess, STOP_BACKUP());
    EXPECT(JET_errSuccess, STOP_BACKUP());
    EXPECT(JET_errBackupAbortByServer, READ(handle));
    EXPECT(JET_errBackupAbortByServer, OPEN(database, &other, &size));
    EXPECT(JET_errBackupAbortByServer, ATTACHED());
    EXPECT(JET_errBackupAbortByServer, LOGS());
    EXPECT(JET_errBackupAbortByServer, JetGetTruncateLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errBackupAbortByServer, TRUNCATE());
    EXPECT(JET_errBackupInProgress, BEGIN(0));
    EXPECT(JET_errBackupInProgress, TO_FOLDER());
    EXPECT(JET_errBackupInProgress, JetDetachDatabaseA(session, database));
    EXPECT(JET_errBackupInProgress, JetTerm(instance));
    EXPECT(JET_errSuccess, CLOSE(handle));
    EXPECT(JET_errInvalidParameter, CLOSE(handle));
    EXPECT(JET_errBackupAbortByServer, END());
    EXPECT(JET_errNoBackup, END());
    EXPECT(JET_errNoBackup, CLOSE(handle));
    CHECK(facts(database).bkinfoFullPrev.genLow == 0);

    /* The client may call it an end of its own; a file that is open is closed by it. */
    handle = half_a_backup();
    EXPECT(JET_errSuccess, STOP_BACKUP());
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errNoBackup, READ(handle));

    /* In the phase of the logs. */
    EXPECT(JET_errSuccess, BEGIN(0));
    EXPECT(JET_errSuccess, LOGS());
    EXPECT(JET_errSuccess, STOP_BACKUP());
    EXPECT(JET_errBackupAbortByServer, LOGS());
    EXPECT(JET_errBackupAbortByServer, END());

    /* The next one is not stopped. */
    handle = half_a_backup();
    EXPECT(JET_errSuccess, READ(handle));
    EXPECT(JET_errSuccess, CLOSE(handle));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
}

static void stop_parts(void)
{
    JET_GRBIT parts = JET_bitStopServiceBackgroundUserTasks | JET_bitStopServiceQuiesceCaches;

    EXPECT(JET_errInvalidGrbit, JetStopServiceInstance2(instance, 0x100));
    EXPECT(JET_errInvalidGrbit, JetStopServiceInstance2(instance, JET_bitStopServiceResume | 0x8));
    EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, JET_bitStopServiceBackgroundUserTasks));
    EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, JET_bitStopServiceQuiesceCaches));
    EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, parts));
    /* All other work goes on. */
    EXPECT(JET_errSuccess, CLOSE(half_a_backup()));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, JET_bitStopServiceResume | parts));
    EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, JET_bitStopServiceResume));
}

static void stop_service(JET_SESID session, const char *folder, int by_option)
{
    JET_HANDLE handle = half_a_backup(), other;
    JET_ULONG size;
    JET_SESID more;
    JET_DBID dbid = 0, second = 0;
    JET_ERR all = JET_errClientRequestToStopJetService;

    EXPECT(JET_errSuccess, JetOpenDatabaseA(session, database, NULL, &dbid, 0));
    if (by_option)
        EXPECT(JET_errSuccess, JetStopServiceInstance2(instance, JET_bitStopServiceAll));
    else
        EXPECT(JET_errSuccess, STOP_SERVICE());
    EXPECT(all, READ(handle));
    EXPECT(all, CLOSE(handle));
    EXPECT(all, OPEN(database, &other, &size));
    EXPECT(all, ATTACHED());
    EXPECT(all, LOGS());
    EXPECT(all, JetGetTruncateLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(all, TRUNCATE());
    EXPECT(all, BEGIN(0));
    EXPECT(all, TO_FOLDER());
    EXPECT(all, END());
    EXPECT(all, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, STOP_BACKUP());
    EXPECT(JET_errSuccess, STOP_SERVICE());
    EXPECT(all, JetStopServiceInstance2(instance, JET_bitStopServiceResume));
    EXPECT(all, JetStopServiceInstance2(instance, JET_bitStopServiceResume | JET_bitStopServiceQuiesceCaches));
    /* New work is refused, and the end of what was begun is not. */
    EXPECT(all, JetBeginSessionA(instance, &more, NULL, NULL));
    EXPECT(all, JetDupSession(session, &more));
    EXPECT(all, JetGetVersion(session, &size));
    EXPECT(all, JetAttachDatabaseA(session, database, 0));
    EXPECT(all, JetOpenDatabaseA(session, database, NULL, &second, 0));
    EXPECT(all, JetSetSessionContext(session, 7));
    EXPECT(all, JetGetDatabaseInfoA(session, dbid, &size, sizeof size, JET_DbInfoPageSize));
    EXPECT(JET_errSessionContextNotSetByThisThread, JetResetSessionContext(session));
    EXPECT(JET_errSuccess, JetCloseDatabase(session, dbid, 0));
    if (single)
        EXPECT(JET_errAlreadyInitialized, JetRestoreA(folder, NULL));
    else
        EXPECT(JET_errAlreadyInitialized, JetRestoreInstanceA(instance, folder, NULL, NULL));
    EXPECT(JET_errBackupInProgress, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errBackupInProgress, JetTerm(instance));
    EXPECT(JET_errBackupInProgress, JetTerm2(instance, JET_bitTermComplete));
    EXPECT(JET_errInvalidGrbit, JetTerm2(instance, 0x40));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete | JET_bitTermStopBackup));
    CHECK(facts(database).dbstate == JET_dbstateCleanShutdown);
    CHECK(facts(database).bkinfoFullPrev.genLow == 0);
}

int main(int argc, char **argv)
{
    JET_SESID session;

    CHECK(argc == 5);
    single = strcmp(argv[1], "single") == 0;
    database = argv[2];
    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    EXPECT(JET_errNotInitialized, JetStopService());
    EXPECT(JET_errNotInitialized, JetStopBackup());
    EXPECT(JET_errInvalidParameter, JetStopServiceInstance(0));
    EXPECT(JET_errInvalidParameter, JetStopServiceInstance2(JET_instanceNil, 0));
    EXPECT(JET_errInvalidParameter, JetStopBackupInstance(JET_instanceNil));

    for (int by_option = 0; by_option < 2; by_option++) {
        session = start(argv[3]);
        stop_backups(session);
        stop_parts();
        stop_service(session, argv[4], by_option);
    }

    /* The end of the instance ends what was stopped. */
    session = start(argv[3]);
    EXPECT(JET_errSuccess, CLOSE(half_a_backup()));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermAbrupt | JET_bitTermStopBackup));
    CHECK(facts(database).dbstate == JET_dbstateCleanShutdown);
    EXPECT(JET_errInvalidSesid, JetEndSession(session, 0));
    free(memory);
    return 0;
}
