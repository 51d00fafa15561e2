/* Tables through the whole API: made with all column types, filled, changed, sought, ranged over; a second
 * run ("again") opens the database anew and finds the same. */
#include "check.h"
#include "esent.h"
#include <string.h>

enum { RECORDS = 600, LONG = 20000 };

static JET_INSTANCE instance;
static JET_SESID sesid;
static JET_DBID dbid;
static JET_TABLEID t;
static JET_COLUMNID id, number, code, title, blob, tags, guid, hits;
static char memory[LONG + 100];

#define OK(call) EXPECT(JET_errSuccess, call)

static void start(const char *folder)
{
    OK(JetCreateInstanceA(&instance, "tables"));
    OK(JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, folder));
    OK(JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, folder));
    OK(JetInit(&instance));
    OK(JetBeginSessionA(instance, &sesid, NULL, NULL));
}

static JET_COLUMNID column(const char *name)
{
    JET_COLUMNDEF definition;
    OK(JetGetTableColumnInfoA(sesid, t, name, &definition, sizeof definition, JET_ColInfo));
    return definition.columnid;
}

static void find_columns(void)
{
    id = column("Id"), number = column("Number"), code = column("Code"), title = column("Title");
    blob = column("Blob"), tags = column("Tags"), guid = column("Guid"), hits = column("Hits");
}

static void make(void)
{
    JET_LONG zero = 0;
#define C(n, t, b, m, g, d, s) { .cbStruct = sizeof(JET_COLUMNCREATE_A), .szColumnName = (char *)n, \
    .coltyp = t, .cbMax = m, .grbit = g, .pvDefault = d, .cbDefault = s, .cp = b, .err = 7 }
    JET_COLUMNCREATE_A columns[] = {
        C("Id", JET_coltypLong, 0, 0, JET_bitColumnAutoincrement, NULL, 0),
        C("Number", JET_coltypLong, 0, 0, 0, NULL, 0),
        C("Code", JET_coltypText, 1252, 40, JET_bitColumnNotNULL, NULL, 0),
        C("Title", JET_coltypLongText, 1200, 0, 0, NULL, 0),
        C("Blob", JET_coltypLongBinary, 0, 0, 0, NULL, 0),
        C("Tags", JET_coltypText, 1252, 0, JET_bitColumnTagged | JET_bitColumnMultiValued, NULL, 0),
        C("Guid", JET_coltypGUID, 0, 0, 0, NULL, 0),
        C("Hits", JET_coltypLong, 0, 0, JET_bitColumnEscrowUpdate, &zero, sizeof zero),
        C("Bit", JET_coltypBit, 0, 0, 0, NULL, 0),
        C("Byte", JET_coltypUnsignedByte, 0, 0, 0, NULL, 0),
        C("Short", JET_coltypShort, 0, 0, 0, NULL, 0),
        C("Currency", JET_coltypCurrency, 0, 0, 0, NULL, 0),
        C("Single", JET_coltypIEEESingle, 0, 0, 0, NULL, 0),
        C("Double", JET_coltypIEEEDouble, 0, 0, 0, NULL, 0),
        C("Date", JET_coltypDateTime, 0, 0, 0, NULL, 0),
        C("Binary", JET_coltypBinary, 0, 20, JET_bitColumnFixed, NULL, 0),
        C("ULong", JET_coltypUnsignedLong, 0, 0, 0, NULL, 0),
        C("LongLong", JET_coltypLongLong, 0, 0, 0, NULL, 0),
        C("UShort", JET_coltypUnsignedShort, 0, 0, 0, NULL, 0),
    };
