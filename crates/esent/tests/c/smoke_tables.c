/* A table is made, filled, read, and seen again after the instance has ended. */
#include "check.h"
#include "esent.h"
#include <string.h>

static JET_INSTANCE instance;
static JET_SESID sesid;
static JET_DBID dbid;

static void start(const char *folder)
{
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, "tables"));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, folder));
    EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, folder));
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &sesid, NULL, NULL));
}

int main(int argc, char **argv)
{
    JET_TABLEID tableid;
    JET_COLUMNID number, text;
    JET_COLUMNDEF column = { .cbStruct = sizeof column, .coltyp = JET_coltypLong };
    JET_ULONG actual;
    char buffer[16];
    CHECK(argc == 3);
    start(argv[1]);
    EXPECT(JET_errSuccess, JetCreateDatabaseA(sesid, argv[2], NULL, &dbid, 0));
    EXPECT(JET_errSuccess, JetCreateTableA(sesid, dbid, "t", 0, 0, &tableid));
    EXPECT(JET_errSuccess, JetAddColumnA(sesid, tableid, "n", &column, NULL, 0, &number));
    column.coltyp = JET_coltypLongText;
    column.cp = 1252;
    EXPECT(JET_errSuccess, JetAddColumnA(sesid, tableid, "s", &column, NULL, 0, &text));
    EXPECT(JET_errNotInTransaction, JetPrepareUpdate(sesid, tableid, JET_prepInsert));
    for (JET_LONG i = 0; i < 100; i++) {
        EXPECT(JET_errSuccess, JetBeginTransaction(sesid));
        EXPECT(JET_errSuccess, JetPrepareUpdate(sesid, tableid, JET_prepInsert));
        EXPECT(JET_errSuccess, JetSetColumn(sesid, tableid, number, &i, sizeof i, 0, NULL));
        EXPECT(JET_errSuccess, JetSetColumn(sesid, tableid, text, "0123456789", 10, 0, NULL));
        EXPECT(JET_errSuccess, JetUpdate(sesid, tableid, NULL, 0, NULL));
        EXPECT(JET_errSuccess, i % 3 ? JetCommitTransaction(sesid, JET_bitCommitLazyFlush) : JetRollback(sesid, 0));
    }
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));

    start(argv[1]);
    EXPECT(JET_errSuccess, JetAttachDatabaseA(sesid, argv[2], 0));
    EXPECT(JET_errSuccess, JetOpenDatabaseA(sesid, argv[2], NULL, &dbid, 0));
    EXPECT(JET_errSuccess, JetOpenTableA(sesid, dbid, "T", NULL, 0, 0, &tableid));
    for (JET_LONG i = 0, found; i < 100; i++) {
        if (i % 3 == 0)
            continue;
        EXPECT(JET_errSuccess, JetRetrieveColumn(sesid, tableid, number, &found, sizeof found, &actual, 0, NULL));
        CHECK(found == i && actual == 4);
        EXPECT(JET_wrnBufferTruncated, JetRetrieveColumn(sesid, tableid, text, buffer, 3, &actual, 0, NULL));
        CHECK(actual == 10 && !memcmp(buffer, "012", 3));
        EXPECT(i == 98 ? JET_errNoCurrentRecord : JET_errSuccess, JetMove(sesid, tableid, JET_MoveNext, 0));
    }
    EXPECT(JET_errSuccess, JetTerm2(instance, JET_bitTermComplete));
    return 0;
}
