/* Lets libcamera's virtual camera run on a kernel without dma-buf (preloaded).
 *
 * libcamera asks /dev/udmabuf or a DMA heap for its buffers. Where neither exists, opening them gives /dev/null, and
 * the requests for memory are answered with memfds, which can be mapped as dma-bufs can. Nothing else is changed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *instead(const char *path)
{
	if (path && (!strcmp(path, "/dev/udmabuf") || !strncmp(path, "/dev/dma_heap/", 14)))
		return "/dev/null";
	return path;
}

static int open_at(int folder, const char *path, int flags, int mode)
{
	return syscall(SYS_openat, folder, instead(path), flags, mode);
}

#define MODE_OF(flags, mode)                                   \
	int mode = 0;                                          \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                 \
		va_list rest;                                  \
		va_start(rest, flags);                         \
		mode = va_arg(rest, int);                      \
		va_end(rest);                                  \
	}

int open(const char *path, int flags, ...) { MODE_OF(flags, mode) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags, mode) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE_OF(flags, mode) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE_OF(flags, mode) return open_at(folder, path, flags, mode); }

static int from_heap(struct dma_heap_allocation_data *wanted)
{
	int fd = memfd_create("heap", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, wanted->len))
		return -1;
	wanted->fd = fd;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	switch ((unsigned int)request) {
	case (unsigned int)UDMABUF_CREATE:
		return fcntl(((struct udmabuf_create *)argument)->memfd, F_DUPFD_CLOEXEC, 3);
	case (unsigned int)DMA_HEAP_IOCTL_ALLOC:
		return from_heap(argument);
	case (unsigned int)DMA_BUF_IOCTL_SYNC:
	case (unsigned int)DMA_BUF_SET_NAME_A:
	case (unsigned int)DMA_BUF_SET_NAME_B:
		return 0;
	}
	return syscall(SYS_ioctl, fd, request, argument);
}
