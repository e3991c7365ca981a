/* The limit to compare with: start COUNT children, at most FLIGHT at a time, read what each of
 * them writes, collect each of them. No records, no database, no limits, no environment built.
 *
 *     spawn_loop FLIGHT COUNT PROGRAM [ARGUMENT ...]
 *
 * Prints one JSON object: seconds of wall time, microseconds of CPU per child of this process and
 * of the children themselves, bytes read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct child {
	pid_t pid;
	int out;
};

static posix_spawnattr_t attributes;
static int null_fd, poller;

static void die(const char *what)
{
	fprintf(stderr, "spawn_loop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu_us(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

static void start(struct child *child, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = child};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe2");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, null_fd, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	errno = posix_spawnp(&child->pid, argv[0], &actions, &attributes, argv, environ);
	if (errno != 0)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	child->out = ends[0];
	if (epoll_ctl(poller, EPOLL_CTL_ADD, child->out, &event) != 0)
		die("epoll_ctl");
}

/* The number of bytes that came; at the end of the file the child is collected and its place is
 * free again. */
static size_t take(struct child *child)
{
	static char buffer[1 << 16];
	int status;
	ssize_t got = read(child->out, buffer, sizeof buffer);

	if (got > 0)
		return got;
	epoll_ctl(poller, EPOLL_CTL_DEL, child->out, NULL);
	close(child->out);
	if (waitpid(child->pid, &status, 0) != child->pid)
		die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "spawn_loop: a child failed with status %d\n", status);
		exit(1);
	}
	child->pid = 0;
	return 0;
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];
	struct child *children;
	long flight, count, started = 0, ended = 0;
	unsigned long long bytes = 0;
	double began, spent;

	if (argc < 4 || (flight = atol(argv[1])) < 1 || (count = atol(argv[2])) < 1) {
		fprintf(stderr, "usage: spawn_loop FLIGHT COUNT PROGRAM [ARGUMENT ...]\n");
		return 2;
	}
	if (flight > count)
		flight = count;
	children = calloc(flight, sizeof *children);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (children == NULL || null_fd < 0 || poller < 0)
		die("setting up");
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);

	began = seconds();
	for (; started < flight; started++)
		start(&children[started], argv + 3);
	while (ended < count) {
		int ready = epoll_wait(poller, events, 64, -1);
		for (int i = 0; i < ready; i++) {
			struct child *child = events[i].data.ptr;
			bytes += take(child);
			if (child->pid != 0)
				continue;
			ended++;
			if (started < count) {
				start(child, argv + 3);
				started++;
			}
		}
	}
	spent = seconds() - began;
	printf("{\"seconds\": %.6f, \"own_us\": %.2f, \"child_us\": %.2f, \"bytes\": %llu}\n", spent,
	       cpu_us(RUSAGE_SELF) / count, cpu_us(RUSAGE_CHILDREN) / count, bytes);
	return 0;
}