#define I(n, k, g) { .cbStruct = sizeof(JET_INDEXCREATE_A), .szIndexName = (char *)n, .szKey = (char *)k, \
    .cbKey = sizeof k, .grbit = g, .err = 7 }
    JET_INDEXCREATE_A indexes[] = {
        I("ByNumber", "-Number\0", 0),
        I("ById", "+Id\0", JET_bitIndexPrimary),
        I("ByCode", "+Code\0", JET_bitIndexUnique),
        I("ByTag", "+Tags\0", JET_bitIndexIgnoreAnyNull),
        I("ByTitle", "+Title\0-Number\0", 0),
    };
    JET_TABLECREATE_A create = {
        .cbStruct = sizeof create, .szTableName = (char *)"Things",
        .rgcolumncreate = columns, .cColumns = sizeof columns / sizeof *columns,
        .rgindexcreate = indexes, .cIndexes = sizeof indexes / sizeof *indexes,
    };
    OK(JetCreateTableColumnIndexA(sesid, dbid, &create));
    CHECK(create.cCreated == 1 + create.cColumns + create.cIndexes);
    CHECK(columns[0].columnid == 1 && columns[18].err == 0 && indexes[4].err == 0);
    EXPECT(JET_errTableDuplicate, JetCreateTableColumnIndexA(sesid, dbid, &create));
    t = create.tableid;
    find_columns();
    CHECK(columns[5].columnid == tags);
}

static void set(JET_COLUMNID which, const void *data, size_t size, JET_GRBIT grbit, JET_ULONG tag)
{
    JET_SETINFO info = { sizeof info, 0, tag };
    OK(JetSetColumn(sesid, t, which, data, (JET_ULONG)size, grbit, &info));
}

/* What record n holds. */
static size_t code_of(char *out, int n) { return (size_t)sprintf(out, "code %05d", n); }
static size_t blob_of(char *out, int n)
{
    size_t size = (size_t)(n * 997 % LONG);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(i * 7 + (size_t)n);
    return size;
}

static void fill(int n)
{
    char text[40];
    JET_WCHAR wide[8] = { 'T', 'i', 't', 'e', 'l', (JET_WCHAR)('A' + n % 26) };
    JET_LONG value = n / 3;
    set(number, &value, sizeof value, 0, 1);
    set(code, text, code_of(text, n), 0, 1);
    set(title, wide, 12, 0, 1);
    size_t size = blob_of(memory, n);
    set(blob, memory, size / 2, JET_bitSetAppendLV, 1);
    set(blob, memory + size / 2, size - size / 2, JET_bitSetAppendLV, 1);
    for (JET_ULONG i = 0; i < (JET_ULONG)n % 4; i++)
        set(tags, text, (size_t)sprintf(text, "tag %u of %d", (unsigned)i, n % 10), 0, 0);
    if (n % 2)
        set(guid, "0123456789abcdef", 16, 0, 1);
}

static void insert(int n)
{
    OK(JetPrepareUpdate(sesid, t, JET_prepInsert));
    fill(n);
    OK(JetUpdate(sesid, t, NULL, 0, NULL));
}

static JET_ERR seek_code(int n, JET_GRBIT grbit)
{
    char text[40];
    OK(JetSetCurrentIndexA(sesid, t, "ByCode"));
    OK(JetMakeKey(sesid, t, text, (JET_ULONG)code_of(text, n), JET_bitNewKey));
    return JetSeek(sesid, t, grbit);
}

static void check(int n)
{
    char text[40], found[60];
    JET_ULONG actual;
    JET_LONG value;
    OK(JetRetrieveColumn(sesid, t, number, &value, sizeof value, &actual, 0, NULL));
    CHECK(actual == 4 && value == n / 3);
    OK(JetRetrieveColumn(sesid, t, code, found, sizeof found, &actual, 0, NULL));
    CHECK(actual == code_of(text, n) && !memcmp(found, text, actual));
    static char read[LONG];
    size_t size = blob_of(memory, n);
    /* Nothing was ever appended to what is empty: that is NULL. */
    EXPECT(size ? JET_errSuccess : JET_errSuccess, JetRetrieveColumn(sesid, t, blob, read, sizeof read, &actual, 0, NULL));
    CHECK(actual == size && !memcmp(read, memory, size));
    if (size > 100) {
        JET_RETINFO info = { sizeof info, 50, 1, 0 };
        EXPECT(JET_wrnBufferTruncated, JetRetrieveColumn(sesid, t, blob, read, 10, &actual, 0, &info));
        CHECK(actual == size - 50 && !memcmp(read, memory + 50, 10));
        EXPECT(JET_wrnBufferTruncated, JetRetrieveColumn(sesid, t, blob, NULL, 0, &actual, 0, NULL));
        CHECK(actual == size);
    }
    JET_RETRIEVECOLUMN columns[2] = { { .columnid = tags },
        { .columnid = tags, .itagSequence = (JET_ULONG)n % 4 + 1, .pvData = found, .cbData = sizeof found } };
    OK(JetRetrieveColumns(sesid, t, columns, 2));
    CHECK(columns[0].itagSequence == (JET_ULONG)n % 4 && columns[1].err == JET_wrnColumnNull);
    EXPECT(n % 2 ? JET_errSuccess : JET_wrnColumnNull, JetRetrieveColumn(sesid, t, guid, found, 16, &actual, 0, NULL));
    CHECK(actual == (n % 2 ? 16 : 0));
}

