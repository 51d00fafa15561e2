/* What the C tests share beyond checks: texts in both forms, facts of files, a status callback. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "check.h"
#include "esent.h"
#include <string.h>

#define UNITS 1024

/* What the status callback has seen. */
static struct {
    int begins, completes, last;
    JET_SNP operation;
} seen;

static inline JET_ERR status(JET_SESID sesid, JET_SNP snp, JET_SNT snt, void *pv)
{
    JET_SNPROG *progress = pv;
    CHECK(sesid == JET_sesidNil && snp == seen.operation);
    CHECK(progress->cbStruct == sizeof *progress && progress->cunitTotal == 100);
    if (snt == JET_sntBegin) {
        seen.begins++;
        seen.last = 0;
    }
    CHECK((int)progress->cunitDone >= seen.last && progress->cunitDone <= 100);
    seen.last = (int)progress->cunitDone;
    if (snt == JET_sntComplete)
        seen.completes++;
    return JET_errOutOfMemory; /* Must not matter. */
}

static inline JET_PFNSTATUS watch(JET_SNP operation)
{
    memset(&seen, 0, sizeof seen);
    seen.operation = operation;
    return status;
}

/* The paths of these tests are ASCII. */
static inline const JET_WCHAR *widen(JET_WCHAR *out, const char *text)
{
    size_t n = strlen(text);
    CHECK(n < UNITS);
    for (size_t i = 0; i <= n; i++)
        out[i] = (unsigned char)text[i];
    return out;
}

static inline const char *narrow(char *out, const JET_WCHAR *text)
{
    size_t i = 0;
    do {
        CHECK(i < UNITS);
        out[i] = (char)text[i];
    } while (text[i++]);
    return out;
}

static inline size_t length(const JET_WCHAR *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

static inline const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static inline const char *join(char *out, const char *folder, const char *name)
{
    CHECK(snprintf(out, UNITS, "%s/%s", folder, name) < UNITS);
    return out;
}

static inline void set_text(JET_INSTANCE *instance, JET_ULONG parameter, const char *text)
{
    EXPECT(JET_errSuccess, JetSetSystemParameterA(instance, JET_sesidNil, parameter, 0, text));
}

static inline void set_number(JET_INSTANCE *instance, JET_ULONG parameter, JET_API_PTR number)
{
    EXPECT(JET_errSuccess, JetSetSystemParameterA(instance, JET_sesidNil, parameter, number, NULL));
}

static inline void set_folders(JET_INSTANCE *instance, const char *folder)
{
    set_text(instance, JET_paramLogFilePath, folder);
    set_text(instance, JET_paramSystemPath, folder);
    set_text(instance, JET_paramTempPath, folder);
    set_number(instance, JET_paramLogFileSize, 128);
    set_number(instance, JET_paramMaxTemporaryTables, 0);
}

static inline JET_INSTANCE create(const char *name, const char *folder)
{
    JET_INSTANCE instance = 0;
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, name));
    set_folders(&instance, folder);
    return instance;
}

static inline JET_DBINFOMISC4 facts(const char *database)
{
    JET_DBINFOMISC4 info;
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &info, sizeof info, JET_DbInfoMisc));
    return info;
}

/* Reads a file of the backup to its end, with the calls that take an instance; the bytes go to a file of
 * the same name in `folder`, unless that is null. */
static inline void read_file(JET_INSTANCE instance, const char *path, const char *folder)
{
    enum { CHUNK = 128 * 1024 };
    JET_HANDLE handle = 0;
    JET_ULONG low = 0, high = 0, got = 1;
    unsigned long long sum = 0;
    char target[UNITS];
    void *memory = NULL;
    FILE *out = NULL;

    CHECK(posix_memalign(&memory, 4096, CHUNK) == 0);
    if (folder)
        CHECK((out = fopen(join(target, folder, name_of(path)), "wb")) != NULL);
    EXPECT(JET_errSuccess, JetOpenFileInstanceA(instance, path, &handle, &low, &high));
    while (got) {
        EXPECT(JET_errSuccess, JetReadFileInstance(instance, handle, memory, CHUNK, &got));
        if (out)
            CHECK(fwrite(memory, 1, got, out) == got);
        sum += got;
    }
    CHECK(sum == (((unsigned long long)high << 32) | low));
    EXPECT(JET_errSuccess, JetCloseFileInstance(instance, handle));
    if (out)
        CHECK(fclose(out) == 0);
    free(memory);
}

/* All files of a doubly terminated list; says how many. */
static inline int read_all(JET_INSTANCE instance, const char *list, const char *folder)
{
    int count = 0;
    for (; *list; list += strlen(list) + 1, count++)
        read_file(instance, list, folder);
    return count;
}

#endif
