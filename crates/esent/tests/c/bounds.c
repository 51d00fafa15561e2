/* What has a limit: versions, and pages of a table that was thinned out.
 *
 * Arguments: a folder; the database. */
#include "support.h"
#include <stdatomic.h>
#include <time.h>

enum { SESSIONS = 4, CURSORS = 6, TABLES = 2 };

static JET_INSTANCE instance;
static JET_SESID session, other;
static JET_DBID dbid, other_dbid;
static JET_TABLEID table, other_table;
static JET_COLUMNID number, text;
static atomic_int ended;
static int context;
static const char *database_path;

/* No more sessions than was said, and one that ends makes room. */
static void sessions(void)
{
    JET_SESID more[SESSIONS];
    for (int i = 2; i < SESSIONS; i++)
        EXPECT(JET_errSuccess, JetBeginSessionA(instance, &more[i], NULL, NULL));
    EXPECT(JET_errOutOfSessions, JetBeginSessionA(instance, &more[0], NULL, NULL));
    EXPECT(JET_errSuccess, JetEndSession(more[2], 0));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &more[2], NULL, NULL));
    EXPECT(JET_errOutOfSessions, JetBeginSessionA(instance, &more[0], NULL, NULL));
    for (int i = 2; i < SESSIONS; i++)
        EXPECT(JET_errSuccess, JetEndSession(more[i], 0));
}

static JET_ERR open_once_more(JET_TABLEID *tableid, const char *name)
{
    return JetOpenTableA(session, dbid, name, NULL, 0, 0, tableid);
}

/* No more cursors, and no more tables with their indexes, than was said; what is closed makes room. */
static void cursors_and_tables(void)
{
    JET_TABLEID more[CURSORS], a, b;
    JET_COLUMNDEF column = { .cbStruct = sizeof column, .coltyp = JET_coltypLong };
    JET_COLUMNID id;
    for (int i = 0; i < 2; i++) {
        EXPECT(JET_errSuccess, JetCreateTableA(session, dbid, i ? "b" : "a", 0, 0, &a));
        EXPECT(JET_errSuccess, JetAddColumnA(session, a, "n", &column, NULL, 0, &id));
        EXPECT(JET_errSuccess, JetCreateIndexA(session, a, "i", 0, "+n\0", 4, 100));
        EXPECT(JET_errSuccess, JetCloseTable(session, a));
    }
    /* "t" is open twice. */
    for (int i = 2; i < CURSORS; i++)
        EXPECT(JET_errSuccess, i % 2 ? JetDupCursor(session, table, &more[i], 0) : open_once_more(&more[i], "t"));
    EXPECT(JET_errOutOfCursors, open_once_more(&a, "t"));
    EXPECT(JET_errOutOfCursors, JetDupCursor(session, table, &a, 0));
    /* What could not be open is not made. */
    EXPECT(JET_errOutOfCursors, JetCreateTableA(session, dbid, "never", 0, 0, &a));
    EXPECT(JET_errSuccess, JetCloseTable(session, more[2]));
    EXPECT(JET_errSuccess, JetDupCursor(session, table, &more[2], 0));
    EXPECT(JET_errOutOfCursors, open_once_more(&a, "t"));
    for (int i = 2; i < CURSORS; i++)
        EXPECT(JET_errSuccess, JetCloseTable(session, more[i]));
    EXPECT(JET_errObjectNotFound, open_once_more(&a, "never"));
    /* With its index one more table is too much. */
    EXPECT(JET_errSuccess, open_once_more(&a, "a"));
    EXPECT(JET_errTooManyOpenTables, open_once_more(&b, "b"));
    EXPECT(JET_errSuccess, open_once_more(&b, "a"));
    EXPECT(JET_errSuccess, JetCloseTable(session, b));
    EXPECT(JET_errTooManyOpenTables, open_once_more(&b, "b"));
    EXPECT(JET_errSuccess, JetCloseTable(session, a));
    EXPECT(JET_errSuccess, open_once_more(&b, "b"));
    EXPECT(JET_errSuccess, JetCloseTable(session, b));
}

