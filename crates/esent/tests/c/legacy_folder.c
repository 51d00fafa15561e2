/* JetBackup, JetRestore and JetRestore2 in a process with one instance, in one form of text.
 *
 * Arguments: A or W; the database; a folder for logs; one for the backup; one to restore to. */
#include "support.h"

static int wide;

static JET_ERR back_up(const char *folder, JET_GRBIT grbit)
{
    JET_WCHAR text[UNITS];
    JET_PFNSTATUS callback = watch(JET_snpBackup);
    if (wide)
        return JetBackupW(folder ? widen(text, folder) : NULL, grbit, callback);
    return JetBackupA(folder, grbit, callback);
}

static JET_ERR restore(const char *folder)
{
    JET_WCHAR text[UNITS];
    JET_PFNSTATUS callback = watch(JET_snpRestore);
    if (wide)
        return JetRestoreW(folder ? widen(text, folder) : NULL, callback);
    return JetRestoreA(folder, callback);
}

static JET_ERR restore_to(const char *folder, const char *target)
{
    JET_WCHAR text[UNITS], target_text[UNITS];
    JET_PFNSTATUS callback = watch(JET_snpRestore);
    if (wide)
        return JetRestore2W(widen(text, folder), target ? widen(target_text, target) : NULL, callback);
    return JetRestore2A(folder, target, callback);
}

static JET_SESID start(const char *database)
{
    JET_WCHAR text[UNITS];
    JET_SESID session = 0;
    EXPECT(JET_errSuccess, JetInit(NULL));
    EXPECT(JET_errSuccess, JetBeginSessionA(0, &session, NULL, NULL));
    if (wide)
        EXPECT(JET_errSuccess, JetAttachDatabaseW(session, widen(text, database), 0));
    else
        EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    return session;
}

static void stop(JET_SESID session)
{
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, NULL));
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errSuccess, JetTerm(0));
}

/* A restored database is clean and knows of no backup. */
static void check_restored(const char *database)
{
    JET_DBINFOMISC4 info = facts(database);
    CHECK(seen.begins == 1 && seen.completes == 1 && seen.last == 100);
    CHECK(info.dbstate == JET_dbstateCleanShutdown);
    CHECK(info.bkinfoFullCur.genLow == 0 && info.bkinfoFullPrev.genLow == 0 && info.bkinfoIncPrev.genLow == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    wide = argv[1][0] == 'W';
    const char *database = argv[2], *logs = argv[3], *backup = argv[4], *restored = argv[5];
    char path[UNITS], new_logs[UNITS], target[UNITS];
    JET_SESID session;
    JET_DBINFOMISC4 info, original = facts(database);

    EXPECT(JET_errNotInitialized, back_up(backup, 0));
    set_folders(NULL, logs);

    /* A full backup, then two that add to it. */
    session = start(database);
    EXPECT(JET_errMissingFullBackup, back_up(backup, JET_bitBackupIncremental));
    EXPECT(JET_errInvalidGrbit, back_up(backup, JET_bitBackupSnapshot));
    EXPECT(JET_errInvalidGrbit, back_up(backup, 0x40000000));
    EXPECT(JET_errInvalidPath, back_up(join(path, backup, "no/such/folder"), 0));
    CHECK(seen.begins == 0 && seen.completes == 0);
    EXPECT(JET_errSuccess, back_up(backup, 0));
    CHECK(seen.begins == 1 && seen.completes == 1 && seen.last == 100);
    EXPECT(JET_errBackupDirectoryNotEmpty, back_up(backup, 0));
    info = facts(database);
    CHECK(info.bkinfoFullPrev.genLow >= 1 && info.bkinfoIncPrev.genLow == 0);
    EXPECT(JET_errSuccess, back_up(backup, JET_bitBackupIncremental));
    CHECK(seen.begins == 0 && seen.completes == 0); /* Only full backups report. */
    CHECK(facts(database).bkinfoIncPrev.genHigh > info.bkinfoFullPrev.genHigh);
    EXPECT(JET_errSuccess, back_up(backup, JET_bitBackupIncremental));
    join(path, backup, name_of(database));
    CHECK(facts(path).bkinfoFullCur.genLow == info.bkinfoFullPrev.genLow);

    /* A restore needs an instance at rest, and leaves it at rest. */
    EXPECT(JET_errAlreadyInitialized, restore(backup));
    EXPECT(JET_errAlreadyInitialized, restore_to(backup, restored));
    stop(session);
    EXPECT(JET_errInvalidParameter, restore(NULL));
    EXPECT(JET_errInvalidPath, restore(""));
    EXPECT(JET_errNotInitialized, JetStopBackup());

    /* To where the database was; its logs go on. */
    CHECK(remove(database) == 0);
    EXPECT(JET_errSuccess, restore(backup));
    check_restored(database);
    info = facts(database);
    CHECK(memcmp(&info.signDb, &original.signDb, sizeof original.signDb) == 0);
    EXPECT(JET_errNotInitialized, back_up(backup, 0));
    session = start(database);
    /* What a restore brought back needs a new full backup. */
    EXPECT(JET_errMissingFullBackup, back_up(backup, JET_bitBackupIncremental));
    join(path, restored, "again");
    EXPECT(JET_errInvalidPath, back_up(path, 0));
    set_number(NULL, JET_paramCreatePathIfNotExist, 1);
    EXPECT(JET_errSuccess, back_up(path, JET_bitBackupAtomic));
    EXPECT(JET_errSuccess, back_up(path, JET_bitBackupAtomic));
    EXPECT(JET_errSuccess, back_up(NULL, 0));
    stop(session);

    /* To another place, with logs of its own; the atomic backup is found in its folder. */
    set_folders(NULL, join(new_logs, restored, "logs"));
    EXPECT(JET_errInvalidPath, restore_to(path, join(target, restored, "there")));
    /* What was set while the instance lived went with it. */
    set_number(NULL, JET_paramCreatePathIfNotExist, 1);
    EXPECT(JET_errSuccess, restore_to(path, target));
    join(path, target, name_of(database));
    check_restored(path);
    session = start(path);
    stop(session);

    /* No destination is the place where the database was. */
    set_folders(NULL, join(new_logs, restored, "logs2"));
    CHECK(remove(database) == 0);
    EXPECT(JET_errSuccess, restore_to(backup, NULL));
    check_restored(database);

    /* Nothing but the files of a backup is taken for one. */
    set_folders(NULL, join(new_logs, restored, "logs3"));
    EXPECT(JET_errFileNotFound, restore(target));
    EXPECT(JET_errInvalidPath, restore(join(path, target, "no-such-folder")));
    return 0;
}