/* Records 0 to RECORDS without those that a multiple of 7 names; in all orders. */
static int lives(int n) { return n % 7 != 0; }

static void check_all(void)
{
    int count = 0, entries = 0;
    for (int n = 0; n < RECORDS; n++) {
        EXPECT(lives(n) ? JET_errSuccess : JET_errRecordNotFound, seek_code(n, JET_bitSeekEQ));
        if (lives(n))
            check(n), count++, entries += n % 4;
    }
    const char *names[] = { NULL, "ById", "ByNumber", "ByCode", "ByTag", "ByTitle" };
    for (int i = 0; i < 6; i++) {
        JET_ULONG found;
        char name[65];
        OK(JetSetCurrentIndexA(sesid, t, names[i]));
        OK(JetGetCurrentIndexA(sesid, t, name, sizeof name));
        CHECK(!strcmp(name, i ? names[i] : "ById"));
        OK(JetIndexRecordCount(sesid, t, &found, 0));
        CHECK((int)found == (i == 4 ? entries : count));
        int steps = 1;
        OK(JetMove(sesid, t, JET_MoveLast, 0));
        while (JetMove(sesid, t, JET_MovePrevious, 0) == JET_errSuccess)
            steps++;
        CHECK(steps == (int)found);
        EXPECT(JET_errNoCurrentRecord, JetMove(sesid, t, 0, 0));
    }
}

static void seeks(void)
{
    JET_LONG value = 100, found;
    JET_ULONG actual;
    OK(JetSetCurrentIndexA(sesid, t, "ByNumber"));
    /* Descending: what is greater comes before. */
    OK(JetMakeKey(sesid, t, &value, sizeof value, JET_bitNewKey));
    OK(JetSeek(sesid, t, JET_bitSeekGT));
    OK(JetRetrieveColumn(sesid, t, number, &found, sizeof found, &actual, 0, NULL));
    CHECK(found == 99);
    OK(JetMakeKey(sesid, t, &value, sizeof value, JET_bitNewKey));
    OK(JetSeek(sesid, t, JET_bitSeekLT));
    OK(JetRetrieveColumn(sesid, t, number, &found, sizeof found, &actual, 0, NULL));
    CHECK(found == 101);
    OK(JetMakeKey(sesid, t, &value, sizeof value, JET_bitNewKey));
    OK(JetSeek(sesid, t, JET_bitSeekEQ | JET_bitSetIndexRange));
    int inside = 1;
    while (JetMove(sesid, t, JET_MoveNext, 0) == JET_errSuccess)
        inside++;
    CHECK(inside == lives(300) + lives(301) + lives(302));
    EXPECT(JET_wrnSeekNotEqual, seek_code(7, JET_bitSeekGE));
    check(8);
    EXPECT(JET_wrnSeekNotEqual, seek_code(7, JET_bitSeekLE));
    check(6);
    OK(seek_code(8, JET_bitSeekGE));
    EXPECT(JET_errRecordNotFound, seek_code(100000, JET_bitSeekGE));
    EXPECT(JET_errKeyNotMade, JetSeek(sesid, t, JET_bitSeekEQ));
    EXPECT(JET_errInvalidGrbit, JetSeek(sesid, t, 0));
    /* All codes that begin with "code 001": 100 to 199. */
    OK(JetMakeKey(sesid, t, "code 001", 8, JET_bitNewKey | JET_bitPartialColumnStartLimit));
    EXPECT(JET_wrnSeekNotEqual, JetSeek(sesid, t, JET_bitSeekGE));
    OK(JetMakeKey(sesid, t, "code 001", 8, JET_bitNewKey | JET_bitPartialColumnEndLimit));
    OK(JetSetIndexRange(sesid, t, JET_bitRangeUpperLimit | JET_bitRangeInclusive));
    OK(JetIndexRecordCount(sesid, t, &actual, 0));
    CHECK(actual == 86);
    OK(JetSetIndexRange(sesid, t, JET_bitRangeRemove));
    EXPECT(JET_errInvalidOperation, JetSetIndexRange(sesid, t, JET_bitRangeRemove));
    /* Bookmarks, in both kinds of order. */
    char bookmark[300], key[300];
    JET_ULONG size, key_size;
    OK(seek_code(30, JET_bitSeekEQ));
    EXPECT(JET_errBufferTooSmall, JetGetBookmark(sesid, t, bookmark, 1, &size));
    CHECK(size == 5);
    OK(JetGetSecondaryIndexBookmark(sesid, t, key, sizeof key, &key_size, bookmark, sizeof bookmark, &size, 0));
    OK(JetRetrieveKey(sesid, t, memory, sizeof memory, &actual, 0));
    CHECK(actual == key_size && !memcmp(memory, key, actual));
    OK(JetMove(sesid, t, JET_MoveFirst, 0));
    OK(JetGotoSecondaryIndexBookmark(sesid, t, key, key_size, bookmark, size, 0));
    check(30);
    OK(JetMove(sesid, t, 1, 0));
    check(31);
    OK(JetGotoBookmark(sesid, t, bookmark, size));
    check(30);
    OK(JetSetCurrentIndex2A(sesid, t, NULL, JET_bitNoMove));
    check(30);
    EXPECT(JET_errNoCurrentIndex, JetGetSecondaryIndexBookmark(sesid, t, key, sizeof key, &size, NULL, 0, NULL, 0));
    OK(JetMove(sesid, t, JET_MoveLast, 0));
    EXPECT(JET_errNoCurrentRecord, JetMove(sesid, t, JET_MoveNext, 0));
}

