/* Eight sessions that write until the process is killed, and the check of what is left.
 *
 * Arguments: what to do, the folder, the page size, 1 for circular logging, the number of sessions; then for
 *   write     perhaps a folder for backups, which are taken meanwhile;
 *   check     for each session, the last transaction that is durable for certain;
 *   backup    a folder for backups, of which two are taken while nobody writes;
 *   restore   the folder with the logs of a backup, and the path that the database had: the copy in the folder is restored;
 *   unfold    the folder of a backup by JetBackup, which is restored to the folder.
 * What a transaction does is told in
 * crates/ese-cli/tests/kill/plan.rs: everything follows from the session and the number of the transaction.
 *
 * Says "@done SESSION NUMBER N,N,..." when a commit has waited for the disk, with the last number of each session whose
 * commit had returned before; "@last SESSION NUMBER" for what the check finds. */
#include "support.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { WINDOW = 48, TOUCH = 5, HOT = 16, SIDE = 10, SIDE_RECORDS = 3, MOST = 64, BODY = 16000, TAGS = 3 };

#define OK(call) EXPECT(JET_errSuccess, call)
#define TRY(call)                       \
    do {                                \
        JET_ERR try_error = (call);     \
        if (try_error < JET_errSuccess) \
            return try_error;           \
    } while (0)

/* The plan. */

typedef struct {
    int session, number;
} deed_t;

typedef struct {
    int64_t value;
    size_t size;
    unsigned char body[BODY];
    int tags, tag[TAGS];
} part_t;

static uint64_t mix(uint64_t seed)
{
    uint64_t z = seed + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void bytes(unsigned char *out, uint64_t seed, size_t size)
{
    uint64_t random = mix(seed);
    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0 && seed % 2)
            random = mix(random);
        out[i] = (unsigned char)(random >> (i % 8 * 8)) | 0x80;
    }
}

static int64_t key_of(deed_t deed) { return (int64_t)deed.session << 32 | (int64_t)deed.number; }
static uint64_t seed_of(deed_t deed) { return mix((uint64_t)key_of(deed)); }
static int is_lazy(deed_t deed) { return seed_of(deed) % 4 == 0; }
static int parts_of(deed_t deed) { return 1 + (int)(seed_of(deed) >> 8 & 3); }
static int hot_of(deed_t deed) { return (int)(seed_of(deed) >> 16 & (HOT - 1)); }
static int makes_side(deed_t deed) { return deed.session % 2 == 0 && deed.number % SIDE == 0; }

static JET_ULONG name_of_deed(JET_WCHAR *out, deed_t deed)
{
    char text[64];
    snprintf(text, sizeof text, "%08" PRIx32 " of %" PRId64, (uint32_t)mix(seed_of(deed)), key_of(deed));
    widen(out, text);
    return (JET_ULONG)(strlen(text) * sizeof *out);
}

static const char *name_of_side(char *out, size_t size, deed_t deed)
{
    snprintf(out, size, "Side%dx%d", deed.session, deed.number);
    return out;
}

static void part_of(part_t *out, deed_t deed, int number)
{
    uint64_t seed = mix(seed_of(deed) ^ ((uint64_t)number + 1));
    out->value = (int64_t)(seed >> 1);
    out->size = (seed >> 8) % (seed % 8 ? 300 : 12000);
    bytes(out->body, seed, out->size);
    out->tags = (int)(seed >> 40 & 3);
    for (int i = 0; i < out->tags; i++)
        out->tag[i] = i * 1000 + deed.number % 100;
}

/* Adds what a later transaction appends; says where it begins. */
static size_t touch_part(part_t *part, deed_t deed)
{
    uint64_t seed = mix(seed_of(deed) ^ 0xA5A5);
    size_t size = 1 + (seed >> 8) % 1500, before = part->size;
    bytes(part->body + before, seed, size);
    part->size += size;
    return before;
}

static int64_t sum_of(int64_t value, const unsigned char *body, size_t size)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ body[i]) * 0x100000001B3u;
    return (int64_t)((uint64_t)value + hash);
}

static int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

/* The tables as one session has them open. */

typedef struct {
    JET_SESID sesid;
    JET_DBID dbid;
    JET_TABLEID heads, parts, sessions, hot, totals;
    JET_COLUMNID key, touched, count, sum, name, head, no, value, tags, body, session_last, hot_last, total;
} tables_t;

static JET_INSTANCE instance;
static char database[UNITS];
static int session_count;
static atomic_int returned[MOST];

