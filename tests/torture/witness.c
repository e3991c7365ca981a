/* The command of every torture job: it tells what happened to it, so that no record of the product
 * is trusted alone. Each line is one write() to a file opened O_APPEND, then fsync.
 *
 *     witness FOLDER MILLISECONDS EXIT_CODE [t][f]      t: ignore TERM   f: flood the output
 *
 *     S run job slot attempt fence node pid boot_ns real_ns cause      its first act
 *     T run attempt pid boot_ns                                        a TERM came
 *     E run attempt pid boot_ns code                                   its last act
 *
 * The clocks are read by raw system calls: a preloaded shim cannot lie to it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int file;

static long long clock_ns(int which)
{
	struct timespec now = {0, 0};

	syscall(SYS_clock_gettime, which, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static const char *word(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : "-";
}

static void say(const char *line, int length)
{
	if (write(file, line, length) != length || fsync(file) != 0)
		_exit(98);
}

int main(int argc, char **argv)
{
	static char flood[4096];
	char path[4096], line[1024];
	const char *run = word("CRONHERD_RUN_ID"), *attempt = word("CRONHERD_ATTEMPT");
	const char *flags = argc > 4 ? argv[4] : "";
	sigset_t term;
	long long end, left;
	int code, told = 0, pid = getpid();

	if (argc < 4)
		return 97;
	end = clock_ns(CLOCK_BOOTTIME) + atoll(argv[2]) * 1000000LL;
	code = atoi(argv[3]);
	/* Blocked and waited for: no signal falls between a look and a sleep. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	snprintf(path, sizeof path, "%s/witness.%s", argv[1], word("CRONHERD_NODE"));
	file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (file < 0)
		return 99;
	say(line, snprintf(line, sizeof line, "S %s %s %s %s %s %s %d %lld %lld %s\n", run,
			   word("CRONHERD_JOB_NAME"), word("CRONHERD_SCHEDULED_AT"), attempt,
			   word("CRONHERD_FENCE"), word("CRONHERD_NODE"), pid,
			   clock_ns(CLOCK_BOOTTIME), clock_ns(CLOCK_REALTIME), word("CRONHERD_CAUSE")));
	memset(flood, 'x', sizeof flood);
	while ((left = end - clock_ns(CLOCK_BOOTTIME)) > 0) {
		struct timespec rest = {left / 1000000000, left % 1000000000};

		if (strchr(flags, 'f')) {
			if (write(1, flood, sizeof flood) < 0)
				break;
			rest.tv_sec = 0;
			rest.tv_nsec = left < 1000000 ? left : 1000000;
		}
		if (sigtimedwait(&term, NULL, &rest) < 0)
			continue;
		if (!told++)
			say(line, snprintf(line, sizeof line, "T %s %s %d %lld\n", run, attempt, pid,
					   clock_ns(CLOCK_BOOTTIME)));
		if (!strchr(flags, 't')) {
			code = 143;
			break;
		}
	}
	say(line, snprintf(line, sizeof line, "E %s %s %d %lld %d\n", run, attempt, pid,
			   clock_ns(CLOCK_BOOTTIME), code));
	return code;
}
