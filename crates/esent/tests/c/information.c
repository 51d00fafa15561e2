/* What sessions carry, and what databases, logs, instances and errors tell about themselves.
 *
 * Arguments: the database; a folder for logs. */
#include "support.h"
#include <pthread.h>

static JET_SESID shared;

static void *other_thread(void *unused)
{
    EXPECT(JET_errSessionContextNotSetByThisThread, JetResetSessionContext(shared));
    EXPECT(JET_errSessionContextAlreadySet, JetSetSessionContext(shared, 99));
    return unused;
}

/* Another thread has no part in a transaction that it did not begin. */
static void *meddler(void *unused)
{
    EXPECT(JET_errSessionSharingViolation, JetBeginTransaction(shared));
    EXPECT(JET_errSessionSharingViolation, JetCommitTransaction(shared, 0));
    EXPECT(JET_errSessionSharingViolation, JetRollback(shared, JET_bitRollbackAll));
    EXPECT(JET_errSessionSharingViolation, JetEndSession(shared, 0));
    return unused;
}

/* It goes on with one that belongs to a context, once it is in that context. */
static void *successor(void *unused)
{
    meddler(NULL);
    EXPECT(JET_errSuccess, JetSetSessionContext(shared, 43));
    EXPECT(JET_errSessionSharingViolation, JetCommitTransaction(shared, 0));
    EXPECT(JET_errSuccess, JetResetSessionContext(shared));
    EXPECT(JET_errSuccess, JetSetSessionContext(shared, 42));
    EXPECT(JET_errSuccess, JetBeginTransaction(shared));
    EXPECT(JET_errSuccess, JetCommitTransaction(shared, 0));
    EXPECT(JET_errSuccess, JetCommitTransaction(shared, 0));
    EXPECT(JET_errNotInTransaction, JetCommitTransaction(shared, 0));
    EXPECT(JET_errSuccess, JetResetSessionContext(shared));
    return unused;
}

static void in_another_thread(void *(*work)(void *))
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A transaction stays with its thread, or with the context that its session was in. */
static void owners(JET_SESID session)
{
    shared = session;
    EXPECT(JET_errSuccess, JetBeginTransaction(session));
    in_another_thread(meddler);
    EXPECT(JET_errSuccess, JetCommitTransaction(session, 0));
    EXPECT(JET_errSuccess, JetSetSessionContext(session, 42));
    EXPECT(JET_errSuccess, JetBeginTransaction(session));
    EXPECT(JET_errSuccess, JetResetSessionContext(session));
    EXPECT(JET_errSessionSharingViolation, JetRollback(session, 0));
    in_another_thread(successor);
    EXPECT(JET_errSuccess, JetBeginTransaction(session));
    EXPECT(JET_errSuccess, JetRollback(session, 0));
}

static void contexts(JET_SESID session)
{

    EXPECT(JET_errSessionContextNotSetByThisThread, JetResetSessionContext(session));
    EXPECT(JET_errInvalidParameter, JetSetSessionContext(session, 0));
    EXPECT(JET_errInvalidParameter, JetSetSessionContext(session, ~(JET_API_PTR)0));
    EXPECT(JET_errSuccess, JetSetSessionContext(session, 42));
    EXPECT(JET_errSessionContextAlreadySet, JetSetSessionContext(session, 42));
    EXPECT(JET_errSessionInUse, JetEndSession(session, 0));
    shared = session;
    in_another_thread(other_thread);
    EXPECT(JET_errSuccess, JetResetSessionContext(session));
    EXPECT(JET_errSessionContextNotSetByThisThread, JetResetSessionContext(session));
    EXPECT(JET_errInvalidSesid, JetResetSessionContext(session + 1));
    EXPECT(JET_errInvalidSesid, JetSetSessionContext(session + 1, 42));
    owners(session);
}

