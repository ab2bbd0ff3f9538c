/** What is wrong with an instruction, as a sentence; where the instruction is, the caller knows. */
export class InstructionError extends Error {}
