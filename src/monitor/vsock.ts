/**
 * The agent's channel of monitors with a "hybrid" vsock, Firecracker's and Cloud Hypervisor's: where the guest connects to
 * a port of the host's, the monitor connects to a unix socket that has the port's number behind its own socket's path
 * (Firecracker, docs/vsock.md, "Guest-Initiated Connections").
 */

/** The guest's address; 0 to 2 are the hypervisor's, the loopback's and the host's. */
export const GUEST_CID = 3;

/** The port of the host's on which the agent is awaited. */
export const AGENT_PORT_NUMBER = 1024;

/** Where the agent arrives. */
export function agentSocketOf(vsockPath: string): string {
  return `${vsockPath}_${AGENT_PORT_NUMBER}`;
}