static void session_parameters(JET_SESID session)
{
    JET_ULONG number = 77, size = 0;
    JET_OPERATIONCONTEXT context = {.ulUserID = 5, .nOperationID = 6, .nOperationType = 7}, read = {0};

    EXPECT(JET_errSuccess, JetGetSessionParameter(session, JET_sesparamTransactionLevel, &number, sizeof number, &size));
    CHECK(number == 0 && size == 4);
    EXPECT(JET_errInvalidParameter, JetSetSessionParameter(session, JET_sesparamTransactionLevel, &number, 4));
    number = 0x1234;
    EXPECT(JET_errSuccess, JetSetSessionParameter(session, JET_sesparamCorrelationID, &number, sizeof number));
    number = 0;
    EXPECT(JET_errSuccess, JetGetSessionParameter(session, JET_sesparamCorrelationID, &number, sizeof number, NULL));
    CHECK(number == 0x1234);
    EXPECT(JET_errInvalidBufferSize, JetSetSessionParameter(session, JET_sesparamCorrelationID, &number, 3));
    EXPECT(JET_errInvalidParameter, JetSetSessionParameter(session, JET_sesparamCorrelationID, NULL, 4));
    EXPECT(JET_errInvalidBufferSize, JetGetSessionParameter(session, JET_sesparamCorrelationID, &number, 3, &size));
    EXPECT(JET_errInvalidParameter, JetGetSessionParameter(session, JET_sesparamCorrelationID, NULL, 4, &size));
    number = JET_bitCommitLazyFlush;
    EXPECT(JET_errSuccess, JetSetSessionParameter(session, JET_sesparamCommitDefault, &number, sizeof number));
    number = 0x8000;
    EXPECT(JET_errInvalidGrbit, JetSetSessionParameter(session, JET_sesparamCommitDefault, &number, sizeof number));
    EXPECT(JET_errSuccess, JetGetSessionParameter(session, JET_sesparamCommitDefault, &number, sizeof number, NULL));
    CHECK(number == JET_bitCommitLazyFlush);
    EXPECT(JET_errSuccess, JetSetSessionParameter(session, JET_sesparamOperationContext, &context, sizeof context));
    size = 0;
    EXPECT(JET_errSuccess, JetGetSessionParameter(session, JET_sesparamOperationContext, NULL, 0, &size));
    CHECK(size == sizeof read);
    EXPECT(JET_errSuccess, JetGetSessionParameter(session, JET_sesparamOperationContext, &read, sizeof read, NULL));
    CHECK(read.ulUserID == 5 && read.nOperationID == 6 && read.nOperationType == 7);
    EXPECT(JET_errInvalidSesparamId, JetGetSessionParameter(session, 0x1FFF, &number, sizeof number, NULL));
    EXPECT(JET_errInvalidSesparamId, JetSetSessionParameter(session, 0, &number, sizeof number));
}

