/* The seccomp notifier of the app. SPDX-License-Identifier: Apache-2.0
 *
 * paas-init is its one reader for the whole life of the app: with two, one may take a call and die
 * with it. listen goes on as the kernel has it (its arguments are numbers: nothing to be swapped
 * behind our back); every other call that the filter notifies is refused.
 */
#include "notifier.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.6: the answer wakes the app on this CPU, which halves the wait. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* A newer kernel may write a longer struct than the one this was compiled with. */
enum { NOTIFICATION_MAX = 256 };

union notification {
    struct seccomp_notif in;
    char room[NOTIFICATION_MAX];
};

union response {
    struct seccomp_notif_resp out;
    char room[NOTIFICATION_MAX];
};

void notifier_init(struct notifier *notifier) {
    *notifier = (struct notifier){ .fd = -1, .refused_last = -1 };
}

void notifier_attach(struct notifier *notifier, int fd) {
    notifier_close(notifier);
    notifier->fd = fd;
    ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

void notifier_close(struct notifier *notifier) {
    if (notifier->fd >= 0) {
        close(notifier->fd);
        notifier->fd = -1;
    }
}

bool notifier_ready(struct notifier *notifier, int64_t now_us, int64_t *wait_us) {
    if (now_us - notifier->window_start >= NOTIFIER_WINDOW_US) {
        notifier->window_start = now_us;
        notifier->answered = 0;
    }
    if (notifier->answered < NOTIFIER_BURST) {
        return true;
    }
    *wait_us = notifier->window_start + NOTIFIER_WINDOW_US - now_us;
    return false;
}

enum notifier_news notifier_answer(struct notifier *notifier) {
    union notification call;
    union response answer;
    memset(&call, 0, sizeof call);
    memset(&answer, 0, sizeof answer);
    if (ioctl(notifier->fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
        return NOTIFIER_NONE; /* the caller was killed in between */
    }
    notifier->answered++;
    bool listens = call.in.data.nr == SYS_listen;
    answer.out.id = call.in.id;
    if (listens) {
        answer.out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        notifier->listen_calls++;
    } else {
        answer.out.error = -EPERM;
        notifier->refused_calls++;
        notifier->refused_last = call.in.data.nr;
    }
    /* Fails when the caller is gone, or was frozen first and calls anew after the thaw. */
    ioctl(notifier->fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    return listens ? NOTIFIER_LISTEN : NOTIFIER_REFUSED;
}
