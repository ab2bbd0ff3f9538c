/** Where a build is. */
export interface Progress {
  phase: "waiting" | "configuring" | "unpacking" | "compiling";
  elapsedSeconds: number;
  /** Of the whole build, from its start; a guess that gets better. */
  expectedSeconds: number;
  /** Files that the compiler, assembler and linker have made. */
  objects: number;
  expectedObjects: number;
}

/** How long a build took, to guess the next. */
export interface LastBuild {
  objects: number;
  seconds: number;
}

/** Without a build before: as measured on two processors of 2023. */
const USUAL_OBJECTS = 2090;
const USUAL_PROCESSOR_SECONDS = 760;

/** What is guessed before the first file is made. */
export function firstGuess(jobs: number, last: LastBuild | undefined): LastBuild {
  return last ?? { objects: USUAL_OBJECTS, seconds: Math.ceil(30 + USUAL_PROCESSOR_SECONDS / jobs) };
}

/** Whether a line of make's output says that a file was made (`  CC      kernel/fork.o`). */
export function isObjectLine(line: string): boolean {
  return /^ {2}(?:CC|AS|LD|AR|HOSTCC|HOSTLD)\s/.test(line);
}

/**
 * The whole build's duration: the guess from before at the beginning, the speed so far towards the end.
 *
 * @param compilingSince seconds from the start until the compiler's first file
 */
export function expectedSeconds(
  guess: LastBuild,
  elapsed: number,
  compilingSince: number,
  objects: number,
): number {
  if (objects === 0) return Math.max(guess.seconds, elapsed);
  const share = Math.min(objects / guess.objects, 1);
  const bySpeed = compilingSince + (elapsed - compilingSince) / share;
  return Math.round(Math.max((1 - share) * guess.seconds + share * bySpeed, elapsed));
}

/** A line for people. */
export function progressLine(progress: Progress): string {
  const time = `${minutes(progress.elapsedSeconds)} of about ${minutes(progress.expectedSeconds)}`;
  if (progress.phase === "waiting")
    return `waiting for another build of this kernel, ${minutes(progress.elapsedSeconds)}`;
  if (progress.phase !== "compiling") return `${progress.phase}, ${time}`;
  return `compiling, ${progress.objects} of about ${progress.expectedObjects} files, ${time}`;
}

/** `6:05` */
export function minutes(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