static JET_COLUMNID column(JET_SESID sesid, JET_TABLEID table, const char *name)
{
    JET_COLUMNDEF definition;
    OK(JetGetTableColumnInfoA(sesid, table, name, &definition, sizeof definition, JET_ColInfo));
    return definition.columnid;
}

static void open_tables(tables_t *t)
{
    OK(JetBeginSessionA(instance, &t->sesid, NULL, NULL));
    OK(JetOpenDatabaseA(t->sesid, database, NULL, &t->dbid, 0));
    OK(JetOpenTableA(t->sesid, t->dbid, "Heads", NULL, 0, 0, &t->heads));
    OK(JetOpenTableA(t->sesid, t->dbid, "Parts", NULL, 0, 0, &t->parts));
    OK(JetOpenTableA(t->sesid, t->dbid, "Sessions", NULL, 0, 0, &t->sessions));
    OK(JetOpenTableA(t->sesid, t->dbid, "Hot", NULL, 0, 0, &t->hot));
    OK(JetOpenTableA(t->sesid, t->dbid, "Totals", NULL, 0, 0, &t->totals));
#define COLUMN(table, name) column(t->sesid, t->table, name)
    t->key = COLUMN(heads, "Key"), t->touched = COLUMN(heads, "Touched"), t->count = COLUMN(heads, "Count");
    t->sum = COLUMN(heads, "Sum"), t->name = COLUMN(heads, "Name");
    t->head = COLUMN(parts, "Head"), t->no = COLUMN(parts, "No"), t->value = COLUMN(parts, "Value");
    t->tags = COLUMN(parts, "Tags"), t->body = COLUMN(parts, "Body");
    t->session_last = COLUMN(sessions, "Last"), t->hot_last = COLUMN(hot, "Last"), t->total = COLUMN(totals, "Total");
}

static JET_ERR set(const tables_t *t, JET_TABLEID table, JET_COLUMNID which, const void *data, size_t size)
{
    return JetSetColumn(t->sesid, table, which, data, (JET_ULONG)size, 0, NULL);
}

static JET_ERR seek(const tables_t *t, JET_TABLEID table, const void *key, size_t size)
{
    TRY(JetMakeKey(t->sesid, table, key, (JET_ULONG)size, JET_bitNewKey));
    return JetSeek(t->sesid, table, JET_bitSeekEQ);
}

static JET_ERR seek_part(const tables_t *t, int64_t key, int number)
{
    TRY(JetMakeKey(t->sesid, t->parts, &key, sizeof key, JET_bitNewKey));
    TRY(JetMakeKey(t->sesid, t->parts, &number, sizeof number, 0));
    return JetSeek(t->sesid, t->parts, JET_bitSeekEQ);
}

static JET_ERR get(const tables_t *t, JET_TABLEID table, JET_COLUMNID which, void *out, size_t size)
{
    JET_ULONG actual = 0;
    TRY(JetRetrieveColumn(t->sesid, table, which, out, (JET_ULONG)size, &actual, 0, NULL));
    CHECK(actual == size);
    return JET_errSuccess;
}

static JET_ERR insert(const tables_t *t, deed_t deed, part_t *part)
{
    int64_t key = key_of(deed), sum = 0;
    int none = 0, count = parts_of(deed);
    JET_WCHAR name[UNITS];
    for (int number = 0; number < count; number++) {
        part_of(part, deed, number);
        sum = plus(sum, sum_of(part->value, part->body, part->size));
        TRY(JetPrepareUpdate(t->sesid, t->parts, JET_prepInsert));
        TRY(set(t, t->parts, t->head, &key, sizeof key));
        TRY(set(t, t->parts, t->no, &number, sizeof number));
        TRY(set(t, t->parts, t->value, &part->value, sizeof part->value));
        for (int i = 0; i < part->tags; i++) {
            JET_SETINFO info = { sizeof info, 0, 0 };
            TRY(JetSetColumn(t->sesid, t->parts, t->tags, &part->tag[i], sizeof part->tag[i], 0, &info));
        }
        TRY(JetSetColumn(t->sesid, t->parts, t->body, part->body, (JET_ULONG)part->size, part->size ? 0 : JET_bitSetZeroLength, NULL));
        TRY(JetUpdate(t->sesid, t->parts, NULL, 0, NULL));
    }
    TRY(JetPrepareUpdate(t->sesid, t->heads, JET_prepInsert));
    TRY(set(t, t->heads, t->key, &key, sizeof key));
    TRY(set(t, t->heads, t->touched, &none, sizeof none));
    TRY(set(t, t->heads, t->count, &count, sizeof count));
    TRY(set(t, t->heads, t->sum, &sum, sizeof sum));
    TRY(set(t, t->heads, t->name, name, name_of_deed(name, deed)));
    return JetUpdate(t->sesid, t->heads, NULL, 0, NULL);
}

