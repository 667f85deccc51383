/* Tells a service manager how we are: the protocol of sd_notify(3). SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

/* Sends lines like "READY=1" to $NOTIFY_SOCKET; nothing happens without one. */
void notify_send(const char *lines);

#endif
