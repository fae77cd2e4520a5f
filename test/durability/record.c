/*
 * Records what a process writes to the files of one folder: every write, truncation, sync, removal, renaming and new
 * folder, in their order and with their data. Loaded with LD_PRELOAD; the program under it does not know.
 *
 * RECORD_FOLDER  the folder, as an absolute path without links; files whose name ends in -shm are left out: they are
 *                memory that SQLite builds anew when it opens a database
 * RECORD_LOG     where the record goes
 *
 * A write to <folder>/marker is no write but a remark of the program itself: it stands in the record where it was made.
 * One lock makes one order of everything: an act and its record are one step, so that a sync covers exactly the writes
 * that stand before it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPENED = 1, CREATED, WRITTEN, TRUNCATED, SYNCED, REMOVED, RENAMED, MARKED, FOLDER };

struct entry {
  uint32_t kind;
  uint32_t file; /* counted from 1; another one when a path is used again after a removal */
  uint64_t offset;
  uint64_t length; /* of the bytes that follow: data, or a path */
};

#define MAX_FD 4096
#define MAX_FILES 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char folder[4096];
static size_t folder_length;
static int file_of[MAX_FD];          /* 0: not ours */
static char *path_of[MAX_FILES + 1]; /* NULL: removed */
static int files;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void fail(const char *what) {
  dprintf(2, "record: %s\n", what);
  abort();
}

static void put(const void *bytes, size_t length) {
  REAL(write);
  const char *at = bytes;
  while (length > 0) {
    ssize_t done = real(log_fd, at, length);
    if (done <= 0) fail("the record cannot be written");
    at += done;
    length -= (size_t)done;
  }
}

static void record(enum kind kind, int file, uint64_t offset, const void *bytes, size_t length) {
  struct entry entry = {kind, (uint32_t)file, offset, length};
  put(&entry, sizeof entry);
  if (length > 0) put(bytes, length);
}

__attribute__((constructor)) static void start(void) {
  const char *of = getenv("RECORD_FOLDER"), *to = getenv("RECORD_LOG");
  if (of == NULL || to == NULL) return;
  REAL(open);
  log_fd = real(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (log_fd < 0) fail("RECORD_LOG cannot be opened");
  snprintf(folder, sizeof folder, "%s", of);
  folder_length = strlen(folder);
}

/* Whether a path is the folder or something in it that is recorded. */
static int ours(const char *path) {
  if (log_fd < 0 || path == NULL || strncmp(path, folder, folder_length) != 0) return 0;
  if (path[folder_length] != '\0' && path[folder_length] != '/') return 0;
  size_t length = strlen(path);
  return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static int is_marker(int file) {
  const char *path = path_of[file];
  return path != NULL && strcmp(path + folder_length, "/marker") == 0;
}

static int find(const char *path) {
  for (int file = 1; file <= files; file++)
    if (path_of[file] != NULL && strcmp(path_of[file], path) == 0) return file;
  return 0;
}

static int fd_file(int fd) { return fd >= 0 && fd < MAX_FD ? file_of[fd] : 0; }

static int note_open(int fd, const char *path, int flags, int existed) {
  if (fd < 0) return fd;
  if (fd >= MAX_FD) fail("too many files");
  int file = find(path);
  if (file == 0) {
    if (files == MAX_FILES) fail("too many files");
    file = ++files;
    path_of[file] = strdup(path);
    record(existed ? OPENED : CREATED, file, 0, path, strlen(path));
  }
  file_of[fd] = file;
  if (existed && (flags & O_TRUNC)) record(TRUNCATED, file, 0, NULL, 0);
  return fd;
}

static int mode_of(int flags, va_list list) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, int) : 0;
}

