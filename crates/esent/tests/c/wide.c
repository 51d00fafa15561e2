/* A backup and its restores in UTF-16 text, with names outside ASCII and outside the basic plane.
 *
 * Arguments: the database; a folder for logs; one for the streamed backup; one for the engine's own backup;
 * one to restore to. All in UTF-8. */
#include "support.h"

enum { CHUNK = 128 * 1024 };

/* UTF-8 to UTF-16; the arguments are valid. */
static JET_WCHAR *utf16(JET_WCHAR *out, const char *text)
{
    const unsigned char *in = (const unsigned char *)text;
    size_t n = 0;
    while (*in) {
        unsigned more = *in < 0x80 ? 0 : *in < 0xE0 ? 1 : *in < 0xF0 ? 2 : 3;
        unsigned long point = *in++ & (more == 0 ? 0x7F : 0x3F >> more);
        while (more--)
            point = point << 6 | (*in++ & 0x3F);
        CHECK(n + 2 < UNITS);
        if (point >= 0x10000) {
            out[n++] = (JET_WCHAR)(0xD800 + ((point - 0x10000) >> 10));
            point = 0xDC00 + ((point - 0x10000) & 0x3FF);
        }
        out[n++] = (JET_WCHAR)point;
    }
    out[n] = 0;
    return out;
}

static int is_same(const JET_WCHAR *one, const JET_WCHAR *other)
{
    size_t n = length(one);
    return n == length(other) && memcmp(one, other, n * sizeof *one) == 0;
}

/* The name behind the last separator. */
static const JET_WCHAR *wide_name_of(const JET_WCHAR *path)
{
    const JET_WCHAR *name = path;
    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

/* Copies a file of the backup to `folder`, whose name for the C library is UTF-8. */
static void copy(JET_INSTANCE instance, const JET_WCHAR *path, const char *folder, const char *name)
{
    JET_HANDLE handle = 0;
    JET_ULONG low = 0, high = 1, got = 1;
    unsigned long long sum = 0;
    char target[UNITS];
    void *memory = NULL;
    FILE *out;

    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    EXPECT(JET_errSuccess, JetOpenFileInstanceW(instance, path, &handle, &low, &high));
    CHECK(high == 0 && (out = fopen(join(target, folder, name), "wb")) != NULL);
    while (got) {
        EXPECT(JET_errSuccess, JetReadFileInstance(instance, handle, memory, CHUNK, &got));
        CHECK(fwrite(memory, 1, got, out) == got);
        sum += got;
    }
    CHECK(sum == low);
    EXPECT(JET_errSuccess, JetCloseFileInstance(instance, handle));
    CHECK(fclose(out) == 0);
    free(memory);
}

static JET_INSTANCE create_wide(const JET_WCHAR *name, const char *folder)
{
    JET_INSTANCE instance = 0;
    JET_WCHAR text[UNITS], read[UNITS];

    EXPECT(JET_errSuccess, JetCreateInstance2W(&instance, name, name, 0));
    set_number(&instance, JET_paramLogFileSize, 128);
    utf16(text, folder);
    EXPECT(JET_errSuccess, JetSetSystemParameterW(&instance, 0, JET_paramLogFilePath, 0, text));
    EXPECT(JET_errSuccess, JetSetSystemParameterW(&instance, 0, JET_paramSystemPath, 0, text));
    EXPECT(JET_errSuccess, JetSetSystemParameterW(&instance, 0, JET_paramTempPath, 0, text));
    EXPECT(JET_errSuccess, JetGetSystemParameterW(instance, 0, JET_paramLogFilePath, NULL, read, sizeof read));
    CHECK(length(read) >= length(text) && memcmp(read, text, 2 * length(text)) == 0);
    return instance;
}

static JET_LOGINFO_W back_up(JET_INSTANCE instance, const char *database, const char *folder)
{
    JET_WCHAR list[8 * UNITS], cut[4] = {0xEEEE, 0xEEEE, 0xEEEE, 0xEEEE}, path[UNITS];
    JET_ULONG size = 0, again = 0;
    JET_LOGINFO_W range = {.cbSize = sizeof(JET_LOGINFO_A)};
    char name[UNITS];
    int logs = 0;

    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceW(instance, NULL, 0, &size));
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceW(instance, list, sizeof list, &again));
    CHECK(size == again && is_same(list, utf16(path, database)));
    CHECK(size == 2 * (length(path) + 2) && list[size / 2 - 2] == 0 && list[size / 2 - 1] == 0);
    EXPECT(JET_errSuccess, JetGetAttachInfoInstanceW(instance, cut, 5, &again));
    /* Sizes are bytes, in this form too: half a unit is written. */
    CHECK(again == size && memcmp(cut, list, 5) == 0 && cut[3] == 0xEEEE && ((unsigned char *)cut)[5] == 0xEE);
    copy(instance, list, folder, name_of(database));

    EXPECT(JET_errInvalidParameter, JetGetLogInfoInstance2W(instance, list, sizeof list, &size, &range));
    range.cbSize = sizeof range;
    EXPECT(JET_errSuccess, JetGetLogInfoInstance2W(instance, list, sizeof list, &size, &range));
    CHECK(range.szBaseName[0] == 'e' && range.szBaseName[2] == 'b' && range.szBaseName[3] == 0);
    EXPECT(JET_errSuccess, JetGetLogInfoInstanceW(instance, NULL, 0, &again));
    CHECK(again == size);
    for (const JET_WCHAR *log = list; *log; log += length(log) + 1, logs++)
        copy(instance, log, folder, narrow(name, wide_name_of(log)));
    CHECK(logs == (int)(range.ulGenHigh - range.ulGenLow + 1));

    /* What may be deleted: in both forms the same, the size in bytes. */
    EXPECT(JET_errSuccess, JetGetTruncateLogInfoInstanceW(instance, NULL, 0, &size));
    EXPECT(JET_errSuccess, JetGetTruncateLogInfoInstanceW(instance, list, sizeof list, NULL));
    EXPECT(JET_errSuccess, JetGetTruncateLogInfoInstanceA(instance, name, 1, &again));
    CHECK(size >= 2 && size % 2 == 0 && again >= 1);
    EXPECT(JET_errSuccess, JetTruncateLogInstance(instance));
    for (const JET_WCHAR *log = list; *log; log += length(log) + 1) {
        JET_LOGINFOMISC gone;
        EXPECT(JET_errFileNotFound, JetGetLogFileInfoW(log, &gone, sizeof gone, JET_LogInfoMisc));
    }
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance(instance));
    return range;
}

