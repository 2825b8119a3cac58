/* Offers a sandbox's way out as an HTTP proxy on its own loopback, then becomes the command that the sandbox is for.
 *
 *     forward -- COMMAND ARGUMENT...
 *
 * Above: any client inside the sandbox, told by HTTP_PROXY and the like. Below: the egress proxy of the host, on a Unix
 * socket that comes and goes. Nothing is understood here: bytes are carried both ways, and every decision is the
 * host's. Where no proxy answers, a client gets a 502 that says so.
 *
 * The listening sockets are there before the command is. The process that serves them is nobody's child but process
 * 1's, holds none of the command's descriptors, and is not dumpable, so that no other program of its user can read it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROXY "/run/muxi/egress.sock"
#define PORT 3128
#define BACKLOG 128
#define MOST 128          /* connections at once; more wait in the backlog */
#define SPARE_FILES 16    /* descriptors left for anything but connections */
#define BUFFER 32768      /* bytes of one direction; read again only when they are written */
#define RETRY_MS 20       /* between attempts while the proxy's backlog is full */
#define RETRIES 250
#define PAUSE_MS 100      /* when the kernel has no room for another connection */
#define NOT_FOUND 127
#define NOT_EXECUTED 126

enum { CLIENT, HOST, SIDES };

struct direction {
    unsigned start, end;  /* what is read and not yet written */
    bool ended;           /* its source sends no more */
    bool shut;            /* its target has been told */
};

struct connection {
    int sockets[SIDES];
    struct direction to[SIDES];
    int retries;          /* left until the proxy counts as too busy; 0: not waiting */
    bool open, refused;   /* refused: there is no proxy behind it, what the client says is thrown away */
};

static struct connection connections[MOST];
static _Alignas(4096) char buffers[MOST][SIDES][BUFFER]; /* pages come with use, and go with the connection */
static unsigned most = MOST;

static _Noreturn void die(int code, const char *what, const char *which)
{
    dprintf(STDERR_FILENO, "[FATAL forward] %s %s: %s\n", what, which, strerror(errno));
    _exit(code);
}

static int listen_on(const struct sockaddr *address, socklen_t size)
{
    int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void end(struct connection *c)
{
    for (int side = 0; side < SIDES; side++)
        if (c->sockets[side] >= 0)
            close(c->sockets[side]);
    madvise(buffers[c - connections], sizeof buffers[0], MADV_DONTNEED);
    memset(c, 0, sizeof *c);
}

static void refuse(struct connection *c, const char *why)
{
    static const char form[] = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n";
    int size = snprintf(buffers[c - connections][CLIENT], BUFFER, form, strlen(why) + 1, why);
    c->to[CLIENT] = (struct direction){.end = (unsigned)size, .ended = true};
    c->refused = true;
    c->retries = 0;
}

/* To the host's proxy. A local socket connects at once, or its backlog is full, or nobody is there. */
static void dial(struct connection *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = PROXY};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        c->sockets[HOST] = fd;
        c->retries = 0;
        return;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (why == EAGAIN && --c->retries > 0)
        return;
    refuse(c, why == ENOENT ? "This sandbox has no way out yet: it belongs to no task."
              : why == EAGAIN ? "The egress proxy of this sandbox is too busy."
                              : "The egress proxy of this sandbox does not answer, so nothing can be reached.");
}

/* A connection that is free, else one that was refused and whose client only forgot to hang up. */
static struct connection *find_room(void)
{
    struct connection *idle = NULL;
    for (unsigned i = 0; i < most; i++) {
        if (!connections[i].open)
            return &connections[i];
        if (connections[i].refused && connections[i].to[CLIENT].shut)
            idle = &connections[i];
    }
    if (idle)
        end(idle);
    return idle;
}

static void take(int listener)
{
    struct connection *c;
    while ((c = find_room()) != NULL) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                poll(NULL, 0, PAUSE_MS);
            return;
        }
        *c = (struct connection){.sockets = {fd, -1}, .retries = RETRIES, .open = true};
        dial(c);
    }
}

static bool is_waiting(const struct connection *c)
{
    return c->open && c->sockets[HOST] < 0 && !c->refused;
}

/* Which events of one side matter now: its bytes if there is room for them, its readiness if there is something for it. */
static short wanted(const struct connection *c, int side)
{
    const struct direction *from = &c->to[!side], *to = &c->to[side];
    if (c->sockets[side] < 0 || is_waiting(c))
        return 0;
    return (short)((!from->ended && from->end == 0 ? POLLIN : 0) | (to->end > to->start ? POLLOUT : 0));
}

