/* The machine, as its first process sees it. */
#ifndef URUNIT_GUEST_H
#define URUNIT_GUEST_H

/*
 * Ends the machine, by a restart: it needs no device, and most monitors take it as the end. One that would start the
 * machine again has URUNIT_END=poweroff on the kernel's command line, which the kernel hands on as a variable. Returns
 * only where this is not the first process of a machine.
 */
void guest_end(void);

/* The same for who cannot go on. */
_Noreturn void guest_restart(void);

/* With a sentence in the kernel's log: there is nobody else to tell. */
_Noreturn void guest_give_up(const char *sentence);

/* As a host with 64 bits has it by its distribution: as many ids, as wide in what ps(1) prints. */
void guest_allow_many_processes(void);

#endif
