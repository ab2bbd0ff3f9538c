/* The host's agent in the guest (docs/guest-protocol.md): what urunit is as the init of the initramfs. */
#ifndef URUNIT_AGENT_H
#define URUNIT_AGENT_H

/* As the first process of the machine. Its end is the machine's. */
_Noreturn void agent_run(void);

#endif
