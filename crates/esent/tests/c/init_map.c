/* JetInit3 and JetInit4 find moved databases by a map.
 *
 * Arguments: the database; a folder for logs. */
#include "support.h"

static JET_INSTANCE recovering;

static JET_ERR with_context(JET_SNP snp, JET_SNT snt, void *pv, void *context)
{
    JET_SNPROG *progress = pv;
    /* A backup may be tried again when recovery is done. */
    if (snt != JET_sntComplete) {
        EXPECT(JET_errBackupNotAllowedYet, JetBeginExternalBackupInstance(recovering, 0));
        EXPECT(JET_errBackupNotAllowedYet, JetBackupInstanceA(recovering, NULL, 0, NULL));
        EXPECT(JET_errNotInitialized, JetEndExternalBackupInstance(recovering));
        EXPECT(JET_errAlreadyInitialized, JetInit(&recovering));
    }
    CHECK(snp == JET_snpRestore && progress->cbStruct == sizeof *progress);
    if (snt == JET_sntBegin)
        ++*(int *)context;
    if (snt == JET_sntComplete)
        *(int *)context += 100;
    return 0;
}

/* An instance that ends as in a crash, and its database moved to another place. */
static void crash(const char *from, const char *to, const char *logs)
{
    JET_INSTANCE instance = create("crash", logs);
    JET_SESID session = 0;
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, from, 0));
    EXPECT(JET_errDirtyShutdown, JetTerm2(instance, JET_bitTermDirty));
    CHECK(rename(from, to) == 0);
    CHECK(facts(to).dbstate == JET_dbstateDirtyShutdown);
}

int main(int argc, char **argv)
{
    char moved[UNITS], again[UNITS];
    JET_WCHAR old[UNITS], new[UNITS];
    JET_INSTANCE instance;
    int heard = 0;

    CHECK(argc == 3);
    const char *database = argv[1], *logs = argv[2];
    JET_RSTMAP_W map = {.szDatabaseName = old, .szNewDatabaseName = new};
    JET_RSTINFO_W info = {.cbStruct = sizeof info, .rgrstmap = &map, .crstmap = 1};
    CHECK(snprintf(moved, sizeof moved, "%s.moved", database) < UNITS);
    CHECK(snprintf(again, sizeof again, "%s.again", database) < UNITS);

    crash(database, moved, logs);
    widen(old, database);
    widen(new, moved);
    instance = create("map", logs);
    EXPECT(JET_errAttachedDatabaseMismatch, JetInit(&instance));
    info.cbStruct = 8;
    EXPECT(JET_errInvalidParameter, JetInit3W(&instance, &info, 0));
    info.cbStruct = sizeof info;
    info.crstmap = -1;
    EXPECT(JET_errInvalidParameter, JetInit3W(&instance, &info, 0));
    info.crstmap = 15;
    EXPECT(JET_errInvalidParameter, JetInit3W(&instance, &info, 0));
    info.crstmap = 1;
    info.rgrstmap = NULL;
    EXPECT(JET_errInvalidParameter, JetInit3W(&instance, &info, 0));
    info.rgrstmap = &map;
    map.szDatabaseName = NULL;
    EXPECT(JET_errInvalidParameter, JetInit3W(&instance, &info, 0));
    map.szDatabaseName = old;
    info.lgposStop.lGeneration = 1;
    EXPECT(JET_errFeatureNotAvailable, JetInit3W(&instance, &info, 0));
    info.lgposStop.lGeneration = 0;
    EXPECT(JET_errInvalidGrbit, JetInit3W(&instance, &info, 0x40000000));
    CHECK(facts(moved).dbstate == JET_dbstateDirtyShutdown);
    info.pfnStatus = watch(JET_snpRestore);
    EXPECT(JET_errSuccess, JetInit3W(&instance, &info, 0));
    CHECK(seen.begins == 1 && seen.completes == 1);
    EXPECT(JET_errAlreadyInitialized, JetInit3W(&instance, &info, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
    CHECK(facts(moved).dbstate == JET_dbstateCleanShutdown);

    crash(moved, again, logs);
    JET_RSTMAP2_A map2 = {.cbStruct = sizeof map2, .szDatabaseName = moved, .szNewDatabaseName = again};
    JET_RSTINFO2_A info2 = {.cbStruct = sizeof info2, .rgrstmap = &map2, .crstmap = 1, .pfnCallback = with_context,
                            .pvCallbackContext = &heard};
    instance = create("map", logs);
    map2.cbStruct = 1;
    EXPECT(JET_errInvalidParameter, JetInit4A(&instance, &info2, 0));
    map2.cbStruct = sizeof map2;
    map2.csetdbparam = 1;
    EXPECT(JET_errFeatureNotAvailable, JetInit4A(&instance, &info2, 0));
    map2.csetdbparam = 0;
    CHECK(heard == 0);
    recovering = instance;
    EXPECT(JET_errSuccess, JetInit4A(&instance, &info2, 0));
    CHECK(heard == 101);
    EXPECT(JET_errSuccess, JetTerm(instance));
    CHECK(facts(again).dbstate == JET_dbstateCleanShutdown);

    /* Nothing to recover: a map and its callback do not matter. */
    instance = create("map", logs);
    info.pfnStatus = watch(JET_snpRestore);
    EXPECT(JET_errSuccess, JetInit3W(&instance, &info, 0));
    CHECK(seen.begins == 0 && seen.completes == 0);
    EXPECT(JET_errSuccess, JetTerm(instance));
    EXPECT(JET_errSuccess, JetCreateInstanceA(&instance, "none"));
    EXPECT(JET_errInvalidParameter, JetInit4W(&instance, (JET_RSTINFO2_W *)&info, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
    CHECK(rename(again, database) == 0);
    return 0;
}