/* Another instance: it cannot have the database as well, and has room for six of its own. */
static void elsewhere(const char *folder)
{
    JET_INSTANCE second;
    JET_SESID sesid;
    JET_DBID database;
    char path[1024];
    snprintf(path, sizeof path, "%s/second/", folder);
    EXPECT(JET_errSuccess, JetCreateInstanceA(&second, "second"));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&second, JET_sesidNil, JET_paramSystemPath, 0, path));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&second, JET_sesidNil, JET_paramLogFilePath, 0, path));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&second, JET_sesidNil, JET_paramCreatePathIfNotExist, 1, NULL));
    EXPECT(JET_errSuccess, JetInit(&second));
    EXPECT(JET_errSuccess, JetBeginSessionA(second, &sesid, NULL, NULL));
    EXPECT(JET_errDatabaseSharingViolation, JetAttachDatabaseA(sesid, database_path, 0));
    EXPECT(JET_errDatabaseSharingViolation, JetCreateDatabaseA(sesid, database_path, NULL, &database, 0));
    EXPECT(JET_errDatabaseSharingViolation,
           JetCreateDatabaseA(sesid, database_path, NULL, &database, JET_bitDbOverwriteExisting));
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/second/%d.edb", folder, i);
        EXPECT(JET_errSuccess, JetCreateDatabaseA(sesid, path, NULL, &database, 0));
    }
    EXPECT(JET_errDatabaseDuplicate, JetCreateDatabaseA(sesid, path, NULL, &database, 0));
    EXPECT(JET_errSuccess, JetCloseDatabase(sesid, database, 0));
    EXPECT(JET_errSuccess, JetDetachDatabaseA(sesid, path));
    /* One detached makes room for one. */
    snprintf(path, sizeof path, "%s/second/new.edb", folder);
    EXPECT(JET_errSuccess, JetCreateDatabaseA(sesid, path, NULL, &database, 0));
    snprintf(path, sizeof path, "%s/second/5.edb", folder);
    EXPECT(JET_errTooManyAttachedDatabases, JetAttachDatabaseA(sesid, path, 0));
    snprintf(path, sizeof path, "%s/second/more.edb", folder);
    EXPECT(JET_errTooManyAttachedDatabases, JetCreateDatabaseA(sesid, path, NULL, &database, 0));
    EXPECT(JET_errSuccess, JetTerm2(second, JET_bitTermComplete));
}

static void start(const char *folder, const char *database)
{
    JET_COLUMNDEF column = { .cbStruct = sizeof column, .coltyp = JET_coltypLong };
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, "bounds"));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, folder));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, folder));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxVerPages, 8, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramPreferredVerPages, 6, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxSessions, SESSIONS, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxCursors, CURSORS, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxOpenTables, TABLES, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxTemporaryTables, 0, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramCachedClosedTables, 0, NULL));
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errAlreadyInitialized,
           JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxVerPages, 9, NULL));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramPreferredVerPages, 7, NULL));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &other, NULL, NULL));
    sessions();
    EXPECT(JET_errSuccess, JetCreateDatabaseA(session, database, NULL, &dbid, 0));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(other, database, NULL, &other_dbid, 0));
    EXPECT(JET_errSuccess, JetCreateTableA(session, dbid, "t", 0, 0, &table));
    EXPECT(JET_errSuccess, JetAddColumnA(session, table, "n", &column, NULL, 0, &number));
    column.coltyp = JET_coltypLongBinary;
    EXPECT(JET_errSuccess, JetAddColumnA(session, table, "s", &column, NULL, 0, &text));
    EXPECT(JET_errSuccess, JetCloseTable(session, table));
    EXPECT(JET_errSuccess, JetOpenTableA(session, dbid, "t", NULL, 0, 0, &table));
    EXPECT(JET_errSuccess, JetOpenTableA(other, other_dbid, "t", NULL, 0, 0, &other_table));
}

static JET_ERR insert(JET_SESID sesid, JET_TABLEID tableid, JET_LONG n)
{
    unsigned char bytes[500];
    unsigned x = (unsigned)n * 2654435761u + 1;
    JET_ERR err;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(x >> 24);
    }
    EXPECT(JET_errSuccess, JetPrepareUpdate(sesid, tableid, JET_prepInsert));
    EXPECT(JET_errSuccess, JetSetColumn(sesid, tableid, number, &n, sizeof n, 0, NULL));
    EXPECT(JET_errSuccess, JetSetColumn(sesid, tableid, text, bytes, sizeof bytes, 0, NULL));
    err = JetUpdate(sesid, tableid, NULL, 0, NULL);
    if (err < 0)
        EXPECT(JET_errSuccess, JetPrepareUpdate(sesid, tableid, JET_prepCancel));
    return err;
}

