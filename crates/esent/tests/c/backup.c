/* A full and an incremental backup through the external functions, hard recovery from both, and the
 * backup to a folder with its restore.
 *
 * Arguments: the database; a folder for logs; a folder for the backup; one for the engine's own backup; one
 * to restore to. */
#include "check.h"
#include "esent.h"
#include <string.h>

#define PATH 1024
#define CHUNK (256 * 1024)

static int begins, completes, last_progress;

static JET_ERR status(JET_SESID sesid, JET_SNP snp, JET_SNT snt, void *pv)
{
    JET_SNPROG *progress = pv;
    CHECK(sesid == JET_sesidNil);
    CHECK(snp == JET_snpBackup || snp == JET_snpRestore);
    CHECK(progress->cbStruct == sizeof *progress && progress->cunitTotal == 100);
    CHECK(progress->cunitDone <= 100);
    if (snt == JET_sntBegin) {
        begins++;
        last_progress = 0;
    }
    CHECK((int)progress->cunitDone >= last_progress);
    last_progress = (int)progress->cunitDone;
    if (snt == JET_sntComplete)
        completes++;
    return -1; /* Must not matter. */
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void join(char *out, const char *folder, const char *name)
{
    CHECK(snprintf(out, PATH, "%s/%s", folder, name) < PATH);
}

static void set_text(JET_INSTANCE *instance, JET_ULONG parameter, const char *text)
{
    EXPECT(JET_errSuccess, JetSetSystemParameterA(instance, JET_sesidNil, parameter, 0, text));
}

static void set_number(JET_INSTANCE *instance, JET_ULONG parameter, JET_API_PTR number)
{
    EXPECT(JET_errSuccess, JetSetSystemParameterA(instance, JET_sesidNil, parameter, number, NULL));
}

static JET_INSTANCE create(const char *name, const char *folder)
{
    JET_INSTANCE instance = 0;
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, name));
    set_text(&instance, JET_paramLogFilePath, folder);
    set_text(&instance, JET_paramSystemPath, folder);
    set_text(&instance, JET_paramTempPath, folder);
    set_number(&instance, JET_paramLogFileSize, 128);
    set_number(&instance, JET_paramMaxTemporaryTables, 0);
    return instance;
}

/* Reads one file of the backup to a file of the same name in `folder`. */
static void copy(JET_INSTANCE instance, const char *path, const char *folder)
{
    JET_HANDLE handle = 0;
    JET_ULONG low = 0, high = 0, got = 0;
    unsigned long long size, sum = 0;
    char target[PATH];
    void *memory = NULL;
    FILE *out;
    int reads = 0;

    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, path, NULL, &low, &high));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, path, &handle, NULL, &high));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, NULL, &handle, &low, &high));
    EXPECT(JET_errSuccess, JetOpenFileInstanceA(instance, path, &handle, &low, &high));
    size = ((unsigned long long)high << 32) | low;
    /* One file at a time; whole pages; a buffer at a memory page. */
    EXPECT(JET_errOutOfMemory, JetOpenFileInstanceA(instance, path, &handle, &low, &high));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, memory, 4095, &got));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, memory, 4096, &got));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, (char *)memory + 8, CHUNK / 2, &got));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, NULL, CHUNK, &got));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle + 1, memory, CHUNK, &got));

    join(target, folder, name_of(path));
    CHECK((out = fopen(target, "wb")) != NULL);
    for (;;) {
        EXPECT(JET_errSuccess, JetReadFileInstance(instance, handle, memory, CHUNK, &got));
        if (got == 0)
            break;
        CHECK(fwrite(memory, 1, got, out) == got);
        sum += got;
        CHECK(++reads < 100000);
    }
    CHECK(fclose(out) == 0);
    CHECK(sum == size);
    EXPECT(JET_errInvalidParameter, JetCloseFileInstance(instance, handle + 1));
    EXPECT(JET_errSuccess, JetCloseFileInstance(instance, handle));
    EXPECT(JET_errInvalidParameter, JetCloseFileInstance(instance, handle));
    free(memory);
}

/* Copies all files of a doubly terminated list; says how many. */
static int copy_all(JET_INSTANCE instance, const char *list, const char *folder)
{
    int count = 0;
    for (; *list; list += strlen(list) + 1, count++)
        copy(instance, list, folder);
    return count;
}

