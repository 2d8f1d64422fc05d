/* What a disk holds after a power cut: only what was synced. Preloaded into a program, this writes down, at each fsync,
 * the bytes of the file (by inode) or the names in the folder, below POWER_SHADOW; power_cut.py puts them together.
 * Only files below POWER_ROOT count. The real fsync is left out: nothing here depends on it. */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int begin(char *temporary, const char *kind) {
    snprintf(temporary, PATH_MAX, "%s/%s/.%ld", getenv("POWER_SHADOW"), kind, syscall(SYS_gettid));
    return open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

static void keep_bytes(int fd, ino_t inode) {
    char temporary[PATH_MAX], final[PATH_MAX], block[65536];
    int out = begin(temporary, "files");
    off_t at = 0;
    ssize_t count;
    int again = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    char name[32];
    snprintf(name, sizeof name, "%d", fd);
    int in = openat(again, name, O_RDONLY); /* fd may be open for writing only */
    close(again);
    while ((count = pread(in, block, sizeof block, at)) > 0) {
        if (write(out, block, count) != count)
            abort();
        at += count;
    }
    close(in);
    close(out);
    snprintf(final, sizeof final, "%s/files/%lu", getenv("POWER_SHADOW"), (unsigned long)inode);
    rename(temporary, final);
}

static void keep_names(const char *path) {
    char temporary[PATH_MAX], final[PATH_MAX + 64], flat[PATH_MAX];
    FILE *out = fdopen(begin(temporary, "folders"), "w");
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            fprintf(out, "%lu %d %s\n", (unsigned long)entry->d_ino, entry->d_type == DT_DIR, entry->d_name);
    if (folder)
        closedir(folder);
    fclose(out);
    snprintf(flat, sizeof flat, "%s", path);
    for (char *each = flat; *each; each++)
        if (*each == '/')
            *each = '|';
    snprintf(final, sizeof final, "%s/folders/%s", getenv("POWER_SHADOW"), flat);
    rename(temporary, final);
}

static int keep(int fd) {
    char link[64], path[PATH_MAX];
    const char *root = getenv("POWER_ROOT");
    struct stat facts;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (root == NULL || length < 0 || fstat(fd, &facts) != 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)) != 0)
        return 0;
    if (S_ISDIR(facts.st_mode))
        keep_names(path);
    else
        keep_bytes(fd, facts.st_ino);
    return 0;
}

int fsync(int fd) { return keep(fd); }

int fdatasync(int fd) { return keep(fd); }
