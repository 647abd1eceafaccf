/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small full pool, copied afresh for every round, in which one process is stopped or killed before a chosen store
 * while another one does something.  Block N has the bytes of number N; every third belongs to session "third".
 */
#ifndef MEMKV_TESTS_PROCESS_SCENE_H
#define MEMKV_TESTS_PROCESS_SCENE_H

#include "faults.h"

enum { SCENE_BLOCK = 5000, SCENE_FIRST = 1000, SCENE_BLOCKS = 1000, SCENE_OTHERS = 100000 };
#define SCENE_SESSION "third"
extern const uint32_t scene_flags;

/* scene_make() - the template; @hot_of: every so many blocks are used again, 0: none */
void scene_make(const char *name, uint64_t hot_of);
/* scene_reset() - a fresh copy */
void scene_reset(void);
struct memkv_pool *scene_attach(uint32_t flags);

int scene_put(struct memkv_pool *pool, uint64_t number);
/* scene_get() - exact, or a miss; anything else ends the test */
bool scene_get(struct memkv_pool *pool, uint64_t number);
bool scene_in_session(uint64_t number);
/* scene_flood() - put @count blocks of numbers that were never used before; no room is an answer, and counted */
uint64_t scene_flood(struct memkv_pool *pool, uint64_t count);
/* scene_room() - blocks that the pool holds */
uint64_t scene_room(struct memkv_pool *pool);

/*
 * scene_start() - @act in a child that is stopped before its @stop_at-th store, and killed before its @kill_at-th
 * @act: what it returns 0 for has been acknowledged; the child is killed at its end in any case.
 *
 * Return: the child, stopped; 0: it came to its end before (and was acknowledged).
 */
pid_t scene_start(struct store_watch *watch, uint64_t stop_at, uint64_t kill_at, int (*act)(struct memkv_pool *pool));
/*
 * scene_rounds() - a round for each store to be stopped before (every @every-th), and for each of those one for every @step-th
 * store behind it to be killed before, up to @deaths
 * @round: stop_at, kill_at; false when there is no such store any more.
 */
void scene_rounds(bool (*round)(uint64_t stop_at, uint64_t kill_at), uint64_t every, uint64_t deaths, uint64_t step);
/* scene_go_on() - until it is killed */
void scene_go_on(pid_t child);

#endif
