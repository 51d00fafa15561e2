/* A backup that is taken elsewhere and only recorded by the instance that runs.
 *
 * Arguments: the database; a second one; a folder for logs; another one; a folder for a backup. */
#define JET_INTERNAL_API
#include "support.h"

/* Not among the public names. */
#define JET_errSurrogateBackupInProgress (-617)

static JET_INSTANCE instance;
static JET_SESID session;
static const char *database, *second, *logs, *backup;


/* Closes the current log; its number. */
static JET_ULONG roll(void)
{
    JET_LOGINFO_A range = {.cbSize = sizeof range};
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetLogInfoInstance2A(instance, NULL, 0, NULL, &range));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    return range.ulGenHigh;
}

/* What nobody may do meanwhile. */
static void refused_meanwhile(void)
{
    JET_ERR busy = JET_errSurrogateBackupInProgress, none = JET_errNoBackup;
    JET_HANDLE handle = 0;
    JET_ULONG size = 0, count = 7;
    JET_INSTANCE_INFO_A *info = NULL;
    JET_OSSNAPID snapshot = 0;
    void *memory = NULL;

    CHECK(posix_memalign(&memory, 4096, 65536) == 0);
    EXPECT(busy, JetBeginSurrogateBackup(instance, 1, 1, 0));
    EXPECT(busy, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(busy, JetBeginExternalBackupInstance(instance, JET_bitBackupIncremental));
    EXPECT(busy, JetBackupInstanceA(instance, backup, 0, NULL));
    EXPECT(busy, JetAttachDatabaseA(session, second, 0));
    EXPECT(busy, JetDetachDatabaseA(session, database));
    EXPECT(busy, JetTerm(instance));
    EXPECT(busy, JetTerm2(instance, JET_bitTermComplete));
    EXPECT(none, JetGetAttachInfoInstanceA(instance, NULL, 0, &size));
    EXPECT(none, JetOpenFileInstanceA(instance, database, &handle, &size, &size));
    EXPECT(none, JetReadFileInstance(instance, 1, memory, 65536, &size));
    EXPECT(none, JetCloseFileInstance(instance, 1));
    EXPECT(none, JetGetLogInfoInstanceA(instance, NULL, 0, &size));
    EXPECT(none, JetGetTruncateLogInfoInstanceA(instance, NULL, 0, &size));
    EXPECT(none, JetTruncateLogInstance(instance));
    EXPECT(JET_errSuccess, JetOSSnapshotPrepare(&snapshot, 0));
    EXPECT(JET_errOSSnapshotNotAllowed, JetOSSnapshotFreezeA(snapshot, &count, &info, 0));
    CHECK(count == 0 && info == NULL);
    EXPECT(JET_errSuccess, JetOSSnapshotAbort(snapshot, 0));
    free(memory);
}

static void wrong_arguments(JET_ULONG last)
{
    JET_ERR bad = JET_errInvalidParameter;
    EXPECT(bad, JetBeginSurrogateBackup(instance + 1, 1, 1, 0));
    EXPECT(bad, JetBeginSurrogateBackup(0, 1, 1, 0));
    EXPECT(bad, JetEndSurrogateBackup(instance + 1, JET_bitBackupEndNormal));
    EXPECT(bad, JetBeginSurrogateBackup(instance, 2, 1, 0));
    EXPECT(bad, JetBeginSurrogateBackup(instance, 1, last + 2, 0));
    EXPECT(JET_errInvalidGrbit, JetBeginSurrogateBackup(instance, 1, 1, JET_bitBackupAtomic));
    EXPECT(JET_errInvalidGrbit, JetBeginSurrogateBackup(instance, 1, 1, 0x20));
    EXPECT(JET_errMissingFullBackup, JetBeginSurrogateBackup(instance, 1, 1, JET_bitBackupIncremental));
    EXPECT(JET_errNoBackup, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));
}

static void circular(const char *folder)
{
    JET_INSTANCE other = create("circular", folder);
    set_number(&other, JET_paramCircularLog, 1);
    EXPECT(JET_errNotInitialized, JetBeginSurrogateBackup(other, 1, 1, 0));
    EXPECT(JET_errNotInitialized, JetEndSurrogateBackup(other, JET_bitBackupEndNormal));
    EXPECT(JET_errSuccess, JetInit(&other));
    EXPECT(JET_errInvalidBackup, JetBeginSurrogateBackup(other, 1, 1, 0));
    EXPECT(JET_errSuccess, JetTerm(other));
}

static void take(JET_ULONG first, JET_ULONG last, JET_GRBIT begin, JET_GRBIT end)
{
    EXPECT(JET_errSuccess, JetBeginSurrogateBackup(instance, first, last, begin));
    EXPECT(JET_errSuccess, JetEndSurrogateBackup(instance, end));
}

