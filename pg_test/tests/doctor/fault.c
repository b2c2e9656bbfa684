/*
 * Preloaded into a server, this makes one call of the C library fail at a chosen place, so that Rust's standard library
 * panics there: `Instant::now()` unwraps what clock_gettime() says. The extension is the one that users install.
 *
 * ONCALL_FAULT_WORK: each time that the pump polls the conversation about this piece of work. It says so itself, in the
 * file of what it has in hand.
 * ONCALL_FAULT_PORT: once in a process, on a helper thread that has connected to this port.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);

static int64_t cursed_work;
static int64_t cursed_port;
static int connects;
static _Thread_local int armed;

static int64_t setting(const char *name)
{
	const char *value = getenv(name);
	return value == NULL ? 0 : atoll(value);
}

__attribute__((constructor)) static void begin(void)
{
	*(void **) &real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	*(void **) &real_connect = dlsym(RTLD_NEXT, "connect");
	*(void **) &real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
	cursed_work = setting("ONCALL_FAULT_WORK");
	cursed_port = setting("ONCALL_FAULT_PORT");
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
	int64_t work;

	if (cursed_work != 0 && length == sizeof(work)) {
		memcpy(&work, bytes, sizeof(work));
		armed = work == cursed_work;
	}
	return real_pwrite64(file, bytes, length, at);
}

int connect(int socket, const struct sockaddr *address, socklen_t length)
{
	char thread[16] = "";

	if (cursed_port != 0 && address->sa_family == AF_INET
		&& ntohs(((const struct sockaddr_in *) address)->sin_port) == cursed_port) {
		prctl(PR_GET_NAME, thread);
		armed = strcmp(thread, "oncall-helper") == 0 && __atomic_fetch_add(&connects, 1, __ATOMIC_SEQ_CST) == 0;
	}
	return real_connect(socket, address, length);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	Dl_info caller;

	/* The server's own C code would take what it gets. */
	if (armed && clock == CLOCK_MONOTONIC && dladdr(__builtin_return_address(0), &caller) != 0
		&& strstr(caller.dli_fname, "pg_oncall") != NULL) {
		armed = 0;
		errno = EINVAL;
		return -1;
	}
	return real_clock_gettime(clock, now);
}
