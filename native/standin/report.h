/* The one line for `urunc start` that says whether the application runs. No call waits. */
#ifndef URUNC_REPORT_H
#define URUNC_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* Nobody may be listening; then the other calls do nothing. */
void report_open(const char *path);

/* Each says its line and hangs up. */
void report_started(uint32_t process);

/* False: nobody has heard it. */
bool report_failed(int status, const char *sentence);

#endif
