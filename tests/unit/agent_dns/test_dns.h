/* The forwarder's tests over real sockets on the loopback. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_DNS_H
#define TEST_DNS_H

int run_forward_tests(void);

#endif