static JET_ULONG count(JET_SESID sesid, JET_TABLEID tableid)
{
    JET_ULONG n = 0;
    JET_ERR err = JetMove(sesid, tableid, JET_MoveFirst, 0);
    if (err == JET_errNoCurrentRecord)
        return 0;
    EXPECT(JET_errSuccess, err);
    EXPECT(JET_errSuccess, JetIndexRecordCount(sesid, tableid, &n, 0));
    return n;
}

/* A transaction that is too long: its own updates and those of others are refused, reads go on. */
static void versions(void)
{
    JET_LONG n = 0;
    JET_ERR err;
    EXPECT(JET_errSuccess, JetBeginTransaction(session));
    while ((err = insert(session, table, n)) == JET_errSuccess)
        n++;
    EXPECT(JET_errVersionStoreOutOfMemory, err);
    CHECK(n > 500);
    CHECK(count(session, table) == (JET_ULONG)n);
    EXPECT(JET_errSuccess, JetBeginTransaction(other));
    CHECK(count(other, other_table) == 0);
    EXPECT(JET_errVersionStoreOutOfMemory, insert(other, other_table, n));
    EXPECT(JET_errSuccess, JetRollback(other, 0));
    EXPECT(JET_errSuccess, JetRollback(session, 0));
    EXPECT(JET_errSuccess, JetBeginTransaction(other));
    EXPECT(JET_errSuccess, insert(other, other_table, n));
    CHECK(count(other, other_table) == 1);
    EXPECT(JET_errSuccess, JetRollback(other, 0));
}

static void thin_out(void)
{
    for (JET_LONG n = 0; n < 2000; n++) {
        EXPECT(JET_errSuccess, JetBeginTransaction(session));
        EXPECT(JET_errSuccess, insert(session, table, n));
        EXPECT(JET_errSuccess, JetCommitTransaction(session, JET_bitCommitLazyFlush));
    }
    EXPECT(JET_errSuccess, JetMove(session, table, JET_MoveFirst, 0));
    for (int at = 0, left = 2000; left > 0; at++, left--) {
        if (at % 7 < 4) {
            EXPECT(JET_errSuccess, JetBeginTransaction(session));
            EXPECT(JET_errSuccess, JetDelete(session, table));
            EXPECT(JET_errSuccess, JetCommitTransaction(session, JET_bitCommitLazyFlush));
        }
        if (left > 1)
            EXPECT(JET_errSuccess, JetMove(session, table, JET_MoveNext, 0));
    }
    CHECK(count(session, table) == 856);
}

/* A callback may call: no lock is held meanwhile. It also asks for what was told of to end, and begins it anew. */
static void call_back(void)
{
    const JET_GRBIT begin = JET_bitDefragmentBatchStart, end = JET_bitDefragmentBatchStop;
    JET_SESID sesid;
    JET_DBID database;
    JET_TABLEID tableid;
    JET_ULONG passes = 1;
    JET_API_PTR most = 0;

    EXPECT(JET_errSuccess, JetGetSystemParameterA(instance, JET_sesidNil, JET_paramMaxSessions, &most, NULL, 0));
    CHECK(most == SESSIONS);
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramPreferredVerPages, 7, NULL));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &sesid, NULL, NULL));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(sesid, database_path, NULL, &database, 0));
    EXPECT(JET_errSuccess, JetOpenTableA(sesid, database, "t", NULL, 0, 0, &tableid));
    EXPECT(JET_errSuccess, JetBeginTransaction(sesid));
    EXPECT(JET_errSuccess, insert(sesid, tableid, 1 << 20));
    EXPECT(JET_errSuccess, JetRollback(sesid, 0));
    if (ended == 0) {
        EXPECT(JET_wrnDefragNotRunning, JetDefragmentA(sesid, database, NULL, NULL, NULL, end));
        EXPECT(JET_errSuccess, JetDefragmentA(sesid, database, NULL, &passes, NULL, begin));
        /* It may be over by now. */
        JET_ERR stopped = JetDefragmentA(sesid, database, NULL, NULL, NULL, end);
        CHECK(stopped == JET_errSuccess || stopped == JET_wrnDefragNotRunning);
    }
    EXPECT(JET_errSuccess, JetCloseTable(sesid, tableid));
    EXPECT(JET_errSuccess, JetCloseDatabase(sesid, database, 0));
    EXPECT(JET_errSuccess, JetEndSession(sesid, 0));
}

static JET_ERR JET_API told(JET_SESID sesid, JET_DBID database, JET_TABLEID tableid, JET_CBTYP cbtyp, void *arg1,
                            void *arg2, void *given, JET_API_PTR unused)
{
    CHECK(sesid == session && database == dbid && tableid == JET_tableidNil);
    CHECK(cbtyp == JET_cbtypOnlineDefragCompleted && !arg1 && !arg2 && !unused);
    CHECK(!given || given == &context);
    call_back();
    ended++;
    return JET_errSuccess;
}