static void back_up(JET_INSTANCE instance, JET_SESID session, const char *database, const char *folder,
                    JET_GRBIT grbit, JET_LOGINFO_A *range)
{
    char list[8192];
    JET_WCHAR wide[8192];
    JET_ULONG size = 0, again = 0, cut = 0;

    EXPECT(JET_errNoBackup, JetGetAttachInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errInvalidGrbit, JetBeginExternalBackupInstance(instance, 0x4000));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, grbit));
    EXPECT(JET_errBackupInProgress, JetBeginExternalBackupInstance(instance, grbit));
    EXPECT(JET_errBackupInProgress, JetDetachDatabaseA(session, database));
    if (grbit == 0) {
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, NULL, 0, &size));
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, sizeof list, &again));
        CHECK(size == again && size >= 2 && list[size - 1] == 0 && list[size - 2] == 0);
        CHECK(strcmp(name_of(list), name_of(database)) == 0);
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceW(instance, wide, sizeof wide, &again));
        CHECK(again == 2 * size);
        /* What does not fit is cut, and the size tells. */
        list[5] = 'X';
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, 5, &cut));
        CHECK(cut == size && list[5] == 'X');
        EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, sizeof list, NULL));
        CHECK(copy_all(instance, list, folder) == 1);
    } else {
        EXPECT(JET_errInvalidBackupSequence, JetGetAttachInfoInstanceA(instance, list, sizeof list, &size));
    }
    memset(range, 0, sizeof *range);
    range->cbSize = 1;
    EXPECT(JET_errInvalidParameter, JetGetLogInfoInstance2A(instance, list, sizeof list, &size, range));
    range->cbSize = sizeof *range;
    EXPECT(JET_errSuccess, JetGetLogInfoInstance2A(instance, list, sizeof list, &size, range));
    CHECK(range->ulGenLow >= 1 && range->ulGenHigh >= range->ulGenLow);
    CHECK(strcmp(range->szBaseName, "edb") == 0);
    EXPECT(JET_errLogFileNotCopied, JetTruncateLogInstance(instance));
    CHECK(copy_all(instance, list, folder) == (int)(range->ulGenHigh - range->ulGenLow + 1));
    EXPECT(JET_errSuccess, JetGetTruncateLogInfoInstanceA(instance, list, sizeof list, &size));
    EXPECT(JET_errSuccess, JetTruncateLogInstance(instance));
    EXPECT(JET_errInvalidParameter, JetEndExternalBackupInstance2(instance, 0));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndNormal));
    EXPECT(JET_errNoBackup, JetEndExternalBackupInstance(instance));
}

static JET_DBINFOMISC4 facts(const char *database)
{
    JET_DBINFOMISC4 info;
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &info, sizeof info, JET_DbInfoMisc));
    return info;
}


static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    CHECK(in && out);
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        CHECK(fwrite(bytes, 1, n, out) == n);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* A restored database is clean and can be attached by any instance. */
static void use(const char *database, const char *name, const char *logs)
{
    JET_INSTANCE instance = create(name, logs);
    JET_SESID session = 0;
    JET_DBINFOMISC4 info = facts(database);
    CHECK(info.dbstate == JET_dbstateCleanShutdown);
    CHECK(info.bkinfoFullCur.genLow == 0 && info.bkinfoFullPrev.genLow == 0);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, NULL));
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
}

