/* Many values at once in memory of the client's, and records that take the place of others.
 *
 * Arguments: a folder and a database to be made. */
#include "support.h"

#define OK(call) EXPECT(JET_errSuccess, call)

static JET_INSTANCE instance;
static JET_SESID sesid;
static JET_DBID dbid;
static JET_TABLEID t;
static JET_COLUMNID id, number, text, tags, blob, with_default;

/* The client's memory: how much is taken, and when there is none left. */
static int taken, left = -1;

static void *give(void *context, void *memory, JET_ULONG size)
{
    CHECK(context == &taken);
    if (size == 0) {
        CHECK(memory);
        free(memory);
        taken--;
        return NULL;
    }
    CHECK(!memory);
    if (left == 0)
        return NULL;
    left -= left > 0;
    taken++;
    return malloc(size);
}

static JET_ERR enumerate(JET_ULONG count, JET_ENUMCOLUMNID *wanted, JET_ULONG *found, JET_ENUMCOLUMN **columns, JET_ULONG most, JET_GRBIT grbit)
{
    return JetEnumerateColumns(sesid, t, count, wanted, found, columns, give, &taken, most, grbit);
}

static void give_back(JET_ULONG count, JET_ENUMCOLUMN *columns)
{
    for (JET_ULONG i = 0; i < count; i++) {
        if (columns[i].err == JET_wrnColumnSingleValue) {
            if (columns[i].pvData)
                give(&taken, columns[i].pvData, 0);
            continue;
        }
        for (JET_ULONG k = 0; k < columns[i].cEnumColumnValue; k++)
            if (columns[i].rgEnumColumnValue[k].pvData)
                give(&taken, columns[i].rgEnumColumnValue[k].pvData, 0);
        if (columns[i].rgEnumColumnValue)
            give(&taken, columns[i].rgEnumColumnValue, 0);
    }
    if (columns)
        give(&taken, columns, 0);
    CHECK(taken == 0);
}

static JET_ENUMCOLUMN *of(JET_COLUMNID column, JET_ULONG count, JET_ENUMCOLUMN *columns)
{
    for (JET_ULONG i = 0; i < count; i++)
        if (columns[i].columnid == column)
            return &columns[i];
    return NULL;
}

static void set(JET_COLUMNID column, const void *data, size_t size, JET_ULONG tag)
{
    JET_SETINFO info = { sizeof info, 0, tag };
    OK(JetSetColumn(sesid, t, column, data, (JET_ULONG)size, 0, &info));
}

static void make(const char *database)
{
    JET_LONG seven = 7;
#define C(n, ty, g, d, s) { .cbStruct = sizeof(JET_COLUMNCREATE_A), .szColumnName = (char *)n, .coltyp = ty, .cp = 1252, \
    .grbit = g, .pvDefault = d, .cbDefault = s }
    JET_COLUMNCREATE_A columns[] = {
        C("Id", JET_coltypLong, 0, NULL, 0),
        C("Number", JET_coltypLong, JET_bitColumnAutoincrement, NULL, 0),
        C("Text", JET_coltypText, 0, NULL, 0),
        C("Tags", JET_coltypText, JET_bitColumnTagged | JET_bitColumnMultiValued, NULL, 0),
        C("Blob", JET_coltypLongBinary, 0, NULL, 0),
        C("Default", JET_coltypLong, JET_bitColumnTagged, &seven, sizeof seven),
    };
    JET_INDEXCREATE_A indexes[] = {
        { .cbStruct = sizeof *indexes, .szIndexName = (char *)"ById", .szKey = (char *)"+Id\0", .cbKey = 5,
            .grbit = JET_bitIndexPrimary },
        { .cbStruct = sizeof *indexes, .szIndexName = (char *)"ByText", .szKey = (char *)"+Text\0", .cbKey = 7,
            .grbit = JET_bitIndexUnique },
    };
    JET_TABLECREATE_A create = { .cbStruct = sizeof create, .szTableName = (char *)"Records", .rgcolumncreate = columns,
        .cColumns = 6, .rgindexcreate = indexes, .cIndexes = 2 };
    OK(JetCreateDatabaseA(sesid, database, NULL, &dbid, 0));
    OK(JetCreateTableColumnIndexA(sesid, dbid, &create));
    t = create.tableid;
    id = columns[0].columnid, number = columns[1].columnid, text = columns[2].columnid;
    tags = columns[3].columnid, blob = columns[4].columnid, with_default = columns[5].columnid;
}

