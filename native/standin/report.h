/* The one line for `urunc start` that says whether the application runs. No call waits. */
#ifndef URUNC_REPORT_H
#define URUNC_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* Nobody may be listening; then the other calls do nothing. */
void report_open(const char *path);

/* The connection stays open after report_started, as long as somebody is at its other end. */
void report_keep(void);

/* To be polled for POLLHUP; -1: there is no connection, or none any more. */
int report_connection(void);
void report_hang_up(void);

/* Each says its line and hangs up, but for report_keep. */
void report_started(uint32_t process);

/* False: nobody has heard it. */
bool report_failed(int status, const char *sentence);

#endif