static bool fill(struct connection *c, int side)
{
    struct direction *d = &c->to[!side];
    ssize_t n = recv(c->sockets[side], buffers[c - connections][!side], BUFFER, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    d->ended = n == 0;
    d->end = c->refused && side == CLIENT ? 0 : (unsigned)n;
    return true;
}

static bool drain(struct connection *c, int side)
{
    struct direction *d = &c->to[side];
    char *data = buffers[c - connections][side];
    while (d->end > d->start) {
        ssize_t n = send(c->sockets[side], data + d->start, d->end - d->start, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        d->start += (unsigned)n;
    }
    d->start = d->end = 0;
    return true;
}

/* Carry what can be carried; false when the connection is broken or both of its directions are over. */
static bool serve(struct connection *c, const struct pollfd *polled)
{
    for (int side = 0; side < SIDES; side++) {
        short got = polled[side].fd >= 0 ? polled[side].revents : 0;
        if ((got & (POLLIN | POLLHUP | POLLERR)) && (polled[side].events & POLLIN) && !fill(c, side))
            return false;
        if ((got & POLLERR) && !(polled[side].events & POLLIN))
            return false;
    }
    for (int side = 0; side < SIDES; side++) {
        struct direction *d = &c->to[side];
        if (c->sockets[side] >= 0 && !drain(c, side))
            return false;
        if (d->ended && d->end == 0 && !d->shut) {
            d->shut = true;
            if (c->sockets[side] >= 0)
                shutdown(c->sockets[side], SHUT_WR);
        }
    }
    return !(c->to[CLIENT].shut && c->to[HOST].shut);
}

static _Noreturn void forward(const int *listeners, unsigned count)
{
    static struct pollfd polled[2 + MOST * SIDES];
    for (;;) {
        bool waiting = false, room = false;
        for (unsigned i = 0; i < most; i++) {
            struct connection *c = &connections[i];
            room |= !c->open || (c->refused && c->to[CLIENT].shut);
            waiting |= is_waiting(c);
            for (int side = 0; side < SIDES; side++) {
                short events = c->open ? wanted(c, side) : 0;
                polled[count + i * SIDES + side] =
                    (struct pollfd){.fd = events ? c->sockets[side] : -1, .events = events};
            }
        }
        for (unsigned i = 0; i < count; i++)
            polled[i] = (struct pollfd){.fd = room ? listeners[i] : -1, .events = POLLIN};
        if (poll(polled, count + most * SIDES, waiting ? RETRY_MS : -1) < 0 && errno != EINTR)
            poll(NULL, 0, PAUSE_MS);
        for (unsigned i = 0; i < most; i++) {
            struct connection *c = &connections[i];
            if (is_waiting(c))
                dial(c);
            else if (c->open && !serve(c, &polled[count + i * SIDES]))
                end(c);
        }
        for (unsigned i = 0; i < count; i++)
            if (polled[i].revents & POLLIN)
                take(listeners[i]);
    }
}

static void close_from_to(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    for (unsigned fd = first; fd <= last && fd < 65536; fd++)
        close((int)fd);
}

/* Hold nothing of the command's, and let nobody look: done before the command runs. `listeners` ascend. */
static void part(const int *listeners, unsigned count)
{
    unsigned next = 0;
    for (unsigned i = 0; i < count; i++) {
        close_from_to(next, (unsigned)listeners[i] - 1);
        next = (unsigned)listeners[i] + 1;
    }
    close_from_to(next, ~0U);
    if (setsid() < 0 || chdir("/") != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        _exit(1);
    prctl(PR_SET_NAME, "muxi-forward", 0, 0, 0);
    for (int number = 1; number < SIGRTMIN; number++)
        if (number != SIGCHLD)
            signal(number, SIG_IGN);
}

int main(int count, char **words)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct rlimit files;
    if (count < 3 || strcmp(words[1], "--") != 0) {
        errno = EINVAL;
        die(NOT_EXECUTED, "usage:", "forward -- COMMAND ARGUMENT...");
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < MOST * SIDES + SPARE_FILES)
        most = files.rlim_cur > SPARE_FILES + SIDES ? (unsigned)(files.rlim_cur - SPARE_FILES) / SIDES : 1;
    int listeners[2] = {listen_on((struct sockaddr *)&four, sizeof four), -1};
    if (listeners[0] < 0)
        die(NOT_EXECUTED, "cannot listen on", "127.0.0.1:3128");
    listeners[1] = listen_on((struct sockaddr *)&six, sizeof six); /* not every kernel has IPv6 */
    unsigned listening = listeners[1] < 0 ? 1 : 2;
    int status = 0;
    pid_t between = fork();
    if (between == 0) {
        part(listeners, listening);
        pid_t forwarder = fork(); /* an orphan at once: the command has no child that it did not make */
        if (forwarder == 0)
            forward(listeners, listening);
        _exit(forwarder < 0);
    }
    if (between < 0 || waitpid(between, &status, 0) != between || status != 0)
        die(NOT_EXECUTED, "cannot start", "the forwarder");
    execvp(words[2], words + 2);
    die(errno == ENOENT ? NOT_FOUND : NOT_EXECUTED, "cannot execute", words[2]);
}
