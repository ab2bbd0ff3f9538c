/* The rate of the processor's time stamp counter, for guests that are told it instead of measuring it. */
#ifndef URUNC_TSC_H
#define URUNC_TSC_H

/* Prints it in kHz; the exit status. */
int tsc_measure(void);

#endif