static void insert(JET_LONG key, const char *name)
{
    static char bytes[5000];
    OK(JetPrepareUpdate(sesid, t, JET_prepInsert));
    set(id, &key, sizeof key, 1);
    set(text, name, strlen(name), 1);
    set(tags, "one", 3, 0);
    set(tags, "second", 6, 0);
    memset(bytes, (int)key, sizeof bytes);
    set(blob, bytes, sizeof bytes, 1);
    OK(JetUpdate(sesid, t, NULL, 0, NULL));
}

static void all_values(void)
{
    JET_ULONG count = 7;
    JET_ENUMCOLUMN *columns = NULL, *one;

    OK(enumerate(0, NULL, &count, &columns, 100, 0));
    CHECK(count == 6);
    one = of(id, count, columns);
    CHECK(one->err == JET_errSuccess && one->cEnumColumnValue == 1 && one->rgEnumColumnValue->itagSequence == 1);
    CHECK(one->rgEnumColumnValue->cbData == 4 && *(JET_LONG *)one->rgEnumColumnValue->pvData == 1);
    one = of(tags, count, columns);
    CHECK(one->err == JET_errSuccess && one->cEnumColumnValue == 2);
    CHECK(one->rgEnumColumnValue[1].itagSequence == 2 && one->rgEnumColumnValue[1].cbData == 6);
    CHECK(!memcmp(one->rgEnumColumnValue[1].pvData, "second", 6));
    one = of(blob, count, columns);
    CHECK(one->cEnumColumnValue == 1 && one->rgEnumColumnValue->err == JET_wrnColumnTruncated);
    CHECK(one->rgEnumColumnValue->cbData == 100);
    one = of(with_default, count, columns);
    CHECK(one->cEnumColumnValue == 1 && *(JET_LONG *)one->rgEnumColumnValue->pvData == 7);
    give_back(count, columns);

    OK(enumerate(0, NULL, &count, &columns, 10000, JET_bitEnumerateCompressOutput | JET_bitEnumerateTaggedOnly | JET_bitEnumerateIgnoreDefault));
    CHECK(count == 2 && of(tags, count, columns)->cEnumColumnValue == 2);
    one = of(blob, count, columns);
    CHECK(one->err == JET_wrnColumnSingleValue && one->cbData == 5000 && ((char *)one->pvData)[4999] == 1);
    give_back(count, columns);

    OK(enumerate(0, NULL, &count, &columns, 0, JET_bitEnumeratePresenceOnly));
    CHECK(count == 6 && of(blob, count, columns)->err == JET_wrnColumnPresent && taken == 1);
    give_back(count, columns);
    OK(enumerate(0, NULL, &count, &columns, 0, JET_bitEnumerateInRecordOnly));
    CHECK(of(blob, count, columns)->rgEnumColumnValue->err == JET_wrnColumnNotInRecord);
    give_back(count, columns);
}