static JET_ERR touch(const tables_t *t, deed_t earlier, int by, part_t *part)
{
    int64_t key = key_of(earlier), sum = 0;
    part_of(part, earlier, 0);
    TRY(seek(t, t->heads, &key, sizeof key));
    TRY(get(t, t->heads, t->sum, &sum, sizeof sum));
    sum = minus(sum, sum_of(part->value, part->body, part->size));
    size_t before = touch_part(part, earlier);
    sum = plus(sum, sum_of(part->value, part->body, part->size));
    TRY(JetPrepareUpdate(t->sesid, t->heads, JET_prepReplace));
    TRY(set(t, t->heads, t->touched, &by, sizeof by));
    TRY(set(t, t->heads, t->sum, &sum, sizeof sum));
    TRY(JetUpdate(t->sesid, t->heads, NULL, 0, NULL));
    TRY(seek_part(t, key, 0));
    TRY(JetPrepareUpdate(t->sesid, t->parts, JET_prepReplace));
    TRY(JetSetColumn(t->sesid, t->parts, t->body, part->body + before, (JET_ULONG)(part->size - before), JET_bitSetAppendLV, NULL));
    return JetUpdate(t->sesid, t->parts, NULL, 0, NULL);
}

static JET_ERR forget(const tables_t *t, deed_t old)
{
    int64_t key = key_of(old);
    for (int number = 0; number < parts_of(old); number++) {
        TRY(seek_part(t, key, number));
        TRY(JetDelete(t->sesid, t->parts));
    }
    TRY(seek(t, t->heads, &key, sizeof key));
    return JetDelete(t->sesid, t->heads);
}

/* Makes a table with an index over its records, and deletes the session's former one. */
static JET_ERR side(const tables_t *t, deed_t deed)
{
    char name[32];
    JET_COLUMNCREATE_A columns[] = {
        { .cbStruct = sizeof *columns, .szColumnName = (char *)"Id", .coltyp = JET_coltypLong },
        { .cbStruct = sizeof *columns, .szColumnName = (char *)"Value", .coltyp = JET_coltypLongLong },
    };
    JET_INDEXCREATE_A index = { .cbStruct = sizeof index, .szIndexName = (char *)"Primary", .szKey = (char *)"+Id\0",
        .cbKey = sizeof "+Id\0", .grbit = JET_bitIndexPrimary | JET_bitIndexUnique };
    JET_TABLECREATE_A create = { .cbStruct = sizeof create, .rgcolumncreate = columns, .cColumns = 2,
        .rgindexcreate = &index, .cIndexes = 1 };
    name_of_side(name, sizeof name, deed);
    create.szTableName = name;
    TRY(JetCreateTableColumnIndexA(t->sesid, t->dbid, &create));
    for (int id = 0; id < SIDE_RECORDS; id++) {
        int64_t value = key_of(deed) + id;
        TRY(JetPrepareUpdate(t->sesid, create.tableid, JET_prepInsert));
        TRY(set(t, create.tableid, columns[0].columnid, &id, sizeof id));
        TRY(set(t, create.tableid, columns[1].columnid, &value, sizeof value));
        TRY(JetUpdate(t->sesid, create.tableid, NULL, 0, NULL));
    }
    TRY(JetCreateIndexA(t->sesid, create.tableid, "Extra", 0, "-Value\0", sizeof "-Value\0", 0));
    TRY(JetCloseTable(t->sesid, create.tableid));
    if (deed.number <= SIDE)
        return JET_errSuccess;
    deed.number -= SIDE;
    return JetDeleteTableA(t->sesid, t->dbid, name_of_side(name, sizeof name, deed));
}