static void restore_external(const char *database, const char *backup, const char *restored,
                             JET_LOGINFO_A *full, JET_LOGINFO_A *incremental)
{
    char copied[PATH], target[PATH], logs[PATH];
    JET_RSTMAP_A map = {(char *)database, target};
    JET_LOGINFO_A range = *full;

    join(copied, backup, name_of(database));
    join(target, restored, "first.edb");
    join(logs, restored, "logs1");
    copy_file(copied, target);
    range.ulGenHigh = incremental->ulGenHigh;

    EXPECT(JET_errInvalidParameter, JetExternalRestoreA(logs, logs, &map, -1, (char *)backup, 0, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetExternalRestoreA(logs, logs, NULL, 1, (char *)backup, 0, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetExternalRestoreA(logs, logs, &map, 15, (char *)backup, 0, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetExternalRestoreA(NULL, logs, &map, 1, (char *)backup, 0, 0, NULL));
    EXPECT(JET_errInvalidParameter,
           JetExternalRestore2A(logs, logs, &map, 1, (char *)backup, NULL, NULL, NULL, NULL, NULL));
    EXPECT(JET_errInvalidParameter,
           JetExternalRestore2A(logs, logs, &map, 1, (char *)backup, &range, NULL, logs, NULL, NULL));
    EXPECT(JET_errBadRestoreTargetInstance,
           JetExternalRestore2A(logs, logs, &map, 1, (char *)backup, &range, "nobody", NULL, NULL, NULL));
    /* The logs must be all that the copy needs. */
    EXPECT(JET_errFileNotFound, JetExternalRestoreA(logs, logs, &map, 1, (char *)backup, 0, 10000, NULL));
    if (full->ulGenLow < full->ulGenHigh)
        EXPECT(JET_errEndingRestoreLogTooLow, JetExternalRestoreA(logs, logs, &map, 1, (char *)backup,
                                                                  (JET_LONG)full->ulGenLow,
                                                                  (JET_LONG)full->ulGenLow, NULL));
    EXPECT(JET_errStartingRestoreLogTooHigh,
           JetExternalRestoreA(logs, logs, &map, 1, (char *)backup, (JET_LONG)range.ulGenHigh,
                               (JET_LONG)range.ulGenHigh, NULL));
    begins = completes = 0;
    EXPECT(JET_errSuccess,
           JetExternalRestore2A(logs, logs, &map, 1, (char *)backup, &range, NULL, NULL, NULL, status));
    CHECK(begins == 1 && completes == 1);
    /* It is no copy of a backup any more. */
    EXPECT(JET_errRestoreOfNonBackupDatabase,
           JetExternalRestoreA(logs, logs, &map, 1, (char *)backup, 0, 0, NULL));
    use(target, "first", logs);
}

static JET_INSTANCE restoring;

/* What the instance of a restore says while it runs. */
static JET_ERR status_of_restore(JET_SESID sesid, JET_SNP snp, JET_SNT snt, void *pv)
{
    JET_SESID session;
    EXPECT(JET_errRestoreInProgress, JetBeginExternalBackupInstance(restoring, 0));
    EXPECT(JET_errRestoreInProgress, JetEndExternalBackupInstance(restoring));
    EXPECT(JET_errRestoreInProgress, JetBackupInstanceA(restoring, NULL, 0, NULL));
    EXPECT(JET_errRestoreInProgress, JetRestoreInstanceA(restoring, "anywhere", NULL, NULL));
    EXPECT(JET_errRestoreInProgress, JetInit(&restoring));
    EXPECT(JET_errRestoreInProgress, JetBeginSessionA(restoring, &session, NULL, NULL));
    return status(sesid, snp, snt, pv);
}

static void restore_own(const char *database, const char *backup, const char *restored)
{
    char target[PATH], logs[PATH], folder[PATH];
    JET_INSTANCE instance;

    join(logs, restored, "logs2");
    join(folder, restored, "second");
    join(target, folder, name_of(database));
    instance = create("own", logs);
    EXPECT(JET_errInvalidParameter, JetRestoreInstanceA(instance, NULL, folder, NULL));
    EXPECT(JET_errRunningInMultiInstanceMode, JetRestoreA(backup, NULL));
    EXPECT(JET_errInvalidPath, JetRestoreInstanceA(instance, backup, folder, NULL));
    set_number(&instance, JET_paramCreatePathIfNotExist, 1);
    begins = completes = 0;
    restoring = instance;
    EXPECT(JET_errSuccess, JetRestoreInstanceA(instance, backup, folder, status_of_restore));
    CHECK(begins == 1 && completes == 1);
    EXPECT(JET_errNotInitialized, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
    use(target, "second", logs);
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    const char *database = argv[1], *logs = argv[2], *backup = argv[3], *folder_backup = argv[4], *restored = argv[5];
    char path[PATH], text[64];
    JET_INSTANCE instance, other;
    JET_SESID session = 0, second = 0;
    JET_DBID dbid = JET_dbidNil;
    JET_ULONG count = 99, version = 0;
    JET_INSTANCE_INFO_A *running = NULL;
    JET_LOGINFO_A full, incremental;
    JET_DBINFOMISC4 live, before;

    /* Nothing runs yet. */
    EXPECT(JET_errNotInitialized, JetBeginExternalBackup(0));
    EXPECT(JET_errNotInitialized, JetBackupA(NULL, 0, NULL));
    EXPECT(JET_errNotInitialized, JetEndExternalBackup());
    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 0);
    before = facts(database);
    CHECK(before.dbstate == JET_dbstateCleanShutdown);

    instance = create("backup", logs);
    EXPECT(JET_errNotInitialized, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errInvalidParameter, JetBeginExternalBackupInstance(instance + 1, 0));
    EXPECT(JET_errNotInitialized, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errInvalidGrbit, JetInit2(&instance, 0x40000000));
    EXPECT(JET_errSuccess, JetInit3A(&instance, NULL, 0));
    EXPECT(JET_errAlreadyInitialized, JetInit(&instance));
    EXPECT(JET_errRunningInMultiInstanceMode, JetInit(NULL));
    EXPECT(JET_errRunningInMultiInstanceMode, JetBeginExternalBackup(0));
    EXPECT(JET_errRunningInMultiInstanceMode, JetEndExternalBackup());
    EXPECT(JET_errRunningInMultiInstanceMode, JetBackupA(NULL, 0, NULL));
    EXPECT(JET_errRunningInMultiInstanceMode, JetStopBackup());
    EXPECT(JET_errNoBackup, JetEndExternalBackupInstance(instance));
    EXPECT(JET_errInvalidParameter, JetEndExternalBackupInstance(instance + 1));
    EXPECT(JET_errInvalidParameter, JetBackupInstanceA(instance + 1, NULL, 0, NULL));
    EXPECT(JET_errInvalidGrbit, JetBackupInstanceA(instance, NULL, JET_bitBackupSnapshot, NULL));
    EXPECT(JET_errAlreadyInitialized,
           JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFileSize, 256, NULL));
    /* The folder is taken. */
    other = create("another", logs);
    EXPECT(JET_errLogFilePathInUse, JetInit(&other));
    EXPECT(JET_errSuccess, JetTerm(other));
    EXPECT(JET_errInvalidParameter, JetTerm(other));

    EXPECT(JET_errInvalidParameter, JetBeginSessionA(instance, NULL, NULL, NULL));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetBeginSessionW(instance, &second, u"user", u"password"));
    EXPECT(JET_errSuccess, JetEndSession(second, 0));
    EXPECT(JET_errInvalidSesid, JetEndSession(second, 0));
    EXPECT(JET_errSuccess, JetGetVersion(session, &version));
    CHECK(((version & 0x00FFFFFF) >> 8) == 19041);
    EXPECT(JET_errDatabaseNotFound, JetOpenDatabaseA(session, database, NULL, &dbid, 0));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    EXPECT(JET_wrnDatabaseAttached, JetAttachDatabase2A(session, database, 0, 0));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(session, database, NULL, &dbid, 0));
    CHECK(dbid != JET_dbidNil);
    EXPECT(JET_errDatabaseInUse, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetCloseDatabase(session, dbid, 0));
    EXPECT(JET_errInvalidDatabaseId, JetCloseDatabase(session, dbid, 0));

    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 1 && running[0].hInstanceId == instance && running[0].cDatabases == 1);
    CHECK(strcmp(running[0].szInstanceName, "backup") == 0);
    CHECK(strcmp(name_of(running[0].szDatabaseFileName[0]), name_of(database)) == 0);
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));
    EXPECT(JET_errInvalidParameter, JetFreeBuffer((char *)running));

    /* Without a full backup there is none to add to. */
    EXPECT(JET_errMissingFullBackup, JetBeginExternalBackupInstance(instance, JET_bitBackupIncremental));
    back_up(instance, session, database, backup, 0, &full);
    live = facts(database);
    CHECK(live.bkinfoFullPrev.genLow == full.ulGenLow && live.bkinfoFullPrev.genHigh == full.ulGenHigh);
    CHECK(live.bkinfoFullCur.genLow == 0 && live.bkinfoIncPrev.genLow == 0);
    back_up(instance, session, database, backup, JET_bitBackupIncremental, &incremental);
    CHECK(incremental.ulGenLow == full.ulGenHigh + 1);
    live = facts(database);
    CHECK(live.bkinfoIncPrev.genHigh == incremental.ulGenHigh);

    /* The copy says that it is part of a backup. */
    join(path, backup, name_of(database));
    before = facts(path);
    CHECK(before.bkinfoFullCur.genLow == full.ulGenLow);

    /* A backup that its owner stops, and one that its client gives up. */
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errBackupInProgress, JetTerm(instance));
    EXPECT(JET_errSuccess, JetStopBackupInstance(instance));
    EXPECT(JET_errBackupAbortByServer, JetGetAttachInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errBackupAbortByServer, JetEndExternalBackupInstance(instance));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(-800, JetEndExternalBackupInstance(instance)); /* errBackupAbortByCaller, no public name */

    /* The engine can do it all by itself. */
    EXPECT(JET_errInvalidGrbit, JetBackupInstanceA(instance, folder_backup, 0x4000, NULL));
    EXPECT(JET_errSuccess, JetBackupInstanceA(instance, folder_backup, 0, status));
    CHECK(begins == 1 && completes == 1);
    EXPECT(JET_errSuccess, JetBackupInstanceA(instance, folder_backup, JET_bitBackupIncremental, status));
    CHECK(begins == 1 && completes == 1);
    join(path, folder_backup, name_of(database));
    CHECK(facts(path).bkinfoFullCur.genLow != 0);
    EXPECT(JET_errSuccess, JetBackupInstanceA(instance, NULL, 0, NULL));

    EXPECT(JET_errSuccess, JetStopServiceInstance(instance));
    EXPECT(JET_errClientRequestToStopJetService, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));
    EXPECT(JET_errInvalidSesid, JetEndSession(session, 0));
    CHECK(facts(database).dbstate == JET_dbstateCleanShutdown);
    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 0);

    restore_external(database, backup, restored, &full, &incremental);
    restore_own(database, folder_backup, restored);
    snprintf(text, sizeof text, "%u %u\n", (unsigned)full.ulGenLow, (unsigned)incremental.ulGenHigh);
    fputs(text, stdout);
    return 0;
}