/* A freeze tells of the instance, by its name and with the path of its database. */
static void snapshot(JET_INSTANCE instance, const JET_WCHAR *database)
{
    JET_OSSNAPID id = 0;
    JET_ULONG count = 0;
    JET_INSTANCE_INFO_W *frozen = NULL, *again = NULL;

    EXPECT(JET_errSuccess, JetOSSnapshotPrepare(&id, 0));
    EXPECT(JET_errSuccess, JetOSSnapshotFreezeW(id, &count, &frozen, 0));
    CHECK(count == 1 && frozen->hInstanceId == instance && is_same(frozen->szInstanceName, u"größe"));
    CHECK(frozen->cDatabases == 1 && is_same(frozen->szDatabaseFileName[0], database));
    EXPECT(JET_errSuccess, JetOSSnapshotGetFreezeInfoW(id, &count, &again, 0));
    CHECK(count == 1 && again != frozen && is_same(again->szDatabaseFileName[0], database));
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)frozen));
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)again));
    EXPECT(JET_errSuccess, JetOSSnapshotThaw(id, 0));
}

int main(int argc, char **argv)
{
    CHECK(argc == 6);
    const char *database = argv[1], *logs = argv[2], *backup = argv[3], *own = argv[4], *restored = argv[5];
    JET_WCHAR old[UNITS], new[UNITS], path[UNITS], folder[UNITS], target[UNITS];
    char text[UNITS];
    JET_INSTANCE instance;
    JET_SESID session = 0;
    JET_RSTMAP_W map = {.szDatabaseName = old, .szNewDatabaseName = new};
    JET_INSTANCE_INFO_W *running = NULL;
    JET_ULONG count = 0;
    JET_LOGINFO_W range;
    JET_DBINFOMISC4 info;

    instance = create_wide(u"größe", logs);
    EXPECT(JET_errSuccess, JetInit3W(&instance, NULL, 0));
    EXPECT(JET_errSuccess, JetBeginSessionW(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabase2W(session, utf16(old, database), 0, 0));
    EXPECT(JET_errSuccess, JetGetInstanceInfoW(&count, &running));
    CHECK(count == 1 && is_same(running->szInstanceName, u"größe"));
    CHECK(running->cDatabases == 1 && is_same(running->szDatabaseFileName[0], old));
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));
    snapshot(instance, old);
    back_up(instance, database, backup);
    range = back_up(instance, database, backup);
    EXPECT(JET_errSuccess, JetBackupInstanceW(instance, utf16(folder, own), 0, watch(JET_snpBackup)));
    CHECK(seen.begins == 1 && seen.completes == 1);
    EXPECT(JET_errSuccess, JetBackupInstanceW(instance, folder, JET_bitBackupIncremental, NULL));
    EXPECT(JET_errSuccess, JetDetachDatabase2W(session, old, 0));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));

    /* The streamed one, where it was put. */
    utf16(new, join(text, backup, name_of(database)));
    utf16(path, join(text, restored, "logs"));
    utf16(folder, backup);
    EXPECT(JET_errInvalidParameter, JetExternalRestoreW(path, path, &map, 0, folder, 0, 0, NULL));
    EXPECT(JET_errSuccess,
           JetExternalRestoreW(path, path, &map, 1, folder, (JET_LONG)range.ulGenLow, (JET_LONG)range.ulGenHigh,
                               watch(JET_snpRestore)));
    CHECK(seen.begins == 1 && seen.completes == 1);
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoW(new, &info, sizeof info, JET_DbInfoMisc));
    CHECK(info.dbstate == JET_dbstateCleanShutdown && info.bkinfoFullCur.genLow == 0);

    /* The engine's own, to another place. */
    instance = create_wide(u"日本", join(text, restored, "more logs"));
    set_number(&instance, JET_paramCreatePathIfNotExist, 1);
    utf16(folder, own);
    utf16(target, join(text, restored, "größe"));
    EXPECT(JET_errSuccess, JetRestoreInstanceW(instance, folder, target, watch(JET_snpRestore)));
    CHECK(seen.begins == 1 && seen.completes == 1);
    EXPECT(JET_errSuccess, JetTerm(instance));
    snprintf(text, sizeof text, "%s/größe/%s", restored, name_of(database));
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoW(utf16(path, text), &info, sizeof info, JET_DbInfoMisc));
    CHECK(info.dbstate == JET_dbstateCleanShutdown);
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(text, &info, sizeof info, JET_DbInfoMisc));
    return 0;
}