#define OPEN(name)                                       \
  int name(const char *path, int flags, ...) {           \
    va_list list;                                        \
    va_start(list, flags);                               \
    int mode = mode_of(flags, list);                     \
    va_end(list);                                        \
    REAL(name);                                          \
    if (!ours(path)) return real(path, flags, mode);     \
    pthread_mutex_lock(&lock);                           \
    int existed = access(path, F_OK) == 0;               \
    int fd = note_open(real(path, flags, mode), path, flags, existed); \
    int error = errno;                                   \
    pthread_mutex_unlock(&lock);                         \
    errno = error;                                       \
    return fd;                                           \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                     \
  int name(int at, const char *path, int flags, ...) {   \
    va_list list;                                        \
    va_start(list, flags);                               \
    int mode = mode_of(flags, list);                     \
    va_end(list);                                        \
    REAL(name);                                          \
    if (ours(path) && (flags & O_ACCMODE) != O_RDONLY) fail("openat() for writing is not recorded"); \
    return real(at, path, flags, mode);                  \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
  REAL(close);
  if (fd_file(fd) == 0) return real(fd);
  pthread_mutex_lock(&lock);
  file_of[fd] = 0;
  int result = real(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

static ssize_t note_write(int file, off_t offset, const void *bytes, ssize_t done) {
  int error = errno;
  if (done > 0) record(is_marker(file) ? MARKED : WRITTEN, file, (uint64_t)offset, bytes, (size_t)done);
  errno = error;
  return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  int file = fd_file(fd);
  if (file == 0) return real(fd, bytes, length);
  pthread_mutex_lock(&lock);
  if (!is_marker(file) && (fcntl(fd, F_GETFL) & O_APPEND)) fail("appending is not recorded");
  off_t offset = lseek(fd, 0, SEEK_CUR);
  ssize_t done = note_write(file, offset, bytes, real(fd, bytes, length));
  pthread_mutex_unlock(&lock);
  return done;
}

#define PWRITE(name, offset_t)                                                    \
  ssize_t name(int fd, const void *bytes, size_t length, offset_t offset) {       \
    REAL(name);                                                                   \
    int file = fd_file(fd);                                                       \
    if (file == 0) return real(fd, bytes, length, offset);                        \
    pthread_mutex_lock(&lock);                                                    \
    ssize_t done = note_write(file, offset, bytes, real(fd, bytes, length, offset)); \
    pthread_mutex_unlock(&lock);                                                  \
    return done;                                                                  \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define FTRUNCATE(name, offset_t)                                                 \
  int name(int fd, offset_t length) {                                             \
    REAL(name);                                                                   \
    int file = fd_file(fd);                                                       \
    if (file == 0) return real(fd, length);                                       \
    pthread_mutex_lock(&lock);                                                    \
    int result = real(fd, length);                                                \
    if (result == 0) record(TRUNCATED, file, (uint64_t)length, NULL, 0);          \
    pthread_mutex_unlock(&lock);                                                  \
    return result;                                                                \
  }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                \
  int name(int fd) {                                                              \
    REAL(name);                                                                   \
    int file = fd_file(fd);                                                       \
    if (file == 0) return real(fd);                                               \
    pthread_mutex_lock(&lock);                                                    \
    int result = real(fd);                                                        \
    if (result == 0) record(SYNCED, file, 0, NULL, 0);                            \
    pthread_mutex_unlock(&lock);                                                  \
    return result;                                                                \
  }
SYNC(fsync)
SYNC(fdatasync)

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  if (!ours(path)) return real(path, mode);
  pthread_mutex_lock(&lock);
  int result = real(path, mode), error = errno;
  if (result == 0) record(FOLDER, 0, 0, path, strlen(path));
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int unlink(const char *path) {
  REAL(unlink);
  if (!ours(path)) return real(path);
  pthread_mutex_lock(&lock);
  int result = real(path), error = errno, file = find(path);
  if (result == 0 && file != 0) {
    record(REMOVED, file, 0, NULL, 0);
    path_of[file] = NULL;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  if (!ours(from) && !ours(to)) return real(from, to);
  pthread_mutex_lock(&lock);
  int result = real(from, to), error = errno, file = find(from), over = find(to);
  if (result == 0) {
    if (file == 0) fail("a file from elsewhere was moved into the folder");
    if (over != 0) path_of[over] = NULL;
    path_of[file] = strdup(to);
    record(RENAMED, file, 0, to, strlen(to));
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

/* Whatever else could change a file must not go unseen. */
#define UNSEEN(type, name, parameters, arguments)                                 \
  type name parameters {                                                          \
    REAL(name);                                                                   \
    if (fd_file(fd) != 0) fail(#name "() is not recorded");                       \
    return real arguments;                                                        \
  }
UNSEEN(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
UNSEEN(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t offset), (fd, v, n, offset))
UNSEEN(int, fallocate, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
UNSEEN(int, posix_fallocate, (int fd, off_t offset, off_t length), (fd, offset, length))

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
  REAL(mmap64);
  if (fd_file(fd) != 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED)) fail("mmap64() is not recorded");
  return real(at, length, protection, flags, fd, offset);
}
