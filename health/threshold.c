/* Results of probes to a verdict. SPDX-License-Identifier: Apache-2.0 */
#include <paas/health.h>

enum health_verdict health_judge(
    const struct health_rule *rule, struct health_count *count, bool good) {
    if (good) {
        count->good_in_row++;
        count->bad_in_row = 0;
        if (count->verdict == HEALTH_UNKNOWN || count->good_in_row >= rule->healthy_after) {
            count->verdict = HEALTH_GOOD;
        }
    } else {
        count->bad_in_row++;
        count->good_in_row = 0;
        if (count->bad_in_row >= rule->unhealthy_after) {
            count->verdict = HEALTH_BAD;
        }
    }
    return count->verdict;
}