static void facts(void)
{
    char name[65];
    JET_ULONG two[2], found;
    JET_OBJECTINFO object;
    JET_COLUMNDEF definition;
    JET_COLUMNBASE_W base;
    JET_INDEXID index = { .cbStruct = 0 };
    JET_RECPOS position;
    OK(JetGetTableInfoA(sesid, t, name, sizeof name, JET_TblInfoName));
    CHECK(!strcmp(name, "Things"));
    OK(JetGetTableInfoA(sesid, t, two, sizeof two, JET_TblInfoDbid));
    CHECK(two[0] == dbid && two[1] == dbid);
    OK(JetGetTableInfoA(sesid, t, two, sizeof two, JET_TblInfoSpaceAlloc));
    CHECK(two[1] == 80);
    OK(JetGetTableInfoA(sesid, t, &found, sizeof found, JET_TblInfoSpaceOwned));
    OK(JetGetTableInfoA(sesid, t, two, sizeof *two, JET_TblInfoSpaceAvailable));
    CHECK(found > 500 && two[0] < found);
    EXPECT(JET_errInvalidBufferSize, JetGetTableInfoA(sesid, t, &found, 3, JET_TblInfoSpaceOwned));
    EXPECT(JET_errFeatureNotAvailable, JetGetTableInfoA(sesid, t, two, sizeof two, JET_TblInfoOLC));
    OK(JetGetObjectInfoA(sesid, dbid, JET_objtypTable, NULL, "Things", &object, sizeof object, JET_ObjInfo));
    CHECK(object.objtyp == JET_objtypTable && object.flags == 0);
    EXPECT(JET_errObjectNotFound,
        JetGetObjectInfoA(sesid, dbid, JET_objtypTable, NULL, "Things2", &object, sizeof object, JET_ObjInfo));
    OK(JetGetTableColumnInfoA(sesid, t, (char *)&code, &definition, sizeof definition, JET_ColInfoByColid));
    CHECK(definition.columnid == code && definition.coltyp == JET_coltypText && definition.cbMax == 40);
    CHECK(definition.cp == 1252 && definition.grbit == (JET_bitColumnNotNULL | JET_bitColumnUpdatable));
    const JET_WCHAR things[] = u"Things", tagged[] = u"Tags";
    OK(JetGetColumnInfoW(sesid, dbid, things, tagged, &base, sizeof base, JET_ColInfoBase));
    CHECK(base.columnid == tags && !memcmp(base.szBaseTableName, things, sizeof things));
    CHECK(base.grbit == (JET_bitColumnTagged | JET_bitColumnMultiValued | JET_bitColumnUpdatable));
    OK(JetGetTableIndexInfoA(sesid, t, NULL, &found, sizeof found, JET_IdxInfoCount));
    CHECK(found == 5);
    OK(JetGetTableIndexInfoA(sesid, t, "ByTag", &index, sizeof index, JET_IdxInfoIndexId));
    OK(JetSetCurrentIndex4A(sesid, t, NULL, &index, JET_bitMoveFirst, 1));
    OK(JetGetCurrentIndexA(sesid, t, name, sizeof name));
    CHECK(!strcmp(name, "ByTag"));
    index.rgbIndexId[15] ^= 1;
    EXPECT(JET_errInvalidIndexId, JetSetCurrentIndex4A(sesid, t, NULL, &index, JET_bitMoveFirst, 1));
    OK(seek_code(30, JET_bitSeekEQ));
    OK(JetGetRecordPosition(sesid, t, &position, sizeof position));
    /* 0, 7, 14, 21 and 28 are gone. */
    CHECK(position.centriesLT == 25 && position.centriesTotal == 514);
    OK(JetMove(sesid, t, JET_MoveLast, 0));
    OK(JetGotoPosition(sesid, t, &position));
    check(30);
}

