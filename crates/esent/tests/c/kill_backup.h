/* Backups beside the sessions of kill.c: by the external sequence and by JetBackup, and a restore of what the last
 * full one delivered. Everything goes into one folder, the vault.
 *
 * Says "@phase NAME" before each step; "@set NAME full|logs N,N,.." when all files of a backup are in the folder of that
 * name, with the last number of each session whose commit had returned before the list of logs was asked for; "@folder
 * N,N,.." when JetBackup has returned, with those before its call; "@refused" for an incremental backup that nothing
 * allows; "@place NAME SET" when databases and logs of a set are in a folder to be restored there, "@restored NAME" after
 * that. */
#include <sys/stat.h>

static const char *vault;
static int set_number_of_process;

static void phase(const char *name)
{
    char line[64];
    say(line, (size_t)snprintf(line, sizeof line, "@phase %s\n", name));
}

static void make_folder(const char *path) { CHECK(mkdir(path, 0700) == 0); }

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    size_t n;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    CHECK(in && out);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        CHECK(fwrite(buffer, 1, n, out) == n);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* Brings the database in a folder up to date with the logs of a backup. */
static JET_ERR restore_in(const char *place, const char *logs, const char *original)
{
    char new[UNITS], old[UNITS], work[UNITS];
    JET_RSTMAP_A map = { old, new };
    join(new, place, "ledger.edb");
    join(work, place, "work");
    CHECK(snprintf(old, sizeof old, "%s", original) < UNITS);
    return JetExternalRestoreA(work, work, &map, 1, (char *)logs, 0, 0, NULL);
}

/* The external sequence; 0 when it is refused. Leaves the name of the set in `whole`. */
static int stream(char *whole, int is_full, int truncates)
{
    static char list[256 * 1024];
    char name[64], part[UNITS], line[64 + 12 * MOST], numbers[12 * MOST];
    JET_ULONG size = 0;

    snprintf(name, sizeof name, "s%ld-%d", (long)getpid(), ++set_number_of_process);
    phase("begin");
    JET_ERR error = JetBeginExternalBackupInstance(instance, is_full ? 0 : JET_bitBackupIncremental);
    if (!is_full && error == JET_errMissingFullBackup)
        return 0;
    OK(error);
    join(whole, vault, name);
    CHECK(snprintf(part, sizeof part, "%s.part", whole) < UNITS);
    make_folder(part);
    if (is_full) {
        phase("database");
        OK(JetGetAttachInfoInstanceA(instance, list, sizeof list, &size));
        CHECK(read_all(instance, list, part) == 1);
    }
    list_returned(numbers, sizeof numbers);
    phase("list");
    error = JetGetLogInfoInstanceA(instance, list, sizeof list, &size);
    if (!is_full && error == JET_errMissingFileToBackup)
        return 0;
    OK(error);
    CHECK(size <= sizeof list);
    phase("logs");
    CHECK(read_all(instance, list, part) > 0);
    CHECK(rename(part, whole) == 0);
    say(line, (size_t)snprintf(line, sizeof line, "@set %s %s %s\n", name, is_full ? "full" : "logs", numbers));
    if (truncates) {
        phase("truncate");
        OK(JetTruncateLogInstance(instance));
    }
    phase("end");
    OK(JetEndExternalBackupInstance2(instance, JET_bitBackupEndNormal));
    phase("ended");
    return 1;
}

static void back_up_to_folder(void)
{
    char path[UNITS], line[64 + 12 * MOST], numbers[12 * MOST];
    list_returned(numbers, sizeof numbers);
    phase("folder");
    OK(JetBackupInstanceA(instance, join(path, vault, "folder"), JET_bitBackupAtomic, NULL));
    say(line, (size_t)snprintf(line, sizeof line, "@folder %s\n", numbers));
}

/* Restores a full set to another place, while the sessions write. */
static void restore_beside(const char *set)
{
    char name[64], place[UNITS], from[UNITS], to[UNITS], line[2 * UNITS];
    snprintf(name, sizeof name, "p%ld-%d", (long)getpid(), ++set_number_of_process);
    make_folder(join(place, vault, name));
    make_folder(join(to, place, "work"));
    copy_file(join(from, set, "ledger.edb"), join(to, place, "ledger.edb"));
    CHECK(snprintf(line, sizeof line, "@place %s %s\n", name, name_of(set)) < (int)sizeof line);
    say(line, strlen(line));
    phase("restore");
    OK(restore_in(place, set, database));
    say(line, (size_t)snprintf(line, sizeof line, "@restored %s\n", name));
}

/* One backup after the other. The first one may be incremental: it builds on what a killed process left. */
static void *back_up_for_ever(void *argument)
{
    int is_circular = (int)(intptr_t)argument;
    char full[UNITS] = "", set[UNITS];
    for (uint64_t n = (uint64_t)getpid() * 1000;; n++) {
        uint64_t choice = mix(n);
        int kind = (int)(choice % 8);
        if (kind == 0) {
            back_up_to_folder();
        } else if (kind == 1 && *full) {
            restore_beside(full);
        } else if (kind <= 3 || is_circular) {
            CHECK(stream(full, 1, choice >> 8 & 3));
        } else if (!stream(set, 0, choice >> 8 & 1)) {
            say("@refused\n", 9);
            CHECK(stream(full, 1, 1));
        }
    }
    return NULL;
}
