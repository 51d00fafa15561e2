/* The functions without an instance, and the wide forms: a process with one instance.
 *
 * Arguments: the database; a folder for logs; a folder for the backup. */
#include "check.h"
#define JET_UNICODE
#include "esent.h"
#include <string.h>

#define UNITS 1024
#define CHUNK (64 * 1024)

/* The paths of this test are ASCII. */
static void widen(JET_WCHAR *out, const char *text)
{
    size_t n = strlen(text);
    CHECK(n < UNITS);
    for (size_t i = 0; i <= n; i++)
        out[i] = (unsigned char)text[i];
}

static void narrow(char *out, const JET_WCHAR *text)
{
    size_t i = 0;
    do {
        CHECK(i < UNITS);
        out[i] = (char)text[i];
    } while (text[i++]);
}

static void copy(const JET_WCHAR *path, const char *folder)
{
    JET_HANDLE handle = 0;
    JET_ULONG low = 0, high = 0, got = 1;
    unsigned long long sum = 0;
    char name[UNITS], target[2 * UNITS];
    void *memory = NULL;
    FILE *out;

    narrow(name, path);
    snprintf(target, sizeof target, "%s/%s", folder, strrchr(name, '/') + 1);
    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    CHECK((out = fopen(target, "wb")) != NULL);
    EXPECT(JET_errSuccess, JetOpenFile(path, &handle, &low, &high));
    while (got) {
        EXPECT(JET_errSuccess, JetReadFile(handle, memory, CHUNK, &got));
        CHECK(fwrite(memory, 1, got, out) == got);
        sum += got;
    }
    CHECK(sum == (((unsigned long long)high << 32) | low));
    EXPECT(JET_errSuccess, JetReadFile(handle, memory, CHUNK, NULL));
    EXPECT(JET_errSuccess, JetCloseFile(handle));
    CHECK(fclose(out) == 0);
    free(memory);
}

static void copy_all(const JET_WCHAR *list, const char *folder)
{
    while (*list) {
        copy(list, folder);
        while (*list++)
            ;
    }
}

int main(int argc, char **argv)
{
    JET_WCHAR database[UNITS], logs[UNITS], list[8 * UNITS];
    JET_INSTANCE instance = 0, other = 0;
    JET_SESID session = 0;
    JET_DBID dbid = 0;
    JET_ULONG size = 0;
    JET_INSTANCE_INFO *running = NULL;
    JET_API_PTR number = 0;
    JET_RSTMAP map = {.szDatabaseName = database, .szNewDatabaseName = database};
    JET_LOGINFO info = {.cbSize = sizeof info, .szBaseName = u"leg"};

    CHECK(argc == 4);
    widen(database, argv[1]);
    widen(logs, argv[2]);

    /* Without an instance, what is set is for the one to come. */
    EXPECT(JET_errSuccess, JetSetSystemParameter(NULL, 0, JET_paramLogFilePath, 0, logs));
    EXPECT(JET_errSuccess, JetSetSystemParameter(NULL, 0, JET_paramSystemPath, 0, logs));
    EXPECT(JET_errSuccess, JetSetSystemParameter(NULL, 0, JET_paramLogFileSize, 128, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameter(NULL, 0, JET_paramBaseName, 0, u"leg"));
    EXPECT(JET_errNotInitialized, JetStopBackup());
    EXPECT(JET_errInvalidParameter, JetTerm(0x1234));

    EXPECT(JET_errSuccess, JetInit(&instance));
    CHECK(instance != 0 && instance != JET_instanceNil);
    EXPECT(JET_errAlreadyInitialized, JetInit(NULL));
    EXPECT(JET_errRunningInOneInstanceMode, JetCreateInstance(&other, u"other"));
    EXPECT(JET_errRunningInOneInstanceMode, JetEnableMultiInstance(NULL, 0, NULL));
    EXPECT(JET_errRunningInOneInstanceMode, JetExternalRestore(logs, logs, &map, 1, logs, 0, 0, NULL));
    EXPECT(JET_errRunningInOneInstanceMode,
           JetExternalRestore2(logs, logs, &map, 1, logs, &info, NULL, NULL, NULL, NULL));
    EXPECT(JET_errSuccess, JetGetSystemParameter(0, 0, JET_paramLogFileSize, &number, NULL, 0));
    CHECK(number == 128);
    EXPECT(JET_errAlreadyInitialized, JetSetSystemParameter(NULL, 0, JET_paramLogFileSize, 256, NULL));

    /* The instance argument does not matter now. */
    EXPECT(JET_errSuccess, JetBeginSession(0, &session, NULL, NULL));
    EXPECT(JET_errInvalidGrbit, JetAttachDatabase(session, database, 0x40000000));
    EXPECT(JET_errInvalidParameter, JetAttachDatabase(session, NULL, 0));
    EXPECT(JET_errInvalidSesid, JetAttachDatabase(session + 1, database, 0));
    EXPECT(JET_errFileNotFound, JetAttachDatabase(session, u"no-such-file.edb", 0));
    EXPECT(JET_errSuccess, JetAttachDatabase(session, database, 0));
    EXPECT(JET_errInvalidParameter, JetOpenDatabase(session, database, NULL, NULL, 0));
    EXPECT(JET_errSuccess, JetOpenDatabase(session, database, NULL, &dbid, JET_bitDbReadOnly));

    EXPECT(JET_errSuccess, JetGetInstanceInfo(&size, &running));
    CHECK(size == 1 && running->cDatabases == 1 && running->szInstanceName == NULL);
    CHECK(memcmp(running->szDatabaseFileName[0], database, 2 * (strlen(argv[1]) + 1)) == 0);
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)running));

    EXPECT(JET_errSuccess, JetBeginExternalBackup(0));
    EXPECT(JET_errDatabaseNotFound, JetOpenFile(u"/no/such/file", &instance, &size, &size));
    EXPECT(JET_errSuccess, JetGetAttachInfo(list, sizeof list, &size));
    copy_all(list, argv[3]);
    EXPECT(JET_errSuccess, JetGetLogInfo(list, sizeof list, &size));
    copy_all(list, argv[3]);
    /* Both families may be mixed. */
    EXPECT(JET_errSuccess, JetGetTruncateLogInfoInstance(0, list, sizeof list, &size));
    EXPECT(JET_errSuccess, JetTruncateLog());
    EXPECT(JET_errSuccess, JetEndExternalBackup());
    EXPECT(JET_errSuccess, JetStopBackup());

    /* A hard end: the next program recovers. */
    EXPECT(JET_errDirtyShutdown, JetTerm2(0, JET_bitTermDirty));
    EXPECT(JET_errNotInitialized, JetBeginExternalBackup(0));

    /* Recovery brings the database back; the mode is open again. */
    EXPECT(JET_errSuccess, JetInit(NULL));
    EXPECT(JET_errSuccess, JetBeginSession(0, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabase(session, database, 0));
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errSuccess, JetTerm(0));
    EXPECT(JET_errSuccess, JetCreateInstance(&other, u"other"));
    EXPECT(JET_errSuccess, JetTerm(other));
    return 0;
}