static void errors(const char *database)
{
    JET_TABLEID other;
    JET_COLUMNDEF definition = { .cbStruct = sizeof definition, .coltyp = JET_coltypLong };
    JET_COLUMNID made;
    JET_LONG value = 1, old;
    JET_ULONG actual;
    JET_SESID second;
    JET_DBID second_db;
    char text[300];
    memset(text, 'x', sizeof text);
    EXPECT(JET_errDatabaseDuplicate, JetCreateDatabaseA(sesid, database, NULL, &second_db, 0));
    EXPECT(JET_errInvalidDatabaseId, JetOpenTableA(sesid, 77, "Things", NULL, 0, 0, &other));
    EXPECT(JET_errObjectNotFound, JetOpenTableA(sesid, dbid, "Nothing", NULL, 0, 0, &other));
    EXPECT(JET_errInvalidName, JetOpenTableA(sesid, dbid, "a.b", NULL, 0, 0, &other));
    EXPECT(JET_errInvalidName, JetCreateTableA(sesid, dbid, " x", 0, 0, &other));
    EXPECT(JET_errTableDuplicate, JetCreateTableA(sesid, dbid, "THINGS", 0, 0, &other));
    EXPECT(JET_errInvalidTableId, JetMove(sesid, 12345, 1, 0));
    EXPECT(JET_errTableInUse, JetDeleteTableA(sesid, dbid, "Things"));
    EXPECT(JET_errObjectNotFound, JetDeleteTableA(sesid, dbid, "Nothing"));
    EXPECT(JET_errColumnDuplicate, JetAddColumnA(sesid, t, "code", &definition, NULL, 0, &made));
    EXPECT(JET_errIndexDuplicate, JetCreateIndexA(sesid, t, "bycode", 0, "+Code\0", 7, 0));
    EXPECT(JET_errColumnNotFound, JetCreateIndexA(sesid, t, "New", 0, "+Cod\0", 6, 0));
    EXPECT(JET_errIndexNotFound, JetSetCurrentIndexA(sesid, t, "New"));
    EXPECT(JET_errNotInTransaction, JetRollback(sesid, 0));
    EXPECT(JET_errNotInTransaction, JetCommitTransaction(sesid, 0));
    EXPECT(JET_errNotInTransaction, JetPrepareUpdate(sesid, t, JET_prepInsert));
    OK(JetBeginTransaction2(sesid, JET_bitTransactionReadOnly));
    EXPECT(JET_errTransReadOnly, JetPrepareUpdate(sesid, t, JET_prepInsert));
    OK(JetRollback(sesid, 0));
    for (int level = 1; level <= 7; level++)
        OK(JetBeginTransaction(sesid));
    EXPECT(JET_errTransTooDeep, JetBeginTransaction(sesid));
    OK(JetGetSessionParameter(sesid, JET_sesparamTransactionLevel, &actual, sizeof actual, NULL));
    CHECK(actual == 7);
    OK(JetRollback(sesid, JET_bitRollbackAll));
    OK(JetBeginTransaction(sesid));
    EXPECT(JET_errUpdateNotPrepared, JetUpdate(sesid, t, NULL, 0, NULL));
    EXPECT(JET_errUpdateNotPrepared, JetSetColumn(sesid, t, number, &value, 4, 0, NULL));
    EXPECT(JET_errInvalidParameter, JetPrepareUpdate(sesid, t, 99));
    OK(JetPrepareUpdate(sesid, t, JET_prepInsert));
    EXPECT(JET_errAlreadyPrepared, JetPrepareUpdate(sesid, t, JET_prepInsert));
    EXPECT(JET_errInvalidBufferSize, JetSetColumn(sesid, t, number, &value, 3, 0, NULL));
    EXPECT(JET_errBadColumnId, JetSetColumn(sesid, t, 0x20000, &value, 4, 0, NULL));
    EXPECT(JET_errColumnNotFound, JetSetColumn(sesid, t, 100, &value, 4, 0, NULL));
    EXPECT(JET_errInvalidColumnType, JetSetColumn(sesid, t, id, &value, 4, 0, NULL));
    EXPECT(JET_errNullInvalid, JetSetColumn(sesid, t, code, NULL, 0, 0, NULL));
    EXPECT(JET_wrnColumnMaxTruncated, JetSetColumn(sesid, t, code, text, 41, 0, NULL));
    EXPECT(JET_errInvalidGrbit, JetSetColumn(sesid, t, code, text, 4, JET_bitSetAppendLV, NULL));
    set(tags, "same", 4, JET_bitSetUniqueMultiValues, 0);
    JET_SETINFO append = { sizeof append, 0, 0 };
    EXPECT(JET_errMultiValuedDuplicate, JetSetColumn(sesid, t, tags, "same", 4, JET_bitSetUniqueMultiValues, &append));
    set(code, text, code_of(text, 1), 0, 1);
    EXPECT(JET_errKeyDuplicate, JetUpdate(sesid, t, NULL, 0, NULL));
    OK(JetPrepareUpdate(sesid, t, JET_prepCancel));
    EXPECT(JET_errUpdateNotPrepared, JetPrepareUpdate(sesid, t, JET_prepCancel));
    OK(JetRollback(sesid, 0));
    EXPECT(JET_errRecordNotFound, seek_code(7, JET_bitSeekEQ));
    EXPECT(JET_errNoCurrentRecord, JetRetrieveColumn(sesid, t, code, text, 40, &actual, 0, NULL));
    /* Two sessions and one record. */
    OK(JetCloseTable(sesid, t));
    EXPECT(JET_errInvalidTableId, JetCloseTable(sesid, t));
    OK(JetOpenTableA(sesid, dbid, "Things", NULL, 0, 0, &t));
    OK(JetBeginSessionA(instance, &second, NULL, NULL));
    OK(JetOpenDatabaseA(second, database, NULL, &second_db, 0));
    EXPECT(JET_errTableInUse, JetOpenTableA(second, second_db, "Things", NULL, 0, JET_bitTableDenyRead, &other));
    OK(JetOpenTableA(second, second_db, "Things", NULL, 0, 0, &other));
    EXPECT(JET_errInvalidTableId, JetMove(second, t, 1, 0));
    OK(JetBeginTransaction(sesid));
    OK(JetBeginTransaction(second));
    OK(JetMove(sesid, t, JET_MoveFirst, 0));
    OK(JetMove(second, other, JET_MoveFirst, 0));
    value = 5;
    OK(JetEscrowUpdate(sesid, t, hits, &value, 4, &old, 4, &actual, 0));
    CHECK(old == 0 && actual == 4);
    OK(JetEscrowUpdate(second, other, hits, &value, 4, NULL, 0, NULL, 0));
    OK(JetRollback(second, 0));
    OK(JetCommitTransaction(sesid, 0));
    OK(JetRetrieveColumn(second, other, hits, &old, 4, &actual, 0, NULL));
    CHECK(old == 5);
    EXPECT(JET_errInvalidTableId, JetMove(second, 1, 1, 0));
    OK(JetBeginTransaction(sesid));
    OK(JetBeginTransaction(second));
    OK(JetGetLock(sesid, t, JET_bitWriteLock));
    EXPECT(JET_errWriteConflict, JetPrepareUpdate(second, other, JET_prepReplace));
    EXPECT(JET_errWriteConflict, JetDelete(second, other));
    OK(JetRollback(second, 0));
    OK(JetRollback(sesid, 0));
    OK(JetEndSession(second, 0));
}

