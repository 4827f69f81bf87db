/* Leak checks for processes, inside the process that starts them, for any language that calls C: libpidleak.so.1.
 *
 *   struct pidleak_session *session;
 *   struct pidleak_mark *mark;
 *   pidleak_open(NULL, &session, NULL);
 *   pidleak_set_mark(session, "the pool", &mark, NULL);
 *   run_the_pool();
 *   pidleak_check(mark, &verdict, NULL, &text, NULL);
 *   if (verdict == PIDLEAK_LEAKED)
 *     fputs(text, stderr);
 *
 * pidleak(3) has a complete program. What counts, and what the kernel does not tell, is said in <pidleak/guard.hpp>.
 *
 * Threads: any function may be called from any thread at any time, but for the one that releases what another uses. A
 * mark is of the thread that sets it. Forks: a mark, and a session, is of the process that made it; in a child every
 * function but those that release refuses it (PIDLEAK_FORKED).
 *
 * Errors: functions that can fail return one of enum pidleak_error. `error`, where it is not NULL, is set to the text
 * of a failure, for pidleak_free(), and to NULL otherwise. Nothing else is changed by a function that fails. errno has
 * no meaning. */
#ifndef PIDLEAK_H
#define PIDLEAK_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum pidleak_error {
  PIDLEAK_OK = 0,
  PIDLEAK_BAD_ARGUMENT = 1, /* the text says which */
  PIDLEAK_SYSTEM = 2,       /* the kernel refused something: the text has the call and its error */
  PIDLEAK_UNSUPPORTED = 3,  /* the kernel, or the /proc that is mounted here, can't tell of children */
  PIDLEAK_FORKED = 4,       /* it was made in the process that this one was forked from */
  PIDLEAK_NO_MEMORY = 5,
  PIDLEAK_STILL_THERE = 6, /* pidleak_end(): at least one process could not be ended */
  PIDLEAK_INTERNAL = 7     /* a mistake of this library's */
};

enum pidleak_verdict {
  PIDLEAK_CLEAN = 0,
  /* Something has ended that is an orphan of no interest, or a child that was not waited for: the kernel does not say.
   * pidleak_note_child() does. */
  PIDLEAK_DOUBTFUL = 1,
  PIDLEAK_LEAKED = 2 /* something remains, or processes come and go faster than they can be counted */
};

/* A program that serves others for as long as this process lives, and so is no leak: a resource tracker, a fork server.
 * What such a program forks is none, and counts also where the program was there before the mark. */
struct pidleak_helper {
  const char *command_line; /* as fnmatch(3) takes it, for the arguments joined by spaces */
  const char *role;         /* told with it */
};

struct pidleak_options {
  size_t size;              /* sizeof(struct pidleak_options): later versions have more members */
  int grace_ms;             /* how long processes may take to leave, when it can't be known that they never will */
  int adopt_orphans;        /* 0: this process does not become a subreaper (prctl(2)); daemons get out of sight */
  int strict;               /* 1: doubtful is leaked */
  int reap;                 /* 0: pidleak_end() leaves ended children to this process, whose runtime waits for each of
                             * its own (Node does): it would miss them */
  const char *suppressions; /* rules for what may remain, JSON as of `pidleak guard --suppressions`; NULL: none */
  const struct pidleak_helper *helpers; /* only read by pidleak_open() */
  size_t helper_count;
};
/* To begin with. */
#define PIDLEAK_OPTIONS {sizeof(struct pidleak_options), 2000, 1, 0, 1, NULL, NULL, 0}

struct pidleak_session; /* options, and for as long as it is open this process adopts orphans */
struct pidleak_mark;    /* a point from which new processes are counted */

/* `MAJOR.MINOR.PATCH`; not to be freed. */
const char *pidleak_version(void);

/* `options`: NULL for PIDLEAK_OPTIONS. */
int pidleak_open(const struct pidleak_options *options, struct pidleak_session **session, char **error);
/* Marks stay valid. With the last session and the last mark this process ceases to be a subreaper, unless it was one
 * before. NULL is ignored. */
void pidleak_close(struct pidleak_session *session);

/* `name`: of a test or a step, for reports; NULL: this process's command line. */
int pidleak_set_mark(struct pidleak_session *session, const char *name, struct pidleak_mark **mark, char **error);
/* Ends nothing. NULL is ignored. */
void pidleak_drop_mark(struct pidleak_mark *mark);

/* What has come since the mark and is there belongs to it, with all that comes below it: no other mark counts it for as
 * long as this one is there. From then on this one counts nothing else. For what several tests have in common. `pid`:
 * that process, if it is there, which then belongs to it as well; 0: all. */
int pidleak_keep(struct pidleak_mark *mark, pid_t pid, char **error);

/* This process has started that child, by vfork, posix_spawn or clone, and has not waited for it yet. fork(3) need not
 * be told. */
int pidleak_note_child(pid_t pid, char **error);

/* Waits until all has left that has come since the mark, or it is known that what is left never will, or the grace is
 * over. `verdict`: one of enum pidleak_verdict. `json`: the leak report, as `pidleak guard --report` writes it. `text`:
 * the same for people, line by line. Both are for pidleak_free(). Each of the three may be NULL. */
int pidleak_check(struct pidleak_mark *mark, int *verdict, char **json, char **text, char **error);

/* Ends what counts, and what that starts meanwhile, and reaps it: SIGTERM (and SIGCONT), after `grace_ms` SIGKILL, by
 * pidfds. Spares what may be another mark's. */
int pidleak_end(struct pidleak_mark *mark, int grace_ms, char **error);

/* Of texts. NULL is ignored. */
void pidleak_free(char *text);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
