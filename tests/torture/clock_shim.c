/* Preloaded into one node's agent and supervisor: shifts what they take for the wall clock.
 *
 * $TORTURE_SHIM names a file with one signed 64-bit number, nanoseconds; it is mapped, so whoever
 * writes it steps the clock of a running process. Monotonic and boot clocks are left alone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL

static const volatile int64_t *shift;

__attribute__((constructor)) static void map_shift(void)
{
	const char *path = getenv("TORTURE_SHIM");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page;

	if (file < 0)
		return;
	page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (page != MAP_FAILED)
		shift = page;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
	int answer = syscall(SYS_clock_gettime, which, now);
	long long whole;

	if (answer != 0 || !shift || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE))
		return answer;
	whole = now->tv_sec * BILLION + now->tv_nsec + *shift;
	now->tv_sec = whole / BILLION;
	now->tv_nsec = whole % BILLION;
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &exact);
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now)
		*now = exact.tv_sec;
	return exact.tv_sec;
}
