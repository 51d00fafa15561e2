/* Every function of backup and restore with missing and wrong arguments, in each state of an instance: the
 * documented code, and no crash.
 *
 * Arguments: the database; an empty folder. */
#include "support.h"
#include <sys/stat.h>
#include <unistd.h>

static JET_INSTANCE instance;
static JET_HANDLE handle;
static JET_ULONG size;
static void *memory;
static char logs[UNITS], there[UNITS];

/* All functions of the backup that have an instance argument, as far as they only ask for the state. */
static void each_gives(JET_INSTANCE with, JET_ERR code, const char *path)
{
    EXPECT(code, JetGetAttachInfoInstanceA(with, NULL, 0, NULL));
    EXPECT(code, JetGetAttachInfoInstanceW(with, NULL, 0, &size));
    EXPECT(code, JetOpenFileInstanceA(with, path, &handle, &size, &size));
    EXPECT(code, JetOpenFileInstanceW(with, u"/no/such/file", &handle, &size, &size));
    EXPECT(code, JetReadFileInstance(with, 1, memory, 65536, &size));
    EXPECT(code, JetCloseFileInstance(with, 1));
    EXPECT(code, JetGetLogInfoInstanceA(with, NULL, 0, NULL));
    EXPECT(code, JetGetLogInfoInstanceW(with, NULL, 0, NULL));
    EXPECT(code, JetGetLogInfoInstance2A(with, NULL, 0, NULL, NULL));
    EXPECT(code, JetGetLogInfoInstance2W(with, NULL, 0, NULL, NULL));
    EXPECT(code, JetGetTruncateLogInfoInstanceA(with, NULL, 0, NULL));
    EXPECT(code, JetGetTruncateLogInfoInstanceW(with, NULL, 0, NULL));
    EXPECT(code, JetTruncateLogInstance(with));
    EXPECT(code, JetEndExternalBackupInstance(with));
    EXPECT(code, JetEndExternalBackupInstance2(with, JET_bitBackupEndNormal));
}

/* All functions without an instance argument. */
static void each_alone_gives(JET_ERR code)
{
    EXPECT(code, JetBeginExternalBackup(0));
    EXPECT(code, JetGetAttachInfoA(NULL, 0, NULL));
    EXPECT(code, JetGetAttachInfoW(NULL, 0, NULL));
    EXPECT(code, JetOpenFileA(NULL, NULL, NULL, NULL));
    EXPECT(code, JetOpenFileW(NULL, NULL, NULL, NULL));
    EXPECT(code, JetReadFile(0, NULL, 0, NULL));
    EXPECT(code, JetCloseFile(0));
    EXPECT(code, JetGetLogInfoA(NULL, 0, NULL));
    EXPECT(code, JetGetLogInfoW(NULL, 0, NULL));
    EXPECT(code, JetTruncateLog());
    EXPECT(code, JetEndExternalBackup());
    EXPECT(code, JetBackupA(NULL, 0, NULL));
    EXPECT(code, JetBackupW(NULL, 0, NULL));
    EXPECT(code, JetStopBackup());
    EXPECT(code, JetStopService());
}

