/* What ManagedEsent does before anything else: an instance without logging, to learn the version.
 *
 * Argument: an empty folder, which must stay empty. */
#include "check.h"
#include "esent.h"

int main(int argc, char **argv)
{
    JET_INSTANCE instance = JET_instanceNil;
    JET_SESID session = 0;
    JET_ULONG version = 0;

    CHECK(argc == 2);
    for (int round = 0; round < 50; round++) {
        EXPECT(JET_errSuccess, JetCreateInstance2A(&instance, "probe", "the probe", 0));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramSystemPath, 0, argv[1]));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramLogFilePath, 0, argv[1]));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramTempPath, 0, argv[1]));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramRecovery, 0, "off"));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramNoInformationEvent, 1, NULL));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxTemporaryTables, 0, NULL));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxCursors, 16, NULL));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxOpenTables, 16, NULL));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxVerPages, 4, NULL));
        EXPECT(JET_errSuccess, JetSetSystemParameterA(&instance, JET_sesidNil, JET_paramMaxSessions, 1, NULL));
        EXPECT(JET_errSuccess, JetInit(&instance));
        EXPECT(JET_errLoggingDisabled, JetBeginExternalBackupInstance(instance, 0));
        EXPECT(JET_errSuccess, JetBeginSession(instance, &session, NULL, NULL));
        EXPECT(JET_errSuccess, JetGetVersion(session, &version));
        CHECK(((version & 0x00FFFFFF) >> 8) == 19041);
        EXPECT(JET_errSuccess, JetEndSession(session, 0));
        EXPECT(JET_errSuccess, JetTerm(instance));
    }
    return 0;
}