static void database_facts(JET_SESID session, const char *database)
{
    JET_DBID dbid = JET_dbidNil;
    JET_ULONG number = 0, owned = 0;
    JET_UINT64 bytes = 0;
    JET_DBINFOMISC4 open, file;
    JET_DBINFOUPGRADE upgrade = {0};
    char text[UNITS];
    JET_WCHAR wide[UNITS];

    EXPECT(JET_errSuccess, JetOpenDatabaseA(session, database, NULL, &dbid, JET_bitDbReadOnly));
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, text, sizeof text, JET_DbInfoFilename));
    CHECK(text[0] == '/' && strcmp(name_of(text), name_of(database)) == 0);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoW(session, dbid, wide, sizeof wide, JET_DbInfoFilename));
    CHECK(length(wide) == strlen(text));
    EXPECT(JET_errBufferTooSmall, JetGetDatabaseInfoA(session, dbid, text, 4, JET_DbInfoFilename));
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &number, sizeof number, JET_DbInfoPageSize));
    CHECK(number == 4096);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoW(session, dbid, &number, sizeof number, JET_DbInfoOptions));
    CHECK(number == JET_bitDbReadOnly);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &number, sizeof number, JET_DbInfoVersion));
    CHECK(number == 0x620);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &number, sizeof number, JET_DbInfoFileType));
    CHECK(number == JET_filetypeDatabase);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &owned, sizeof owned, JET_DbInfoSpaceOwned));
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &number, sizeof number, JET_DbInfoFilesize));
    CHECK(owned >= 16 && number == owned + 2);
    memset(&open, 0xEE, sizeof open);
    EXPECT(JET_errSuccess, JetGetDatabaseInfoA(session, dbid, &open, sizeof open, JET_DbInfoMisc));
    file = facts(database);
    CHECK(open.dbstate == JET_dbstateDirtyShutdown && memcmp(&open, &file, sizeof open) == 0);
    EXPECT(JET_errInvalidBufferSize, JetGetDatabaseInfoA(session, dbid, &open, 17, JET_DbInfoMisc));
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &number, sizeof number, JET_DbInfoDBInUse));
    CHECK(number == 1);
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &bytes, sizeof bytes, JET_DbInfoFilesize));
    CHECK(bytes % 4096 == 0 && bytes >= 16 * 4096);
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &bytes, sizeof bytes, JET_DbInfoFilesizeOnDisk));
    CHECK(bytes != 0 && bytes % 512 == 0);
    EXPECT(JET_errInvalidBufferSize, JetGetDatabaseFileInfoA(database, &bytes, 4, JET_DbInfoFilesizeOnDisk));
    EXPECT(JET_errInvalidParameter, JetGetDatabaseFileInfoA(database, &upgrade, sizeof upgrade, JET_DbInfoUpgrade));
    upgrade.cbStruct = sizeof upgrade;
    EXPECT(JET_errInvalidBufferSize, JetGetDatabaseFileInfoA(database, &upgrade, 24, JET_DbInfoUpgrade));
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(database, &upgrade, sizeof upgrade, JET_DbInfoUpgrade));
    CHECK(upgrade.cbStruct == sizeof upgrade && upgrade.cbFilesizeLow != 0 && upgrade.cbFilesizeHigh == 0);
    CHECK(upgrade.fAlreadyUpgraded && !upgrade.fUpgradable);
    EXPECT(JET_errFeatureNotAvailable, JetGetDatabaseFileInfoA(database, &number, sizeof number, JET_DbInfoIsam));
    EXPECT(JET_errInvalidBufferSize, JetGetDatabaseInfoA(session, dbid, &number, 8, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidParameter, JetGetDatabaseInfoA(session, dbid, NULL, 4, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidParameter, JetGetDatabaseInfoA(session, dbid, &number, 4, 999));
    EXPECT(JET_errInvalidDatabaseId, JetGetDatabaseInfoA(session, dbid + 1, &number, 4, JET_DbInfoPageSize));
    EXPECT(JET_errInvalidSesid, JetGetDatabaseInfoA(session + 1, dbid, &number, 4, JET_DbInfoPageSize));
    {
        JET_ULONG before = 0, after = 0;
        EXPECT(JET_errSuccess, JetGrowDatabase(session, dbid, 1, &before));
        CHECK(before > 1);
        EXPECT(JET_errSuccess, JetGrowDatabase(session, dbid, before + 100, &after));
        CHECK(after == before + 100);
        EXPECT(JET_errSuccess, JetResizeDatabase(session, dbid, before, &after, JET_bitResizeDatabaseOnlyGrow));
        CHECK(after == before + 100);
        EXPECT(JET_errSuccess, JetResizeDatabase(session, dbid, before, &after, 0));
        CHECK(after == before);
        EXPECT(JET_errInvalidGrbit, JetResizeDatabase(session, dbid, before, &after, 3));
        EXPECT(JET_errInvalidParameter, JetResizeDatabase(session, dbid, before, NULL, 0));
        EXPECT(JET_errInvalidDatabaseId, JetResizeDatabase(session, dbid + 1, before, &after, 0));
    }
    EXPECT(JET_errSuccess, JetCloseDatabase(session, dbid, 0));
    EXPECT(JET_errInvalidDatabaseId, JetGetDatabaseInfoA(session, dbid, &number, 4, JET_DbInfoPageSize));
}

static void log_facts(JET_INSTANCE instance, const char *database, const char *logs)
{
    JET_SIGNATURE signature;
    JET_LOGINFOMISC one;
    JET_LOGINFOMISC2 two;
    JET_LOGINFOMISC3 three;
    JET_DBINFOMISC4 info = facts(database);
    char path[UNITS];
    JET_WCHAR wide[UNITS];

    EXPECT(JET_errSuccess, JetGetInstanceMiscInfo(instance, &signature, sizeof signature, JET_InstanceMiscInfoLogSignature));
    CHECK(memcmp(&signature, &info.signLog, sizeof signature) == 0);
    EXPECT(JET_errBufferTooSmall, JetGetInstanceMiscInfo(instance, &signature, 27, JET_InstanceMiscInfoLogSignature));
    EXPECT(JET_errInvalidParameter, JetGetInstanceMiscInfo(instance, NULL, 28, JET_InstanceMiscInfoLogSignature));
    EXPECT(JET_errInvalidParameter, JetGetInstanceMiscInfo(instance, &signature, sizeof signature, 1));
    EXPECT(JET_errInvalidParameter, JetGetInstanceMiscInfo(instance + 1, &signature, sizeof signature, 0));

    join(path, logs, "edb.log");
    EXPECT(JET_errSuccess, JetGetLogFileInfoA(path, &one, sizeof one, JET_LogInfoMisc));
    EXPECT(JET_errSuccess, JetGetLogFileInfoW(widen(wide, path), &two, sizeof two, JET_LogInfoMisc2));
    EXPECT(JET_errSuccess, JetGetLogFileInfoA(path, &three, sizeof three, JET_LogInfoMisc3));
    CHECK(one.ulGeneration == 1 && one.cbFile == 128 * 1024 && one.cbDatabasePageSize == 4096);
    CHECK(memcmp(&one.signLog, &signature, sizeof signature) == 0);
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    CHECK(three.ulGeneration == 1 && three.cbFile == one.cbFile && three.ulVersionMajor == one.ulVersionMajor);
    CHECK(memcmp(&two.lgposCheckpoint, &three.lgposCheckpoint, sizeof two.lgposCheckpoint) == 0);
    EXPECT(JET_errInvalidBufferSize, JetGetLogFileInfoA(path, &one, sizeof two, JET_LogInfoMisc));
    EXPECT(JET_errInvalidParameter, JetGetLogFileInfoA(path, NULL, sizeof one, JET_LogInfoMisc));
    EXPECT(JET_errInvalidParameter, JetGetLogFileInfoA(path, &one, sizeof one, 3));
    EXPECT(JET_errInvalidParameter, JetGetLogFileInfoW(NULL, &one, sizeof one, JET_LogInfoMisc));
    EXPECT(JET_errFileNotFound, JetGetLogFileInfoA("no-such.log", &one, sizeof one, JET_LogInfoMisc));
    EXPECT(JET_errFileInvalidType, JetGetLogFileInfoA(database, &one, sizeof one, JET_LogInfoMisc));
}

static void error_facts(void)
{
    JET_ERR number = JET_errReadVerifyFailure;
    JET_ERRINFOBASIC_W info = {.cbStruct = sizeof info};

    EXPECT(JET_errSuccess, JetGetErrorInfoW(&number, &info, sizeof info, JET_ErrorInfoSpecificErr, 0));
    CHECK(info.errValue == number && info.errcatMostSpecific == JET_errcatCorruption);
    CHECK(info.rgCategoricalHierarchy[0] == JET_errcatError && info.rgCategoricalHierarchy[1] == JET_errcatData);
    CHECK(info.rgCategoricalHierarchy[2] == JET_errcatCorruption && info.rgCategoricalHierarchy[3] == 0);
    number = JET_errOutOfMemory;
    EXPECT(JET_errSuccess, JetGetErrorInfoW(&number, &info, sizeof info, JET_ErrorInfoSpecificErr, 0));
    CHECK(info.errcatMostSpecific == JET_errcatMemory && info.rgCategoricalHierarchy[3] == JET_errcatMemory);
    number = -999999;
    EXPECT(JET_errInvalidParameter, JetGetErrorInfoW(&number, &info, sizeof info, JET_ErrorInfoSpecificErr, 0));
    number = JET_errOutOfMemory;
    EXPECT(JET_errInvalidParameter, JetGetErrorInfoW(NULL, &info, sizeof info, JET_ErrorInfoSpecificErr, 0));
    EXPECT(JET_errInvalidParameter, JetGetErrorInfoW(&number, NULL, sizeof info, JET_ErrorInfoSpecificErr, 0));
    EXPECT(JET_errInvalidParameter, JetGetErrorInfoW(&number, &info, sizeof info, 7, 0));
    EXPECT(JET_errInvalidGrbit, JetGetErrorInfoW(&number, &info, sizeof info, JET_ErrorInfoSpecificErr, 1));
    EXPECT(JET_errInvalidBufferSize, JetGetErrorInfoW(&number, &info, 8, JET_ErrorInfoSpecificErr, 0));
    info.cbStruct = 4;
    EXPECT(JET_errInvalidParameter, JetGetErrorInfoW(&number, &info, sizeof info, JET_ErrorInfoSpecificErr, 0));
}

static void attach_with_parameters(JET_SESID session, const char *database)
{
    JET_ULONG pages = 1000;
    JET_SETDBPARAM parameters[2] = {
        {.dbparamid = JET_dbparamDbSizeMaxPages, .pvParam = &pages, .cbParam = sizeof pages},
        {.dbparamid = 0x2FFF, .pvParam = &pages, .cbParam = sizeof pages},
    };
    JET_WCHAR wide[UNITS];

    EXPECT(JET_errInvalidDbparamId, JetAttachDatabase3A(session, database, parameters, 2, 0));
    EXPECT(JET_errInvalidParameter, JetAttachDatabase3A(session, database, NULL, 1, 0));
    EXPECT(JET_errInvalidParameter, JetAttachDatabase3A(session, database, parameters, 1000000, 0));
    parameters[1].dbparamid = JET_dbparamShrinkDatabaseOptions;
    EXPECT(JET_errFeatureNotAvailable, JetAttachDatabase3A(session, database, parameters, 2, 0));
    parameters[0].cbParam = 8;
    EXPECT(JET_errInvalidBufferSize, JetAttachDatabase3A(session, database, parameters, 1, 0));
    parameters[0].cbParam = 4;
    EXPECT(JET_errSuccess, JetAttachDatabase3A(session, database, parameters, 1, 0));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(session, database));
    EXPECT(JET_errSuccess, JetAttachDatabase3W(session, widen(wide, database), NULL, 0, 0));
}