static void external_restores(const char *database)
{
    char folder[] = "/no/such/folder", empty[] = "";
    JET_WCHAR wide[] = u"/no/such/folder";
    JET_RSTMAP_A map[20] = {{.szDatabaseName = folder, .szNewDatabaseName = folder}};
    JET_RSTMAP_W wide_map = {.szDatabaseName = wide, .szNewDatabaseName = NULL};
    JET_LOGINFO_A info = {.cbSize = sizeof info, .szBaseName = "edb"};
    JET_LOGINFO_W wide_info = {.cbSize = sizeof wide_info};
    JET_ERR bad = JET_errInvalidParameter;

    EXPECT(bad, JetExternalRestoreA(NULL, logs, map, 1, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, NULL, map, 1, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 1, NULL, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, NULL, 1, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, NULL, 0, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 0, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, -1, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 15, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 2147483647, folder, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 2, folder, 0, 0, NULL)); /* The second entry is empty. */
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 1, folder, -1, 0, NULL));
    EXPECT(bad, JetExternalRestoreA(logs, logs, map, 1, folder, 0, -2147483647 - 1, NULL));
    EXPECT(JET_errInvalidPath, JetExternalRestoreA(empty, logs, map, 1, folder, 0, 0, NULL));
    EXPECT(JET_errInvalidPath, JetExternalRestoreA(logs, logs, map, 1, folder, 0, 0, NULL));
    EXPECT(JET_errFileNotFound, JetExternalRestoreA(logs, logs, map, 1, there, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreW(NULL, NULL, NULL, 0, NULL, 0, 0, NULL));
    EXPECT(bad, JetExternalRestoreW(wide, wide, &wide_map, 1, wide, 0, 0, NULL));
    EXPECT(bad, JetExternalRestore2A(logs, logs, map, 1, folder, NULL, NULL, NULL, NULL, NULL));
    info.cbSize = sizeof wide_info;
    EXPECT(bad, JetExternalRestore2A(logs, logs, map, 1, folder, &info, NULL, NULL, NULL, NULL));
    info.cbSize = sizeof info;
    info.ulGenLow = 0x80000000u;
    EXPECT(bad, JetExternalRestore2A(logs, logs, map, 1, folder, &info, NULL, NULL, NULL, NULL));
    info.ulGenLow = 0;
    memset(info.szBaseName, 'x', sizeof info.szBaseName); /* Without an end. */
    EXPECT(bad, JetExternalRestore2A(logs, logs, map, 1, there, &info, NULL, NULL, NULL, NULL));
    EXPECT(bad, JetExternalRestore2W(wide, wide, &wide_map, 1, wide, NULL, NULL, NULL, NULL, NULL));
    EXPECT(bad, JetExternalRestore2W(NULL, NULL, NULL, 0, NULL, &wide_info, NULL, NULL, NULL, NULL));
    /* A range that is turned over, and a file that no backup made. */
    EXPECT(JET_errFileNotFound, JetExternalRestoreA(logs, logs, map, 1, there, 5, 2, NULL));
    CHECK(facts(database).dbstate == JET_dbstateCleanShutdown);
}

static void folder_restores(JET_ERR alone)
{
    EXPECT(alone, JetRestoreA(NULL, NULL));
    EXPECT(alone, JetRestoreW(NULL, NULL));
    EXPECT(alone, JetRestore2A(NULL, NULL, NULL));
    EXPECT(alone, JetRestore2W(NULL, NULL, NULL));
}

static void in_a_backup(const char *database)
{
    char list[64];
    unsigned char *at = memory;

    EXPECT(JET_errInvalidGrbit, JetBeginExternalBackupInstance(instance, JET_bitBackupAtomic));
    EXPECT(JET_errInvalidGrbit, JetBeginExternalBackupInstance(instance, JET_bitBackupSnapshot));
    EXPECT(JET_errInvalidGrbit, JetBeginExternalBackupInstance(instance, 0xFFFFFFFFu));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, NULL, 1000, &size));
    CHECK(size > 2);
    list[0] = 'x';
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceA(instance, list, 0, &size));
    CHECK(list[0] == 'x');
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, NULL, &handle, &size, &size));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, "", &handle, &size, &size));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceW(instance, u"", &handle, &size, &size));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, database, NULL, &size, &size));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, database, &handle, NULL, &size));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, database, &handle, &size, NULL));
    EXPECT(JET_errDatabaseNotFound, JetOpenFileInstanceA(instance, "/no/such/file", &handle, &size, &size));
    EXPECT(JET_errDatabaseNotFound, JetOpenFileInstanceA(instance, logs, &handle, &size, &size));
    EXPECT(JET_errSuccess, JetOpenFileInstanceA(instance, database, &handle, &size, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, NULL, 65536, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, at + 1, 65536, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, at + 512, 65536, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, at, 0, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, at, 65535, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, handle, at, 8192, &size));
    EXPECT(JET_errInvalidParameter, JetReadFileInstance(instance, ~handle, at, 65536, &size));
    EXPECT(JET_errInvalidParameter, JetCloseFileInstance(instance, 0));
    EXPECT(JET_errInvalidParameter, JetCloseFileInstance(instance, ~handle));
    EXPECT(JET_errInvalidBackupSequence, JetGetLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errInvalidBackupSequence, JetGetTruncateLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errSuccess, JetReadFileInstance(instance, handle, at, 65536, NULL));
    EXPECT(JET_errSuccess, JetCloseFileInstance(instance, handle));
    EXPECT(JET_errInvalidBackupSequence, JetTruncateLogInstance(instance));
    EXPECT(JET_errSuccess, JetGetLogInfoInstance2A(instance, NULL, 0, NULL, NULL));
    EXPECT(JET_errInvalidParameter, JetOpenFileInstanceA(instance, "/etc/hostname", &handle, &size, &size));
    EXPECT(JET_errInvalidParameter, JetEndExternalBackupInstance2(instance, 0));
    EXPECT(JET_errInvalidParameter,
           JetEndExternalBackupInstance2(instance, JET_bitBackupEndNormal | JET_bitBackupEndAbort));
    EXPECT(JET_errInvalidGrbit, JetEndExternalBackupInstance2(instance, JET_bitBackupEndNormal | 0x8000));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
}