static JET_ERR change(const tables_t *t, deed_t deed, part_t *part)
{
    deed_t other = deed;
    int row = hot_of(deed), count = 0, one = 1;
    if (deed.number % 11 == 0) {
        other.number = deed.number + 1000000;
        TRY(JetBeginTransaction(t->sesid));
        TRY(insert(t, other, part));
        TRY(JetRollback(t->sesid, 0));
    }
    TRY(insert(t, deed, part));
    other.number = deed.number - TOUCH;
    if (other.number > 0)
        TRY(touch(t, other, deed.number, part));
    other.number = deed.number - WINDOW;
    if (other.number > 0)
        TRY(forget(t, other));
    TRY(seek(t, t->hot, &row, sizeof row));
    TRY(JetPrepareUpdate(t->sesid, t->hot, JET_prepReplace));
    TRY(get(t, t->hot, t->hot_last, &count, sizeof count));
    count++;
    TRY(set(t, t->hot, t->hot_last, &count, sizeof count));
    TRY(JetUpdate(t->sesid, t->hot, NULL, 0, NULL));
    TRY(seek(t, t->sessions, &deed.session, sizeof deed.session));
    TRY(JetPrepareUpdate(t->sesid, t->sessions, JET_prepReplace));
    TRY(set(t, t->sessions, t->session_last, &deed.number, sizeof deed.number));
    TRY(JetUpdate(t->sesid, t->sessions, NULL, 0, NULL));
    TRY(JetMove(t->sesid, t->totals, JET_MoveFirst, 0));
    TRY(JetEscrowUpdate(t->sesid, t->totals, t->total, &one, sizeof one, NULL, 0, NULL, 0));
    return makes_side(deed) ? side(t, deed) : JET_errSuccess;
}

static void say(const char *line, size_t size)
{
    /* One call: a kill leaves a line whole or not at all. */
    CHECK(write(STDOUT_FILENO, line, size) == (ssize_t)size);
}

/* The last transaction of each session whose commit has returned. */
static int list_returned(char *out, size_t size)
{
    int used = 0;
    for (int i = 0; i < session_count; i++)
        used += snprintf(out + used, size - (size_t)used, i ? ",%d" : "%d", atomic_load(&returned[i]));
    CHECK(used < (int)size);
    return used;
}

#include "kill_backup.h"

static void *write_for_ever(void *argument)
{
    static part_t scratch[MOST];
    int session = (int)(intptr_t)argument, number = 0;
    part_t *part = &scratch[session];
    tables_t t;
    open_tables(&t);
    OK(seek(&t, t.sessions, &session, sizeof session));
    OK(get(&t, t.sessions, t.session_last, &number, sizeof number));
    for (;;) {
        deed_t deed = { session, number + 1 };
        char line[32 + 12 * MOST];
        OK(JetBeginTransaction(t.sesid));
        JET_ERR error = change(&t, deed, part);
        int size = snprintf(line, sizeof line, "@done %d %d ", deed.session, deed.number);
        size += list_returned(line + size, sizeof line - (size_t)size - 1);
        strcpy(line + size++, "\n");
        if (error >= JET_errSuccess)
            error = JetCommitTransaction(t.sesid, is_lazy(deed) ? JET_bitCommitLazyFlush : 0);
        if (error == JET_errWriteConflict) {
            OK(JetRollback(t.sesid, JET_bitRollbackAll));
            say("@conflict\n", 10);
            continue;
        }
        OK(error);
        number++;
        atomic_store(&returned[session], number);
        if (!is_lazy(deed))
            say(line, (size_t)size);
    }
    return NULL;
}