static void change(void)
{
    JET_TABLEID inner;
    char text[40];
    /* Levels: what an inner one did goes with it, and so do its cursors. */
    OK(JetBeginTransaction(sesid));
    for (int n = 0; n < RECORDS; n++) {
        if (n % 50 == 49) {
            OK(JetCommitTransaction(sesid, JET_bitCommitLazyFlush));
            OK(JetBeginTransaction(sesid));
        }
        insert(n);
    }
    OK(JetBeginTransaction(sesid));
    OK(JetDupCursor(sesid, t, &inner, 0));
    insert(RECORDS);
    OK(seek_code(1, JET_bitSeekEQ));
    OK(JetDelete(sesid, t));
    EXPECT(JET_errRecordDeleted, JetRetrieveColumn(sesid, t, code, text, 40, NULL, 0, NULL));
    OK(JetRollback(sesid, 0));
    EXPECT(JET_errInvalidTableId, JetCloseTable(sesid, inner));
    EXPECT(JET_errRecordNotFound, seek_code(RECORDS, JET_bitSeekEQ));
    OK(seek_code(1, JET_bitSeekEQ));
    check(1);
    /* Records change into others, and back; those that go are those of 7. */
    for (int n = 0; n < RECORDS; n++) {
        OK(seek_code(n, JET_bitSeekEQ));
        if (!lives(n)) {
            OK(JetDelete(sesid, t));
        } else if (n % 5 == 0) {
            OK(JetPrepareUpdate(sesid, t, JET_prepReplace));
            set(blob, "changed", 7, 0, 1);
            for (int i = n % 4; i > 0; i--)
                set(tags, NULL, 0, 0, 1);
            set(code, text, (size_t)sprintf(text, "other %d", n), 0, 1);
            OK(JetUpdate(sesid, t, NULL, 0, NULL));
            OK(JetPrepareUpdate(sesid, t, JET_prepReplace));
            set(blob, NULL, 0, JET_bitSetZeroLength, 1);
            fill(n);
            OK(JetUpdate(sesid, t, NULL, 0, NULL));
        } else if (n % 5 == 1 && n * 997 % LONG > 9000) {
            /* Parts of a long value, overwritten with what is there, cut and made whole again. */
            size_t size = blob_of(memory, n);
            JET_SETINFO at = { sizeof at, 4000, 1 };
            OK(JetPrepareUpdate(sesid, t, JET_prepReplace));
            OK(JetSetColumn(sesid, t, blob, memory + 4000, 500, JET_bitSetOverwriteLV, &at));
            OK(JetSetColumn(sesid, t, blob, memory + 4000, 100, JET_bitSetOverwriteLV | JET_bitSetSizeLV, &at));
            JET_ULONG actual;
            EXPECT(JET_wrnBufferTruncated, JetRetrieveColumn(sesid, t, blob, NULL, 0, &actual, JET_bitRetrieveCopy, NULL));
            CHECK(actual == 4100);
            OK(JetSetColumn(sesid, t, blob, NULL, 4000, JET_bitSetSizeLV, NULL));
            OK(JetSetColumn(sesid, t, blob, memory + 4000, (JET_ULONG)size - 4000, JET_bitSetAppendLV, NULL));
            OK(JetUpdate(sesid, t, NULL, 0, NULL));
        }
    }
    OK(JetCommitTransaction(sesid, 0));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    start(argv[1]);
    if (!strcmp(argv[3], "make")) {
        OK(JetCreateDatabaseA(sesid, argv[2], NULL, &dbid, 0));
        make();
        change();
        check_all();
        seeks();
        facts();
        errors(argv[2]);
    } else {
        OK(JetAttachDatabaseA(sesid, argv[2], 0));
        OK(JetOpenDatabaseA(sesid, argv[2], NULL, &dbid, 0));
        OK(JetOpenTableA(sesid, dbid, "things", NULL, 0, 0, &t));
        find_columns();
    }
    check_all();
    seeks();
    facts();
    OK(JetTerm2(instance, JET_bitTermComplete));
    return 0;
}
