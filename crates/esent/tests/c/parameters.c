/* Instances and parameters as far as they go before an instance is initialised. */
#include "check.h"
#include "esent.h"
#include <string.h>

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

int main(void)
{
    JET_INSTANCE instance = 0, other = 0;
    JET_API_PTR number = 0;
    JET_ULONG succeeded = 99;
    char text[2048];
    JET_WCHAR wide[64];

    /* Before the first instance: what all instances share. */
    JET_SETSYSPARAM_A first[2] = {
        {.paramid = JET_paramDatabasePageSize, .lParam = 8192},
        {.paramid = JET_paramMaxInstances, .lParam = 0},
    };
    EXPECT(JET_errInvalidParameter, JetEnableMultiInstance(first, 2, &succeeded));
    EXPECT(1, succeeded);
    EXPECT(JET_errInvalidParameter, first[1].err);
    EXPECT(JET_errInvalidParameter, JetEnableMultiInstance(NULL, 1, NULL));
    first[1].lParam = 2;
    EXPECT(JET_errSuccess, JetEnableMultiInstance(first, 2, &succeeded));
    EXPECT(2, succeeded);
    EXPECT(JET_errSystemParamsAlreadySet, JetEnableMultiInstance(NULL, 0, NULL));

    EXPECT(JET_errInvalidParameter, JetCreateInstanceA(NULL, "nowhere"));
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, "one"));
    CHECK(instance != 0 && instance != JET_instanceNil);
    EXPECT(JET_errInstanceNameInUse, JetCreateInstance2W(&other, u"one", u"again", 0));
    EXPECT(JET_errInvalidGrbit, JetCreateInstance2W(&other, u"two", u"the second", 4));
    EXPECT(JET_errSuccess, JetCreateInstance2W(&other, u"two", u"the second", 0));
    EXPECT(JET_errTooManyInstances, JetCreateInstanceA(&instance, "three"));

    EXPECT(JET_errAlreadyInitialized, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramDatabasePageSize, 4096, NULL));
    EXPECT(JET_errSuccess, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramDatabasePageSize, &number, NULL, 0));
    EXPECT(8192, number);
    EXPECT(JET_errInvalidParameter, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramDatabasePageSize, NULL, NULL, 0));
    EXPECT(JET_errInvalidParameter, JetGetSystemParameterA(instance, JET_sesidNil, 99999, &number, NULL, 0));
    EXPECT(JET_errInvalidParameter, JetGetSystemParameterA(instance + 1, JET_sesidNil, JET_paramLogFileSize, &number, NULL, 0));

    EXPECT(JET_errSuccess, JetSetSystemParameterW(&instance, JET_sesidNil, JET_paramBaseName, 0, u"abc"));
    EXPECT(JET_errInvalidParameter, JetSetSystemParameterW(&instance, JET_sesidNil, JET_paramBaseName, 0, u"abcd"));
    EXPECT(JET_errSuccess, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramBaseName, NULL, text, sizeof text));
    CHECK(strcmp(text, "abc") == 0);
    EXPECT(JET_errSuccess, JetGetSystemParameterW(instance, JET_sesidNil, JET_paramBaseName, NULL, wide, sizeof wide));
    CHECK(memcmp(wide, u"abc", 8) == 0);
    EXPECT(JET_errBufferTooSmall, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramBaseName, NULL, text, 3));
    CHECK(strcmp(text, "ab") == 0);
    EXPECT(JET_errSuccess, JetGetSystemParameterA(other, JET_sesidNil, JET_paramBaseName, NULL, text, sizeof text));
    CHECK(strcmp(text, "edb") == 0);

    /* Paths are read back whole, with this system's separators. */
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, "deep\\logs"));
    EXPECT(JET_errSuccess, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramLogFilePath, NULL, text, sizeof text));
    CHECK(text[0] == '/' && ends_with(text, "/deep/logs/"));
    EXPECT(JET_errInvalidPath, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, "\xFF"));

    /* The number of an error becomes its name. */
    number = (JET_API_PTR)(JET_API_PTR)(intptr_t)JET_errLogFileCorrupt;
    EXPECT(JET_errSuccess, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramErrorToString, &number, text, sizeof text));
    CHECK(strncmp(text, "JET_errLogFileCorrupt, ", 23) == 0);

    /* Facts about files need no instance. */
    EXPECT(JET_errFileNotFound, JetGetDatabaseFileInfoW(u"no/such/file.edb", &number, 4, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidParameter, JetGetDatabaseFileInfoW(NULL, &number, 4, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidParameter, JetGetDatabaseFileInfoA("x", NULL, 4, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidBufferSize, JetGetDatabaseFileInfoA("x", &number, 3, JET_DbInfoPageSize));

    EXPECT(JET_errSuccess, JetFreeBuffer(NULL));
    EXPECT(JET_errInvalidParameter, JetFreeBuffer(text));
    return 0;
}