/* Folders that cannot be made: a file is in the way, or has to be a folder, or a name is too long. */
static void no_folders(const char *file)
{
    char path[UNITS], name[301];
    JET_DBINFOMISC misc;

    EXPECT(JET_errInvalidPath, JetBackupInstanceA(instance, file, 0, NULL));
    EXPECT(JET_errInvalidPath, JetBackupInstanceA(instance, file, JET_bitBackupAtomic, NULL));
    EXPECT(JET_errInvalidPath, JetBackupInstanceA(instance, join(path, file, "below"), 0, NULL));
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    EXPECT(JET_errInvalidPath, JetBackupInstanceA(instance, join(path, logs, name), 0, NULL));
    EXPECT(JET_errInvalidPath, JetGetDatabaseFileInfoA(path, &misc, sizeof misc, JET_DbInfoMisc));
    EXPECT(JET_errFileAccessDenied, JetGetDatabaseFileInfoA(logs, &misc, sizeof misc, JET_DbInfoMisc));
}

/* Nor does an instance begin in such a one. */
static void no_places(const char *file)
{
    JET_INSTANCE other;
    char path[UNITS];

    other = create("places", join(path, file, "below"));
    set_number(&other, JET_paramCreatePathIfNotExist, 1);
    EXPECT(JET_errInvalidPath, JetInit(&other));
    EXPECT(JET_errSuccess, JetTerm(other));
    other = create("places", file);
    set_number(&other, JET_paramCreatePathIfNotExist, 1);
    EXPECT(JET_errInvalidPath, JetInit(&other));
    EXPECT(JET_errSuccess, JetTerm(other));
}

/* A process whose current folder was removed does without: every path that is used is a whole one. */
static void no_current_folder(void)
{
    JET_INSTANCE other = create("nowhere", logs);
    char path[UNITS];

    CHECK(mkdir(join(path, logs, "gone"), 0700) == 0 && chdir(path) == 0 && rmdir(path) == 0);
    EXPECT(JET_errSuccess, JetInit(&other));
    EXPECT(JET_errSuccess, JetTerm(other));
}

