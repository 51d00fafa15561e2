/* A freeze for which the system starts no thread.
 *
 * Arguments: the database; a folder for logs. Both can be written by everybody. */
#define _GNU_SOURCE
#include "support.h"
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    JET_OSSNAPID snapshot = 0;
    JET_SESID session = 0;
    JET_ULONG count = 7;
    JET_INSTANCE_INFO_A *info = NULL;
    struct rlimit limit, none;

    CHECK(argc == 3);
    umask(0);
    JET_INSTANCE instance = create("threads", argv[2]);
    EXPECT(JET_errSuccess, JetInit(&instance));
    EXPECT(JET_errSuccess, JetBeginSessionA(instance, &session, NULL, NULL));
    EXPECT(JET_errSuccess, JetAttachDatabaseA(session, argv[1], 0));
    EXPECT(JET_errSuccess, JetOSSnapshotPrepare(&snapshot, JET_bitContinueAfterThaw));

    /* The limit is not for the superuser. */
    if (geteuid() == 0)
        CHECK(setuid(65534) == 0);
    CHECK(getrlimit(RLIMIT_NPROC, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    EXPECT(JET_errOutOfThreads, JetOSSnapshotFreezeA(snapshot, &count, &info, 0));
    CHECK(count == 0 && info == NULL);
    CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);

    /* Nothing is frozen, and the instance is free for a backup or another try. */
    EXPECT(JET_errOSSnapshotInvalidSequence, JetOSSnapshotThaw(snapshot, 0));
    EXPECT(JET_errSuccess, JetBeginExternalBackupInstance(instance, 0));
    EXPECT(JET_errSuccess, JetGetLogInfoInstanceA(instance, NULL, 0, NULL));
    EXPECT(JET_errSuccess, JetEndExternalBackupInstance2(instance, JET_bitBackupEndAbort));
    EXPECT(JET_errSuccess, JetOSSnapshotFreezeA(snapshot, &count, &info, 0));
    CHECK(count == 1 && info->hInstanceId == instance && info->cDatabases == 1);
    EXPECT(JET_errSuccess, JetFreeBuffer((char *)info));
    EXPECT(JET_errSuccess, JetOSSnapshotThaw(snapshot, 0));
    EXPECT(JET_errSuccess, JetOSSnapshotEnd(snapshot, 0));
    EXPECT(JET_errSuccess, JetTerm(instance));
    return 0;
}
