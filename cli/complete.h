/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion of command lines, for any shell: the shell's script hands over the words, and shows what comes back.  So
 * the scripts (cli/completion/) know nothing about verbs or options, and cannot drift from them.
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

/**
 * complete_print() - print what may stand in place of the last word
 * @argc, @argv: the words after "memkv", the last one possibly empty and unfinished.
 *
 * A candidate a line, a tab and its meaning behind it; then one line that tells what else fits: ":files", ":directories"
 * or ":nothing".  Candidates begin with what was typed.
 *
 * Return: EXIT_DONE.
 */
int complete_print(int argc, char **argv);

#endif
