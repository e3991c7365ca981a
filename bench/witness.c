/* A command that tells when it came to life, so that nobody's own record is trusted alone: appends
 * one line with its slot ($CRONHERD_SCHEDULED_AT), its job and its clock in nanoseconds to FILE.
 *
 *     witness FILE
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec now;
	const char *slot = getenv("CRONHERD_SCHEDULED_AT"), *job = getenv("CRONHERD_JOB_NAME");
	char line[256];
	int file, length;

	clock_gettime(CLOCK_REALTIME, &now);
	if (argc != 2 || (file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return 1;
	length = snprintf(line, sizeof line, "%s %s %lld%09ld\n", slot ? slot : "-", job ? job : "-",
			  (long long)now.tv_sec, now.tv_nsec);
	return write(file, line, length) == length ? 0 : 1;
}