int main(int argc, char **argv)
{
    JET_SESID session = 0;
    JET_WCHAR lone[] = {0xD800, 'x', 0};

    CHECK(argc == 3);
    const char *database = argv[1];
    join(logs, argv[2], "logs");
    strcpy(there, argv[2]);
    CHECK(posix_memalign(&memory, 4096, 65536) == 0);

    /* No instance. */
    each_alone_gives(JET_errNotInitialized);
    each_gives(0, JET_errInvalidParameter, database);
    each_gives(JET_instanceNil, JET_errInvalidParameter, database);
    each_gives(0x1234, JET_errInvalidParameter, database);
    EXPECT(JET_errInvalidParameter, JetBeginExternalBackupInstance(0, 0));
    EXPECT(JET_errInvalidParameter, JetBackupInstanceA(0, NULL, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetBackupInstanceW(JET_instanceNil, NULL, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetStopBackupInstance(0));
    EXPECT(JET_errInvalidParameter, JetStopServiceInstance(0x1234));
    EXPECT(JET_errInvalidParameter, JetTerm(0));
    EXPECT(JET_errInvalidParameter, JetRestoreInstanceA(0, NULL, NULL, NULL));
    EXPECT(JET_errInvalidParameter, JetRestoreInstanceW(0x1234, u"x", NULL, NULL));
    folder_restores(JET_errInvalidParameter);
    external_restores(database);
    each_alone_gives(JET_errNotInitialized); /* Nothing was left behind. */

    /* Created only. */
    EXPECT(JET_errInvalidParameter, JetCreateInstanceA(NULL, NULL));
    EXPECT(JET_errInvalidPath, JetCreateInstanceW(&instance, lone));
    instance = create("arguments", logs);
    set_number(&instance, JET_paramCreatePathIfNotExist, 1);
    each_alone_gives(JET_errRunningInMultiInstanceMode);
    folder_restores(JET_errRunningInMultiInstanceMode);
    each_gives(instance, JET_errNotInitialized, database);
    each_gives(instance + 1, JET_errInvalidParameter, database);
    EXPECT(JET_errNotInitialized, JetBackupInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetStopBackupInstance(instance));
    EXPECT(JET_errInvalidParameter, JetStopServiceInstance(instance));
    EXPECT(JET_errInvalidParameter, JetStopServiceInstance2(instance, JET_bitStopServiceQuiesceCaches));
    no_places(database);
    EXPECT(JET_errInvalidParameter, JetRestoreInstanceA(instance, NULL, NULL, NULL));
    EXPECT(JET_errInvalidPath, JetRestoreInstanceA(instance, "", NULL, NULL));
    EXPECT(JET_errInvalidPath, JetRestoreInstanceA(instance, "\xFF\xFE", NULL, NULL));
    EXPECT(JET_errInvalidPath, JetRestoreInstanceW(instance, lone, NULL, NULL));
    EXPECT(JET_errInvalidPath, JetRestoreInstanceA(instance, "/no/such/folder", NULL, NULL));
    EXPECT(JET_errInvalidParameter, JetRestoreInstanceA(0, "/no/such/folder", NULL, NULL));

    /* Running. */
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, database, 0));
    each_gives(instance, JET_errNoBackup, database);
    no_folders(database);
    set_number(&instance, JET_paramCreatePathIfNotExist, 0);
    EXPECT(JET_errInvalidPath, JetBackupInstanceA(instance, "/no/such/folder", 0, NULL));
    EXPECT(JET_errInvalidPath, JetBackupInstanceW(instance, lone, 0, NULL));
    EXPECT(JET_errInvalidGrbit, JetBackupInstanceA(instance, NULL, 0x10, NULL));
    EXPECT(JET_errAlreadyInitialized, JetRestoreInstanceA(instance, "/no/such/folder", NULL, NULL));
    EXPECT(JET_wrnNyi, JetSnapshotStartA(instance, NULL, 0));
    EXPECT(JET_wrnNyi, JetSnapshotStartW(0, NULL, 0));
    EXPECT(JET_wrnNyi, JetSnapshotStop(instance, 7));
    in_a_backup(database);
    each_gives(instance, JET_errNoBackup, database);
    EXPECT(JET_errInvalidParameter, JetGetInstanceInfoA(NULL, NULL));
    EXPECT(JET_errInvalidParameter, JetGetInstanceInfoW(&size, NULL));
    EXPECT(JET_errSuccess, JetTerm(instance));
    each_gives(instance, JET_errInvalidParameter, database);
    each_alone_gives(JET_errNotInitialized);
    no_current_folder();
    free(memory);
    return 0;
}