static void wait_for(int times)
{
    for (int i = 0; i < 6000 && ended < times; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    CHECK(ended == times);
}

static void defragment(const char *database)
{
    JET_WCHAR wide[UNITS], name[UNITS];
    JET_ULONG passes = 1, seconds = 100, none = (JET_ULONG)-1;
    JET_ULONG before, after;
    const JET_GRBIT begin = JET_bitDefragmentBatchStart, end = JET_bitDefragmentBatchStop;

    EXPECT(JET_errInvalidGrbit, JetDefragmentA(session, dbid, NULL, NULL, NULL, 0));
    EXPECT(JET_errInvalidGrbit, JetDefragmentA(session, dbid, NULL, NULL, NULL, begin | end));
    EXPECT(JET_errInvalidGrbit, JetDefragmentA(session, dbid, NULL, NULL, NULL, begin | 0x10000));
    EXPECT(JET_errInvalidDatabaseId, JetDefragmentA(session, dbid + 9, NULL, NULL, NULL, begin));
    EXPECT(JET_errInvalidParameter, JetDefragmentA(session, dbid, NULL, NULL, NULL, JET_bitDefragmentBTree));
    EXPECT(JET_errObjectNotFound, JetDefragmentA(session, dbid, "no", NULL, NULL, JET_bitDefragmentBTree));
    EXPECT(JET_errInvalidPath, JetDefragment3A(session, "/no/such.edb", NULL, NULL, NULL, NULL, NULL, begin));
    EXPECT(JET_wrnDefragNotRunning, JetDefragmentA(session, dbid, NULL, NULL, NULL, end));

    EXPECT(JET_errSuccess, JetGetTableInfoA(session, table, &before, sizeof before, JET_TblInfoSpaceAvailable));
    /* Without a limit it goes on until it is told to end. */
    EXPECT(JET_errSuccess, JetDefragmentA(session, dbid, NULL, &none, &none, begin));
    EXPECT(JET_wrnDefragAlreadyRunning, JetDefragmentW(other, other_dbid, NULL, NULL, NULL, begin));
    EXPECT(JET_wrnDefragAlreadyRunning,
           JetDefragment3W(session, widen(wide, database), NULL, NULL, NULL, NULL, NULL, begin));
    nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
    passes = seconds = 77;
    EXPECT(JET_errSuccess, JetDefragmentA(session, dbid, NULL, &passes, &seconds, end));
    CHECK(passes >= 1 && passes < 77 && seconds < 77);
    EXPECT(JET_wrnDefragNotRunning, JetDefragmentA(session, dbid, NULL, &passes, &seconds, end));

    /* With one it ends by itself, and tells. */
    passes = 1;
    EXPECT(JET_errSuccess, JetDefragment2A(session, dbid, NULL, &passes, NULL, told, begin));
    wait_for(1);
    EXPECT(JET_errSuccess, JetDefragment2W(session, dbid, widen(name, "t"), NULL, NULL, told,
                                           JET_bitDefragmentBTree | JET_bitDefragmentNoPartialMerges));
    wait_for(2);
    EXPECT(JET_errSuccess, JetDefragment3A(session, database, NULL, &passes, NULL, told, &context,
                                           begin | JET_bitDefragmentAvailSpaceTreesOnly));
    wait_for(3);
    EXPECT(JET_wrnDefragNotRunning, JetDefragmentA(session, dbid, NULL, NULL, NULL, end));
    EXPECT(JET_errSuccess, JetGetTableInfoA(session, table, &after, sizeof after, JET_TblInfoSpaceAvailable));
    CHECK(after >= before);
    CHECK(count(session, table) == 856);
    CHECK(count(other, other_table) == 856);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    database_path = argv[2];
    start(argv[1], argv[2]);
    cursors_and_tables();
    elsewhere(argv[1]);
    versions();
    thin_out();
    defragment(argv[2]);
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));

    /* A database that is only read is not defragmented. */
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, "bounds"));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, argv[1]));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, argv[1]));
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, argv[2], JET_bitDbReadOnly));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(session, argv[2], NULL, &dbid, JET_bitDbReadOnly));
    EXPECT(JET_errDatabaseFileReadOnly, JetDefragmentA(session, dbid, NULL, NULL, NULL, JET_bitDefragmentBatchStart));
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));
    return 0;
}