static void chosen_values(void)
{
    JET_ULONG count, instances[] = { 2, 0, 5 };
    JET_ENUMCOLUMN *columns;
    JET_ENUMCOLUMNID wanted[] = { { tags, 3, instances }, { 0, 0, NULL }, { with_default, 0, NULL }, { text, 0, NULL },
        { 250, 0, NULL }, { 0x7000000, 0, NULL } };

    OK(enumerate(4, wanted, &count, &columns, 100, JET_bitEnumerateIgnoreDefault));
    CHECK(count == 4 && columns[0].columnid == tags && columns[0].cEnumColumnValue == 3);
    CHECK(columns[0].rgEnumColumnValue[0].cbData == 6 && columns[0].rgEnumColumnValue[0].itagSequence == 2);
    CHECK(columns[0].rgEnumColumnValue[1].err == JET_wrnColumnSkipped);
    CHECK(columns[0].rgEnumColumnValue[2].err == JET_wrnColumnNull && columns[0].rgEnumColumnValue[2].itagSequence == 5);
    CHECK(columns[1].err == JET_wrnColumnSkipped && columns[2].err == JET_wrnColumnDefault);
    CHECK(columns[3].rgEnumColumnValue->cbData == 5);
    give_back(count, columns);
    /* What is wrong is told, the rest is there. */
    EXPECT(JET_errColumnNotFound, enumerate(6, wanted, &count, &columns, 100, 0));
    CHECK(count == 6 && columns[4].err == JET_errColumnNotFound && columns[5].err == JET_errBadColumnId);
    CHECK(columns[3].rgEnumColumnValue->cbData == 5);
    give_back(count, columns);

    EXPECT(JET_errInvalidGrbit, enumerate(1, wanted, &count, &columns, 100, JET_bitEnumerateTaggedOnly));
    CHECK(count == 0 && columns == NULL);
    EXPECT(JET_errInvalidGrbit, enumerate(0, NULL, &count, &columns, 100, 0x8000));
    EXPECT(JET_errInvalidParameter, enumerate(0, NULL, NULL, &columns, 100, 0));
    EXPECT(JET_errInvalidParameter, enumerate(0, NULL, &count, NULL, 100, 0));
    EXPECT(JET_errInvalidParameter, JetEnumerateColumns(sesid, t, 0, NULL, &count, &columns, NULL, NULL, 0, 0));
    for (left = 0; left < 8; left++) {
        int before = left;
        EXPECT(JET_errOutOfMemory, enumerate(0, NULL, &count, &columns, 100, 0));
        CHECK(taken == 0 && count == 0 && columns == NULL);
        left = before;
    }
    left = -1;
}

static JET_LONG get(JET_COLUMNID column, JET_GRBIT grbit)
{
    JET_LONG value = 0;
    OK(JetRetrieveColumn(sesid, t, column, &value, sizeof value, NULL, grbit, NULL));
    return value;
}

static JET_ERR seek(JET_LONG key)
{
    OK(JetMakeKey(sesid, t, &key, sizeof key, JET_bitNewKey));
    return JetSeek(sesid, t, JET_bitSeekEQ);
}

/* A copy takes the place of the original; all happens or nothing. */
static void take_the_place(JET_ULONG kind, JET_LONG from, JET_LONG to)
{
    JET_ULONG size;
    OK(seek(from));
    JET_LONG before = get(number, 0);
    OK(JetPrepareUpdate(sesid, t, kind));
    EXPECT(JET_errAlreadyPrepared, JetPrepareUpdate(sesid, t, kind));
    JET_LONG now = get(number, JET_bitRetrieveCopy);
    CHECK(kind == JET_prepInsertCopyDeleteOriginal ? now > before : now == before);
    set(id, &to, sizeof to, 1);
    OK(JetUpdate(sesid, t, NULL, 0, NULL));
    EXPECT(JET_errRecordNotFound, seek(from));
    OK(seek(to));
    CHECK(get(number, 0) == now);
    OK(JetRetrieveColumn(sesid, t, blob, NULL, 0, &size, 0, NULL) == JET_wrnBufferTruncated ? JET_errSuccess : 1);
    CHECK(size == 5000);
    /* Where another record is in the way the original stays. */
    OK(JetPrepareUpdate(sesid, t, kind));
    to = 2;
    set(id, &to, sizeof to, 1);
    EXPECT(JET_errKeyDuplicate, JetUpdate(sesid, t, NULL, 0, NULL));
    OK(JetPrepareUpdate(sesid, t, JET_prepCancel));
    CHECK(get(number, 0) == now);
}

/* Whoever leaves the record gives up what is prepared. */
static void leave(void)
{
    unsigned char bookmark[16];
    JET_ULONG size, key = 2;
    OK(seek(2));
    OK(JetGetBookmark(sesid, t, bookmark, sizeof bookmark, &size));
    for (int way = 0; way < 6; way++) {
        OK(JetPrepareUpdate(sesid, t, way % 2 ? JET_prepReplace : JET_prepInsertCopy));
        switch (way) {
        case 0: OK(JetMove(sesid, t, JET_MoveFirst, 0)); break;
        case 1: OK(JetGotoBookmark(sesid, t, bookmark, size)); break;
        case 2: OK(JetMakeKey(sesid, t, &key, sizeof key, JET_bitNewKey)); OK(JetSeek(sesid, t, JET_bitSeekEQ)); break;
        case 3: OK(JetSetCurrentIndexA(sesid, t, "ByText")); break;
        case 4: OK(JetSetCurrentIndexA(sesid, t, NULL)); break;
        default: OK(JetMove(sesid, t, 0, 0));
        }
        EXPECT(JET_errUpdateNotPrepared, JetUpdate(sesid, t, NULL, 0, NULL));
    }
    OK(seek(2));
    OK(JetPrepareUpdate(sesid, t, JET_prepInsertCopyDeleteOriginal));
    EXPECT(JET_errAlreadyPrepared, JetDelete(sesid, t));
    OK(JetPrepareUpdate(sesid, t, JET_prepCancel));
    OK(JetPrepareUpdate(sesid, t, JET_prepReplace));
    OK(JetDelete(sesid, t));
    EXPECT(JET_errUpdateNotPrepared, JetUpdate(sesid, t, NULL, 0, NULL));
    EXPECT(JET_errRecordDeleted, JetMove(sesid, t, 0, 0));
}

