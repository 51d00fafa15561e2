/* Names in UTF-16, the newer structures, indexes with conditions and over parts of texts; and who goes with
 * whom: cursors with databases and sessions, transactions with sessions. */
#include "check.h"
#include "esent.h"
#include <string.h>

#define OK(call) EXPECT(JET_errSuccess, call)

int main(int argc, char **argv)
{
    JET_INSTANCE instance;
    JET_SESID sesid, second;
    JET_DBID dbid, second_db;
    JET_TABLEID t, other;
    JET_ULONG actual;
    JET_WCHAR name[70];
    CHECK(argc == 3);
    OK(JetCreateInstanceA(&instance, "wide"));
    OK(JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, argv[1]));
    OK(JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, argv[1]));
    OK(JetInit(&instance));
    OK(JetBeginSessionA(instance, &sesid, NULL, NULL));
    OK(JetBeginTransaction(sesid));
    EXPECT(JET_errInTransaction, JetCreateDatabase2A(sesid, argv[2], 0, &dbid, 0));
    OK(JetRollback(sesid, 0));
    EXPECT(JET_errInvalidGrbit, JetCreateDatabase2A(sesid, argv[2], 0, &dbid, 1));
    OK(JetCreateDatabase2A(sesid, argv[2], 0, &dbid, 0));

    JET_COLUMNCREATE_W columns[] = {
        { .cbStruct = sizeof *columns, .szColumnName = (JET_WCHAR *)u"Word", .coltyp = JET_coltypLongText, .cp = 1200 },
        { .cbStruct = sizeof *columns, .szColumnName = (JET_WCHAR *)u"Mark", .coltyp = JET_coltypLong },
    };
    JET_CONDITIONALCOLUMN_W marked = { sizeof marked, (JET_WCHAR *)u"Mark", JET_bitIndexColumnMustBeNonNull };
    JET_UNICODEINDEX2 german = { (JET_WCHAR *)u"de-DE", 0 };
    JET_TUPLELIMITS limits = { 2, 4, 100, 1, 0 };
    JET_WCHAR key[] = u"+Word\0";
    JET_INDEXCREATE3_W indexes[] = {
        { .cbStruct = sizeof *indexes, .szIndexName = (JET_WCHAR *)u"Marked", .szKey = key, .cbKey = sizeof key,
          .grbit = JET_bitIndexUnicode, .pidxunicode = &german, .rgconditionalcolumn = &marked, .cConditionalColumn = 1 },
        { .cbStruct = sizeof *indexes, .szIndexName = (JET_WCHAR *)u"Parts", .szKey = key, .cbKey = sizeof key,
          .grbit = JET_bitIndexTuples | JET_bitIndexTupleLimits, .ptuplelimits = &limits },
    };
    JET_TABLECREATE4_W create = { .cbStruct = sizeof create, .szTableName = (JET_WCHAR *)u"Words", .rgcolumncreate = columns,
        .cColumns = 2, .rgindexcreate = indexes, .cIndexes = 2 };
    create.cbStruct--;
    EXPECT(JET_errInvalidParameter, JetCreateTableColumnIndex4W(sesid, dbid, &create));
    create.cbStruct++;
    OK(JetCreateTableColumnIndex4W(sesid, dbid, &create));
    t = create.tableid;
    OK(JetGetTableIndexInfoW(sesid, t, u"marked", name, sizeof name, JET_IdxInfoLocaleName));
    CHECK(!memcmp(name, u"de-DE", 12));
    OK(JetGetTableIndexInfoW(sesid, t, u"marked", &actual, sizeof actual, JET_IdxInfoLCID));
    CHECK(actual == 0x407);

    const JET_WCHAR *words[] = { u"apfel", u"Äpfel", u"birne", u"zwetschge" };
    OK(JetBeginTransaction(sesid));
    for (JET_LONG i = 0; i < 4; i++) {
        JET_ULONG length = 0;
        while (words[i][length])
            length++;
        OK(JetPrepareUpdate(sesid, t, JET_prepInsert));
        OK(JetSetColumn(sesid, t, columns[0].columnid, words[i], length * 2, 0, NULL));
        if (i != 2)
            OK(JetSetColumn(sesid, t, columns[1].columnid, &i, sizeof i, 0, NULL));
        OK(JetUpdate(sesid, t, NULL, 0, NULL));
    }
    OK(JetCommitTransaction(sesid, 0));
    OK(JetSetCurrentIndexW(sesid, t, u"Marked"));
    OK(JetIndexRecordCount(sesid, t, &actual, 0));
    CHECK(actual == 3);
    OK(JetSetCurrentIndexW(sesid, t, u"Parts"));
    OK(JetMakeKey(sesid, t, u"etsc", 8, JET_bitNewKey));
    OK(JetSeek(sesid, t, JET_bitSeekEQ));
    OK(JetRetrieveColumn(sesid, t, columns[0].columnid, name, sizeof name, &actual, 0, NULL));
    CHECK(actual == 18 && !memcmp(name, words[3], 18));
    EXPECT(JET_errIndexTuplesCannotRetrieveFromIndex,
        JetRetrieveColumn(sesid, t, columns[0].columnid, name, sizeof name, &actual, JET_bitRetrieveFromIndex, NULL));

    /* Several indexes at once: none when one of them fails. */
    JET_INDEXCREATE3_W more[] = { indexes[0], indexes[1] };
    more[0].szIndexName = (JET_WCHAR *)u"More";
    EXPECT(JET_errIndexDuplicate, JetCreateIndex4W(sesid, t, more, 2));
    CHECK(more[0].err == JET_errSuccess && more[1].err == JET_errIndexDuplicate);
    EXPECT(JET_errIndexNotFound, JetSetCurrentIndexW(sesid, t, u"More"));
    OK(JetCreateIndex4W(sesid, t, more, 1));
    OK(JetSetCurrentIndexW(sesid, t, u"More"));
    OK(JetIndexRecordCount(sesid, t, &actual, 0));
    CHECK(actual == 3);
    EXPECT(JET_errIndexInUse, JetDeleteIndexW(sesid, t, u"More"));
    OK(JetSetCurrentIndexW(sesid, t, NULL));
    OK(JetDeleteIndexW(sesid, t, u"More"));
    OK(JetCreateIndexW(sesid, t, u"Short", JET_bitIndexIgnoreNull, u"-Mark\0", 14, 90));
    OK(JetGetTableIndexInfoW(sesid, t, u"Short", &actual, sizeof actual, JET_IdxInfoSpaceAlloc));
    CHECK(actual == 90);

    /* It was made for this session alone. */
    OK(JetDupSession(sesid, &second));
    OK(JetOpenDatabaseA(second, argv[2], NULL, &second_db, 0));
    EXPECT(JET_errTableLocked, JetOpenTableW(second, second_db, u"Words", NULL, 0, 0, &other));
    OK(JetCloseTable(sesid, t));
    OK(JetOpenTableW(second, second_db, u"Words", NULL, 0, JET_bitTableReadOnly, &other));
    OK(JetBeginTransaction(second));
    EXPECT(JET_errPermissionDenied, JetDelete(second, other));
    OK(JetRollback(second, 0));
    EXPECT(JET_errTableInUse, JetDeleteTableW(sesid, dbid, u"Words"));
    /* Cursors go with their database, and what a session has begun is undone with it. */
    OK(JetCloseDatabase(second, second_db, 0));
    EXPECT(JET_errInvalidTableId, JetMove(second, other, JET_MoveFirst, 0));
    OK(JetOpenDatabaseA(second, argv[2], NULL, &second_db, 0));
    OK(JetOpenTableW(second, second_db, u"Words", NULL, 0, 0, &other));
    OK(JetBeginTransaction(second));
    OK(JetDelete(second, other));
    OK(JetPrepareUpdate(second, other, JET_prepInsert));
    OK(JetEndSession(second, 0));
    OK(JetRenameTableW(sesid, dbid, u"Words", u"Woerter"));
    OK(JetOpenTableW(sesid, dbid, u"woerter", NULL, 0, 0, &t));
    OK(JetIndexRecordCount(sesid, t, &actual, 0));
    CHECK(actual == 4);
    OK(JetRenameColumnW(sesid, t, u"Mark", u"Sign", 0));
    EXPECT(JET_errColumnInUse, JetDeleteColumnW(sesid, t, u"Sign"));
    OK(JetCloseTable(sesid, t));
    OK(JetDeleteTableW(sesid, dbid, u"Woerter"));
    EXPECT(JET_errObjectNotFound, JetOpenTableW(sesid, dbid, u"Woerter", NULL, 0, 0, &t));
    OK(JetTerm2(instance, JET_bitTermComplete));
    return 0;
}
