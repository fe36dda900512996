// Faults of a disk: LD_PRELOAD puts this between a process and libc. It acts on files below
// $BRAID_DISK_FOLDER and counts two kinds of calls: writing ones, and fsync with fdatasync.
// Call number $BRAID_DISK_AT fails as $BRAID_DISK_KIND says:
//   full   that write fails, and each later one: no space left
//   short  that write takes half of its bytes; each later one fails: input/output error
//   sync   that fsync fails, no later one does; what it was to write is lost when the process
//          ends, as Linux then takes those pages for written
//   cut    at that call, of either kind, the power fails: what no fsync has reached is lost
//   tear   as cut, but of each page that no fsync has reached chance decides
//   hold   fjall's worker waits in its first write to a file of a table until $BRAID_DISK_AT calls
//          have synced, or none has for a second; from then on other threads sync slowly
// Each fault, and the end, is a line of $BRAID_DISK_REPORT. Creating, renaming and removing a file
// reaches the disk at once. Rust's library and fjall write by no other functions than these.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define KIND(kind) (!strcmp(getenv("BRAID_DISK_KIND"), kind))

// Files that were written. The open descriptors keep their inodes from being used again.
static struct file { ino_t inode; int fd; } files[900];
// What no fsync has reached, newest first: the old bytes of a page, and the old size.
static struct change {
    struct change *older;
    struct file *file;
    int lost;
    off_t at, size;
    size_t length;
    char old[4096];
} *newest;
static long writes, syncs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void report(const char *what) {
    FILE *out = fopen(getenv("BRAID_DISK_REPORT"), "a");
    if (!out || fprintf(out, "%s %ld %ld\n", what, writes, syncs) < 0 || fclose(out)) abort();
}

static int watched(int fd) {
    char link[64], path[4096];
    const char *folder = getenv("BRAID_DISK_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path) > 0 && !strncmp(path, folder, strlen(folder));
}

static struct file *file_of(int fd) {
    char link[64];
    struct stat stat;
    struct file *file = files;
    if (fstat(fd, &stat)) abort();
    while (file->inode && file->inode != stat.st_ino) file++;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (!file->inode) *file = (struct file){stat.st_ino, open(link, O_RDWR)};
    if (file->fd < 0 || file == files + 899) abort();
    return file;
}

static void remember(int fd, off_t at, size_t length) {
    struct file *file = file_of(fd);
    off_t size = lseek(file->fd, 0, SEEK_END);
    do {
        struct change *change = calloc(1, sizeof *change);
        size_t page = 4096 - at % 4096;
        *change = (struct change){newest, file, 0, at, size, length < page ? length : page, {0}};
        if (pread(file->fd, change->old, change->length, at) < 0) abort();
        newest = change, at += change->length, length -= change->length;
    } while (length);
}

// Whether the call whose number is `count` is the one to fail.
static int now(int kind, long count) {
    int cut = KIND("cut") || KIND("tear");
    if (!(kind || cut) || (cut ? writes + syncs : count) != atol(getenv("BRAID_DISK_AT"))) return 0;
    report("fault");
    if (!cut) return 1;
    srandom(count);
    for (struct change *it = newest; it; it = it->older) {
        if (KIND("tear") && random() % 2) continue;
        REAL(pwrite)(it->file->fd, it->old, it->length, it->at);
        if (KIND("cut")) REAL(ftruncate)(it->file->fd, it->size);
    }
    return kill(getpid(), SIGKILL);
}

// How many of `length` bytes a write may take; -1 if it fails.
static ssize_t grant(size_t length) {
    static int failed;
    int fails = KIND("full") || KIND("short");
    writes++;
    if (now(fails, writes) && ++failed && KIND("short") && length > 1) return length / 2;
    errno = KIND("full") ? ENOSPC : EIO;
    return failed ? -1 : (ssize_t)length;
}

static int held;

static int is_worker(void) {
    char name[16];
    return !pthread_getname_np(pthread_self(), name, sizeof name) && !strcmp(name, "fjall:worker");
}

// Lets fjall's worker wait, once, where it holds no lock that a transaction needs.
static void hold(int fd) {
    char link[64], path[4096] = {0};
    if (!KIND("hold") || held || !is_worker()) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0 || !strstr(path, "/tables/")) return;
    held = 1;
    report("fault");
    volatile long *now = &syncs;
    long enough = *now + atol(getenv("BRAID_DISK_AT")), last = *now;
    for (int quiet = 0; quiet < 1000 && *now < enough; quiet = *now == last ? quiet + 1 : 0)
        last = *now, usleep(1000);
}

ssize_t write(int fd, const void *from, size_t n) {
    if (!watched(fd)) return REAL(write)(fd, from, n);
    hold(fd);
    pthread_mutex_lock(&lock);
    ssize_t done = grant(n);
    int append = fcntl(fd, F_GETFL) & O_APPEND, error = errno;
    if (done >= 0) {
        if (!KIND("hold")) remember(fd, lseek(fd, 0, append ? SEEK_END : SEEK_CUR), done);
        done = REAL(write)(fd, from, done), error = errno;
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
ssize_t writev(int fd, const struct iovec *from, int n) {
    return n > 0 ? write(fd, from->iov_base, from->iov_len) : 0;
}
int ftruncate64(int fd, off_t size) {
    pthread_mutex_lock(&lock);
    if (watched(fd)) remember(fd, size, 0);
    int done = REAL(ftruncate)(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) {
    if (!watched(fd)) return REAL(fsync)(fd);
    if (held && !is_worker()) usleep(10000);
    pthread_mutex_lock(&lock);
    syncs++;
    struct stat stat;
    int fails = now(KIND("sync"), syncs), done = fails ? -1 : REAL(fsync)(fd), error = errno;
    if (fstat(fd, &stat)) abort();
    for (struct change **it = &newest; *it && (fails || !done);) {
        struct change *change = *it;
        int same = change->file->inode == stat.st_ino;
        change->lost |= same && fails;
        if (same && !change->lost) *it = change->older, free(change);
        else it = &change->older;
    }
    pthread_mutex_unlock(&lock);
    errno = fails ? EIO : error;
    return done;
}
int fdatasync(int fd) {
    return fsync(fd);
}

__attribute__((destructor)) static void ended(void) {
    report("end");
    for (struct change *it = newest; it; it = it->older)
        if (it->lost) REAL(pwrite)(it->file->fd, it->old, it->length, it->at);
}
