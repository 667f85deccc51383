/* A box, what is to run in it, and questions about it. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <stdbool.h>

#include "box.h"
#include "start_block.h"

enum { WAIT_MS = 5000 /* far beyond anything that is asserted about time */ };

struct scene {
    struct box box;
    struct start_block block;
    struct box_options options;
    const char *argv[8];
};

/* For cmocka: a scene in *state, and its end. */
int scene_set_up(void **state);
int scene_tear_down(void **state);
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
/* Says so and is true where the tests can't run. */
bool scene_skip(void);

/* Makes the start block of argv and the block as it is: options.start_fd, which the caller closes.
 */
void scene_make_block(struct scene *scene);
/* Starts paas-init with init_app and these arguments, up to a NULL. */
void scene_start(struct scene *scene, const char *command, ...);
/* Asks for the state until the app has printed something: now its handlers are in place. */
void scene_await_output(int fd, struct init_state *s);
/* Waits for the end and returns the record. */
struct init_exit scene_finish(struct scene *scene);
/* All text of one stream, lines ended by '\n'; to be freed. */
char *scene_log(struct scene *scene, int stream);

/* For box_await(). */
bool scene_running(const struct init_state *s);
bool scene_ended(const struct init_state *s);
bool scene_any(const struct init_state *s);
bool scene_listening(const struct init_state *s);

void assert_contains(const char *text, const char *part);

#endif
