/* A program's signals as it expects them. */
#ifndef URUNIT_SIGNALS_H
#define URUNIT_SIGNALS_H

/* In a child, before its program: each signal does what it does by default, and none is blocked. */
void reset_signals(void);

#endif