int main(int argc, char **argv)
{
    JET_DBINFOMISC4 info;
    JET_ULONG last;

    CHECK(argc == 6);
    database = argv[1], second = argv[2], logs = argv[3], backup = argv[5];
    instance = create("surrogate", logs);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    roll();
    roll();
    last = roll();
    CHECK(last == 3);
    wrong_arguments(last);
    circular(argv[4]);

    EXPECT(JET_errSuccess, JetBeginSurrogateBackup(instance, 1, 2, 0));
    refused_meanwhile();
    /* Which end it is must be said, and is asked first. */
    EXPECT(JET_errInvalidParameter, JetEndSurrogateBackup(instance, 0));
    EXPECT(JET_errInvalidParameter,
           JetEndSurrogateBackup(instance, JET_bitBackupEndNormal | JET_bitBackupEndAbort));
    EXPECT(JET_errInvalidGrbit, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal | 0x8000));
    EXPECT(JET_errSurrogateBackupInProgress, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));
    EXPECT(JET_errNoBackup, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));

    /* Without the word that the logs are taken care of it is a copy. */
    info = facts(database);
    CHECK(info.bkinfoFullPrev.genLow == 0 && info.bkinfoIncPrev.genLow == 0 && info.bkinfoDiffPrev.genLow == 0);
    CHECK(info.bkinfoCopyPrev.genLow == 1 && info.bkinfoCopyPrev.genHigh == 2);

    /* Given up, it leaves nothing. */
    take(2, 3, 0, JET_bitBackupEndAbort);
    CHECK(facts(database).bkinfoCopyPrev.genHigh == 2);

    /* With it, it is a full backup by a snapshot, for the header of the database and who reads it. */
    take(1, 3, 0, JET_bitBackupEndNormal | JET_bitBackupTruncateDone);
    info = facts(database);
    CHECK(info.bkinfoFullPrev.genLow == 1 && info.bkinfoFullPrev.genHigh == 3);
    CHECK(info.bkinfoFullPrev.bklogtimeMark.fOSSnapshot == 1);
    CHECK(info.bkinfoFullCur.genLow == 0 && info.bkinfoIncPrev.genLow == 0);

    /* Incremental ones build on it, streamed ones do not. */
    EXPECT(JET_errMissingFullBackup, JetBeginExternalBackupInstance(instance, JET_bitBackupIncremental));
    last = roll();
    take(4, last, JET_bitBackupIncremental, JET_bitBackupEndNormal | JET_bitBackupTruncateDone);
    info = facts(database);
    CHECK(info.bkinfoIncPrev.genLow == 4 && info.bkinfoIncPrev.genHigh == last);
    CHECK(info.bkinfoIncPrev.bklogtimeMark.fOSSnapshot == 1 && info.bkinfoFullPrev.genHigh == 3);

    /* The wrong end ends either kind. */
    EXPECT(JET_errSuccess, JetBeginSurrogateBackup(instance, 1, 1, 0));
    EXPECT(JET_errSurrogateBackupInProgress, JetEndExternalBackupInstance(instance));
    EXPECT(JET_errNoBackup, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errBackupInProgress, JetBeginSurrogateBackup(instance, 1, 1, 0));
    EXPECT(JET_errBackupInProgress, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));
    EXPECT(JET_errNoBackup, JetEndExternalBackupInstance(instance));

    /* Another sort of copy that only internal callers take: a streamed one that nothing builds on. */
    EXPECT(JET_errInvalidGrbit, JetBeginExternalBackupInstance(instance, 0x40)); /* JET_bitInternalCopy */
    EXPECT(JET_errInvalidParameter, openese_begin_internal_copy(instance + 1));
    EXPECT(JET_errSuccess, openese_begin_internal_copy(instance));
    EXPECT(JET_errBackupInProgress, openese_begin_internal_copy(instance));
    {
        char list[8192];
        JET_DBINFOMISC4 before = facts(database);
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, sizeof list, NULL));
        CHECK(read_all(instance, list, backup) == 1);
        EXPECT(JET_errSuccess, JetGetLogInfoInstanceA(instance, list, sizeof list, NULL));
        CHECK(read_all(instance, list, backup) >= 1);
        EXPECT(JET_errSuccess, JetEndExternalBackupInstance(instance));
        info = facts(database);
        CHECK(memcmp(&info.bkinfoFullPrev, &before.bkinfoFullPrev, sizeof info.bkinfoFullPrev) == 0);
        CHECK(info.bkinfoCopyPrev.genHigh > before.bkinfoCopyPrev.genHigh);
    }

    /* Databases come and go again. */
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, second, 0));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, second));

    /* The service stops; only an end of the instance that may stop a backup ends this one. */
    EXPECT(JET_errSuccess, JetBeginSurrogateBackup(instance, 1, 1, 0));
    EXPECT(JET_errSuccess, JetStopServiceInstance(instance));
    EXPECT(JET_errClientRequestToStopJetService, JetBeginSurrogateBackup(instance, 1, 1, 0));
    EXPECT(JET_errClientRequestToStopJetService, JetEndSurrogateBackup(instance, JET_bitBackupEndNormal));
    EXPECT(JET_errSurrogateBackupInProgress, JetTerm(instance));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete | JET_bitTermStopBackup));
    info = facts(database);
    CHECK(info.dbstate == JET_dbstateCleanShutdown && info.bkinfoIncPrev.genHigh == last);

    /* The record outlives the instance. */
    instance = create("again", logs);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    EXPECT(JET_errSuccess, JetBeginSurrogateBackup(instance, last, last + 1, JET_bitBackupIncremental));
    EXPECT(JET_errSuccess, JetEndSurrogateBackup(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, JetTerm(instance));
    return 0;
}