static void preread(void)
{
    unsigned char keys[3][16];
    const void *places[3] = { keys[0], keys[1], keys[2] };
    JET_ULONG sizes[3];
    int32_t done = 7;
    for (JET_LONG i = 0; i < 3; i++) {
        OK(JetMakeKey(sesid, t, &i, sizeof i, JET_bitNewKey));
        OK(JetRetrieveKey(sesid, t, keys[i], sizeof keys[i], &sizes[i], JET_bitRetrieveCopy));
    }
    OK(JetPrereadKeys(sesid, t, places, sizes, 3, &done, JET_bitPrereadForward));
    CHECK(done == 3);
    OK(JetPrereadKeys(sesid, t, places, sizes, 1, NULL, JET_bitPrereadBackward));
    EXPECT(JET_errInvalidParameter, JetPrereadKeys(sesid, t, places, sizes, 3, &done, JET_bitPrereadBackward));
    EXPECT(JET_errInvalidParameter, JetPrereadKeys(sesid, t, NULL, sizes, 3, &done, JET_bitPrereadForward));
    EXPECT(JET_errInvalidParameter, JetPrereadKeys(sesid, t, places, sizes, -1, &done, JET_bitPrereadForward));
    EXPECT(JET_errInvalidGrbit, JetPrereadKeys(sesid, t, places, sizes, 3, &done, 0));
    sizes[0] = 0;
    EXPECT(JET_errInvalidBufferSize, JetPrereadKeys(sesid, t, places, sizes, 3, &done, JET_bitPrereadForward));
}

int main(int argc, char **argv)
{
    JET_ULONG count;
    JET_ENUMCOLUMN *columns;
    CHECK(argc == 3);
    instance = create("records", argv[1]);
    OK(JetInit(&instance));
    OK(JetBeginSessionA(instance, &sesid, NULL, NULL));
    make(argv[2]);
    OK(JetBeginTransaction(sesid));
    EXPECT(JET_errNoCurrentRecord, enumerate(0, NULL, &count, &columns, 100, 0));
    insert(1, "first");
    insert(2, "other");
    OK(seek(1));
    all_values();
    chosen_values();
    OK(JetPrepareUpdate(sesid, t, JET_prepReplace));
    set(text, NULL, 0, 1);
    OK(enumerate(0, NULL, &count, &columns, 100, JET_bitEnumerateCopy));
    CHECK(of(text, count, columns)->err == JET_wrnColumnNull);
    give_back(count, columns);
    OK(enumerate(0, NULL, &count, &columns, 100, 0));
    CHECK(of(text, count, columns)->err == JET_errSuccess);
    give_back(count, columns);
    OK(JetPrepareUpdate(sesid, t, JET_prepCancel));
    take_the_place(JET_prepInsertCopyDeleteOriginal, 1, 11);
    take_the_place(JET_prepInsertCopyReplaceOriginal, 11, 12);
    leave();
    preread();
    OK(seek(12));
    OK(JetDelete(sesid, t));
    EXPECT(JET_errRecordDeleted, enumerate(0, NULL, &count, &columns, 100, 0));
    EXPECT(JET_errRecordDeleted, JetPrepareUpdate(sesid, t, JET_prepInsertCopyDeleteOriginal));
    EXPECT(JET_errFeatureNotAvailable, JetPrepareUpdate(sesid, t, 8));
    OK(JetCommitTransaction(sesid, 0));
    OK(JetTerm2(instance, JET_bitTermComplete));
    return 0;
}
