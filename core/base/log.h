/* SPDX-License-Identifier: Apache-2.0 */
/* What is worth a word and is no error: goes to whoever asked for it (memkv_set_log()), and nowhere else. */
#ifndef MEMKV_CORE_LOG_H
#define MEMKV_CORE_LOG_H

/* log_say() - hand a sentence, without a full stop at its end, to the program; never from the get or put path. */
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