static void write_until_killed(int is_circular)
{
    tables_t t;
    pthread_t backup;
    JET_TABLEID parts;
    pthread_t threads[MOST];
    OK(JetBeginSessionA(instance, &t.sesid, NULL, NULL));
    OK(JetAttachDatabaseA(t.sesid, database, 0));
    OK(JetOpenDatabaseA(t.sesid, database, NULL, &t.dbid, 0));
    OK(JetOpenTableA(t.sesid, t.dbid, "Parts", NULL, 0, 0, &parts));
    OK(JetBeginTransaction(t.sesid));
    JET_ERR error = JetDeleteIndexA(t.sesid, parts, "Extra");
    if (error == JET_errIndexNotFound)
        error = JetCreateIndexA(t.sesid, parts, "Extra", 0, "-No\0+Value\0", sizeof "-No\0+Value\0", 0);
    OK(error);
    OK(JetCommitTransaction(t.sesid, 0));
    OK(JetCloseTable(t.sesid, parts));
    say("@ready\n", 7);
    for (intptr_t i = 0; i < session_count; i++)
        CHECK(pthread_create(&threads[i], NULL, write_for_ever, (void *)i) == 0);
    if (vault)
        CHECK(pthread_create(&backup, NULL, back_up_for_ever, (void *)(intptr_t)is_circular) == 0);
    for (int i = 0; i < session_count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The check. */

static int next(const tables_t *t, JET_TABLEID table, int first)
{
    JET_ERR error = JetMove(t->sesid, table, first ? JET_MoveFirst : JET_MoveNext, 0);
    CHECK(error == JET_errSuccess || error == JET_errNoCurrentRecord);
    return error == JET_errSuccess;
}

/* A transaction that is there: its head, by key and by name, and all its parts. */
static void check_deed(const tables_t *t, deed_t deed, int last)
{
    static part_t part;
    static unsigned char found[BODY];
    JET_WCHAR name[UNITS];
    int64_t key = key_of(deed), sum = 0, number64 = 0;
    int number = 0, is_touched = deed.number + TOUCH <= last;
    JET_ULONG actual = 0, size = name_of_deed(name, deed);

    for (int i = 0; i < parts_of(deed); i++) {
        part_of(&part, deed, i);
        if (i == 0 && is_touched)
            touch_part(&part, deed);
        sum = plus(sum, sum_of(part.value, part.body, part.size));
        CHECK(next(t, t->parts, 0));
        OK(get(t, t->parts, t->head, &number64, sizeof number64));
        OK(get(t, t->parts, t->no, &number, sizeof number));
        CHECK(number64 == key && number == i);
        OK(get(t, t->parts, t->value, &number64, sizeof number64));
        CHECK(number64 == part.value);
        OK(JetRetrieveColumn(t->sesid, t->parts, t->body, found, sizeof found, &actual, 0, NULL));
        CHECK(actual == part.size && !memcmp(found, part.body, actual));
        for (int tag = 0; tag <= part.tags; tag++) {
            JET_RETINFO info = { sizeof info, 0, (JET_ULONG)tag + 1, 0 };
            JET_ERR want = tag < part.tags ? JET_errSuccess : JET_wrnColumnNull;
            EXPECT(want, JetRetrieveColumn(t->sesid, t->parts, t->tags, &number, sizeof number, &actual, 0, &info));
            CHECK(tag == part.tags || number == part.tag[tag]);
        }
    }
    OK(JetSetCurrentIndexA(t->sesid, t->heads, "ByName"));
    OK(seek(t, t->heads, name, size));
    OK(get(t, t->heads, t->key, &number64, sizeof number64));
    CHECK(number64 == key);
    OK(JetSetCurrentIndexA(t->sesid, t->heads, NULL));
    OK(seek(t, t->heads, &key, sizeof key));
    OK(get(t, t->heads, t->touched, &number, sizeof number));
    CHECK(number == (is_touched ? deed.number + TOUCH : 0));
    OK(get(t, t->heads, t->count, &number, sizeof number));
    CHECK(number == parts_of(deed));
    OK(get(t, t->heads, t->sum, &number64, sizeof number64));
    CHECK(number64 == sum);
}

static void check_side(const tables_t *t, deed_t deed)
{
    char name[32];
    JET_TABLEID table;
    int64_t value = 0;
    OK(JetOpenTableA(t->sesid, t->dbid, name_of_side(name, sizeof name, deed), NULL, 0, 0, &table));
    JET_COLUMNID id = column(t->sesid, table, "Value");
    OK(JetSetCurrentIndexA(t->sesid, table, "Extra"));
    for (int i = SIDE_RECORDS - 1; i >= 0; i--) {
        CHECK(next(t, table, i == SIDE_RECORDS - 1));
        OK(get(t, table, id, &value, sizeof value));
        CHECK(value == key_of(deed) + i);
    }
    CHECK(!next(t, table, 0));
    OK(JetCloseTable(t->sesid, table));
    deed.number -= SIDE;
    if (deed.number > 0)
        EXPECT(JET_errObjectNotFound, JetOpenTableA(t->sesid, t->dbid, name_of_side(name, sizeof name, deed), NULL, 0, 0, &table));
}

static void check(char **certain)
{
    tables_t t;
    JET_SESID sesid;
    int last[MOST], heads = 0, total = 0, sum = 0, hot[HOT] = { 0 };
    JET_ULONG count = 0;
    OK(JetBeginSessionA(instance, &sesid, NULL, NULL));
    OK(JetAttachDatabaseA(sesid, database, 0));
    open_tables(&t);
    OK(JetBeginTransaction2(t.sesid, JET_bitTransactionReadOnly));
    /* Each cursor stands before its first record: the moves go on from there. */
    OK(JetMove(t.sesid, t.sessions, JET_MoveFirst, 0));
    for (int i = 0; i < session_count; i++) {
        OK(seek(&t, t.sessions, &i, sizeof i));
        OK(get(&t, t.sessions, t.session_last, &last[i], sizeof last[i]));
        if (last[i] < atoi(certain[i])) {
            fprintf(stderr, "session %d was told that %s is committed; the last one there is %d\n", i, certain[i], last[i]);
            exit(1);
        }
        sum += last[i];
    }
    JET_ERR error = JetMove(t.sesid, t.parts, JET_MoveFirst, 0);
    CHECK(error == JET_errSuccess || sum == 0);
    if (error == JET_errSuccess)
        EXPECT(JET_errNoCurrentRecord, JetMove(t.sesid, t.parts, JET_MovePrevious, 0));
    for (int i = 0; i < session_count; i++) {
        for (int n = 1; n <= last[i]; n++) {
            deed_t deed = { i, n };
            hot[hot_of(deed)]++;
            if (n + WINDOW <= last[i])
                continue;
            check_deed(&t, deed, last[i]);
            heads++;
        }
        deed_t latest = { i, last[i] / SIDE * SIDE };
        if (latest.number > 0 && makes_side(latest))
            check_side(&t, latest);
    }
    CHECK(!next(&t, t.parts, 0));
    if (heads) {
        OK(JetMove(t.sesid, t.heads, JET_MoveFirst, 0));
        OK(JetIndexRecordCount(t.sesid, t.heads, &count, 0));
    }
    CHECK((int)count == heads);
    for (int i = 0; i < HOT; i++) {
        int found = 0;
        OK(seek(&t, t.hot, &i, sizeof i));
        OK(get(&t, t.hot, t.hot_last, &found, sizeof found));
        CHECK(found == hot[i]);
    }
    OK(JetMove(t.sesid, t.totals, JET_MoveFirst, 0));
    OK(get(&t, t.totals, t.total, &total, sizeof total));
    CHECK(total == sum);
    OK(JetCommitTransaction(t.sesid, 0));
    for (int i = 0; i < session_count; i++)
        printf("@last %d %d\n", i, last[i]);
    OK(JetTerm2(instance, JET_bitTermComplete));
}

/* A full backup of either way, while nobody writes. */
static void back_up_once(void)
{
    JET_SESID sesid;
    char set[UNITS];
    OK(JetBeginSessionA(instance, &sesid, NULL, NULL));
    OK(JetAttachDatabaseA(sesid, database, 0));
    CHECK(stream(set, 1, 1));
    back_up_to_folder();
    OK(JetTerm2(instance, JET_bitTermComplete));
}

int main(int argc, char **argv)
{
    CHECK(argc >= 6);
    session_count = atoi(argv[5]);
    CHECK(session_count > 0 && session_count <= MOST);
    join(database, argv[2], "ledger.edb");
    JET_API_PTR pages = (JET_API_PTR)atoi(argv[3]);
    OK(JetSetSystemParameterA(NULL, JET_sesidNil, JET_paramDatabasePageSize, pages, NULL));
    if (!strcmp(argv[1], "restore")) {
        CHECK(argc == 8);
        OK(restore_in(argv[2], argv[6], argv[7]));
        return 0;
    }
    OK(JetCreateInstanceA(&instance, "kill"));
    set_folders(&instance, argv[2]);
    set_number(&instance, JET_paramLogFileSize, 256);
    set_number(&instance, JET_paramCircularLog, (JET_API_PTR)atoi(argv[4]));
    set_number(&instance, JET_paramCheckpointDepthMax, 1 << 20);
    set_number(&instance, JET_paramMaxSessions, 2 * MOST);
    if (!strcmp(argv[1], "unfold")) {
        CHECK(argc == 7);
        OK(JetRestoreInstanceA(instance, argv[6], argv[2], NULL));
        return 0;
    }
    OK(JetInit(&instance));
    vault = argc == 7 ? argv[6] : NULL;
    if (!strcmp(argv[1], "write"))
        write_until_killed(atoi(argv[4]));
    if (!strcmp(argv[1], "backup")) {
        CHECK(vault);
        back_up_once();
        return 0;
    }
    CHECK(!strcmp(argv[1], "check") && argc == 6 + session_count);
    check(argv + 6);
    return 0;
}
