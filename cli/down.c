/* `paas down`: works with the supervisor alive or dead. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <paas/buf.h>

#include "platform.h"
#include "process.h"
#include "run_state.h"
#include "teardown.h"
#include "up.h"

enum { SUPERVISOR_DOWN_MS = 45000 /* all graces of a teardown, one after the other */ };

static void end_supervisor(const struct run_state *state) {
    struct process supervisor;
    if (process_adopt(&supervisor, state->supervisor.pid, state->supervisor.start, NULL) == 0) {
        process_end(&supervisor, SUPERVISOR_DOWN_MS);
        process_close(&supervisor);
    }
}

/* What the supervisor, if there was one, did not finish. */
static int finish_down(const struct places *places, struct err *err) {
    struct run_state state;
    struct platform platform;
    if (run_state_read(&state, places->run, NULL) < 0) {
        return 0;
    }
    if (platform_reclaim(&platform, places->data, state.platform, err) < 0) {
        return -1;
    }
    return teardown(places, &platform, &state, err);
}

int down_run(struct cli *cli, struct err *err) {
    struct places places;
    struct run_state state;
    if (up_need_root(err) < 0 ||
        places_find(&places, options_value(&cli->options, "data"), err) < 0) {
        return -1;
    }
    bool ran = run_state_read(&state, places.run, NULL) == 0;
    if (ran) {
        end_supervisor(&state);
        if (finish_down(&places, err) < 0) {
            return -1;
        }
    }
    if (cli->output == OUTPUT_JSON) {
        struct buf text;
        buf_init(&text, PLACES_SIZE * 8);
        buf_puts(&text, "{\"data\":");
        buf_json_string(&text, places.data, strlen(places.data));
        buf_printf(&text, ",\"ran\":%s}", ran ? "true" : "false");
        puts(buf_str(&text));
        buf_free(&text);
    } else if (ran) {
        printf("paas is down; its data stays in %s\n", places.data);
    } else {
        printf("no platform runs for %s\n", places.data);
    }
    return 0;
}
