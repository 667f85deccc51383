/* One law and one setting over every kind of load, app and start. SPDX-License-Identifier:
 * Apache-2.0
 */
#ifndef PAAS_SIM_MATRIX_H
#define PAAS_SIM_MATRIX_H

#include "autoscale.h"

/* Prints a row a cell, with pass or what was missed, then the sums. `settings` gives what the
 * cells do not vary. 0; 1 when a cell missed; -1 with *err. */
int matrix_print(const struct sim_settings *settings, bool json, struct err *err);

#endif