int main(int argc, char **argv)
{
    JET_INSTANCE instance;
    JET_SESID session = 0, second = 0;
    JET_SIGNATURE signature;
    JET_ULONG in_use;

    CHECK(argc == 3);
    error_facts();
    in_use = 1;
    EXPECT(JET_errSuccess, JetGetDatabaseFileInfoA(argv[1], &in_use, sizeof in_use, JET_DbInfoDBInUse));
    CHECK(in_use == 0);
    instance = create("facts", argv[2]);
    EXPECT(JET_errNotInitialized, JetGetInstanceMiscInfo(instance, &signature, sizeof signature, 0));
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errInvalidParameter, JetDupSession(session, NULL));
    EXPECT(JET_errInvalidSesid, JetDupSession(session + 1, &second));
    EXPECT(JET_errSuccess, JetDupSession(session, &second));
    CHECK(second != 0 && second != session);
    contexts(second);
    EXPECT(JET_errSuccess, JetEndSession(second, 0));
    session_parameters(session);
    EXPECT(JET_errSuccess, JetIdle(session, JET_bitIdleCompact));
    EXPECT(JET_errInvalidGrbit, JetIdle(session, JET_bitIdleFlushBuffers));
    EXPECT(JET_errInvalidSesid, JetIdle(second, 0));
    attach_with_parameters(session, argv[1]);
    database_facts(session, argv[1]);
    log_facts(instance, argv[1], argv[2]);
    EXPECT(JET_errSuccess, JetEndSession(session, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));

    /* Without a log there is no signature. */
    instance = create("no log", argv[2]);
    set_text(&instance, JET_paramRecovery, "off");
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errLoggingDisabled, JetGetInstanceMiscInfo(instance, &signature, sizeof signature, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
    return 0;
}
