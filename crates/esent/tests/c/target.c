/* JetExternalRestore2 into the logs of an instance, which runs or rests.
 *
 * Arguments: the database; a folder for logs; one for the backup; one to restore to. */
#include "support.h"

static const char *database, *logs, *backup, *restored;
/* The folder of the target's checkpoint. */
static char checkpoint[UNITS];
static JET_LOGINFO_A range;

/* A fresh copy out of the backup. */
static void copy_to(char *target, const char *name)
{
    char bytes[4096], from[UNITS];
    size_t n;
    FILE *in, *out;

    CHECK((in = fopen(join(from, backup, name_of(database)), "rb")) != NULL);
    CHECK((out = fopen(join(target, restored, name), "wb")) != NULL);
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        CHECK(fwrite(bytes, 1, n, out) == n);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

static JET_ERR restore(const char *copy, const char *work, const char *name, const char *log, const char *checkpoint)
{
    char folder[UNITS], old[UNITS], new[UNITS];
    JET_RSTMAP_A map;

    strcpy(old, database);
    strcpy(new, copy);
    map.szDatabaseName = old;
    map.szNewDatabaseName = new;
    join(folder, restored, work);
    return JetExternalRestore2A(folder, folder, &map, 1, (char *)backup, &range, (char *)name, (char *)log,
                                (char *)checkpoint, watch(JET_snpRestore));
}

static JET_ERR restore_wide(const char *copy, const char *work, const char *name)
{
    char folder[UNITS];
    JET_WCHAR old[UNITS], new[UNITS], wide_folder[UNITS], wide_backup[UNITS], wide_name[UNITS];
    JET_RSTMAP_W map;
    JET_LOGINFO_W wide = {.cbSize = sizeof wide, .ulGenLow = range.ulGenLow, .ulGenHigh = range.ulGenHigh};

    for (int i = 0; i < 4; i++)
        wide.szBaseName[i] = (JET_WCHAR)range.szBaseName[i];
    map.szDatabaseName = (JET_WCHAR *)widen(old, database);
    map.szNewDatabaseName = (JET_WCHAR *)widen(new, copy);
    widen(wide_folder, join(folder, restored, work));
    widen(wide_backup, backup);
    widen(wide_name, name);
    return JetExternalRestore2W(wide_folder, wide_folder, &map, 1, wide_backup, &wide, wide_name, NULL, NULL,
                                watch(JET_snpRestore));
}

static void check_done(const char *copy)
{
    JET_DBINFOMISC4 info = facts(copy);
    CHECK(seen.begins == 1 && seen.completes == 1);
    CHECK(info.dbstate == JET_dbstateCleanShutdown && info.bkinfoFullCur.genLow == 0);
}

static int is_there(const char *folder, const char *name)
{
    char path[UNITS];
    FILE *file = fopen(join(path, folder, name), "rb");
    if (file)
        CHECK(fclose(file) == 0);
    return file != NULL;
}

/* The logs that exist now become archives. */
static void roll(JET_INSTANCE instance)
{
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
}

static void refusals(const char *copy)
{
    char base = range.szBaseName[0];
    JET_ULONG size = range.cbSize;

    EXPECT(JET_errInvalidParameter, restore(copy, "w0", "The target", logs, logs));
    EXPECT(JET_errInvalidParameter, restore(copy, "w0", NULL, logs, NULL));
    EXPECT(JET_errInvalidParameter, restore(copy, "w0", NULL, NULL, logs));
    EXPECT(JET_errInvalidParameter, restore(copy, "w0", "", "", logs));
    EXPECT(JET_errBadRestoreTargetInstance, restore(copy, "w0", "Nobody", NULL, NULL));
    range.szBaseName[0] = 'x';
    EXPECT(JET_errBadRestoreTargetInstance, restore(copy, "w0", "The target", NULL, NULL));
    range.szBaseName[0] = base;
    range.cbSize = 5;
    EXPECT(JET_errInvalidParameter, restore(copy, "w0", "The target", NULL, NULL));
    range.cbSize = size;
    CHECK(seen.begins == 0 && facts(copy).bkinfoFullCur.genLow != 0);
}

int main(int argc, char **argv)
{
    char list[8192], copy[UNITS];
    JET_INSTANCE instance = 0;
    JET_SESID session = 0;
    JET_ULONG count = 0;
    JET_INSTANCE_INFO_A *running = NULL;

    CHECK(argc == 5);
    database = argv[1], logs = argv[2], backup = argv[3], restored = argv[4];
    join(checkpoint, restored, "checkpoint");
    EXPECT(JET_errSuccess, JetCreateInstance2A(&instance, "target", "The target", 0));
    set_folders(&instance, logs);
    set_text(&instance, JET_paramSystemPath, checkpoint);
    set_number(&instance, JET_paramCreatePathIfNotExist, 1);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, sizeof list, NULL));
    CHECK(read_all(instance, list, backup) == 1);
    range.cbSize = sizeof range;
    EXPECT(JET_errSuccess, JetGetLogInfoInstance2A(instance, list, sizeof list, NULL, &range));
    CHECK(read_all(instance, list, backup) >= 1);
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance(instance));
    roll(instance);
    roll(instance);

    copy_to(copy, "named.edb");
    refusals(copy);
    EXPECT(JET_wrnTargetInstanceRunning, restore(copy, "w1", "The target", NULL, NULL));
    check_done(copy);
    copy_to(copy, "wide.edb");
    EXPECT(JET_wrnTargetInstanceRunning, restore_wide(copy, "w2", "target"));
    check_done(copy);
    copy_to(copy, "folders.edb");
    /* The folder of its logs first, then that of its checkpoint. The other way round they are nobody's that runs, and
     * cannot be had. */
    EXPECT(JET_errLogFilePathInUse, restore(copy, "w3", NULL, checkpoint, logs));
    CHECK(facts(copy).bkinfoFullCur.genLow != 0);
    EXPECT(JET_wrnTargetInstanceRunning, restore(copy, "w3", NULL, logs, checkpoint));
    check_done(copy);

    /* The target serves on, and no restore left an instance. */
    EXPECT(JET_errSuccess, JetGetInstanceInfoA(&count, &running));
    CHECK(count == 1 && running->hInstanceId == instance && running->cDatabases == 1);
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));

    /* One that rests lends its folders, and its logs go on. */
    copy_to(copy, "rest.edb");
    EXPECT(JET_errBadRestoreTargetInstance, restore(copy, "w4", "The target", NULL, NULL));
    EXPECT(JET_errSuccess, restore(copy, "w4", NULL, logs, checkpoint));
    check_done(copy);
    CHECK(is_there(checkpoint, "edb.chk") && !is_there(logs, "edb.chk"));
    CHECK(is_there(logs, "edb.log") && !is_there(checkpoint, "edb.log"));
    instance = create("again", logs);
    set_text(&instance, JET_paramSystemPath, checkpoint);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetTerm(instance));
    return 0;
}
