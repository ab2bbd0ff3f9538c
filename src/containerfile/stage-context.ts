import type { ConfigDocument } from "../build/image.ts";
import type { Position } from "../bunnyfile/position.ts";
import type { BuildPlan, PlannedStage } from "./plan.ts";

/** What is known where an instruction stands, and what it is planned with. */
export interface StageContext {
  plan: BuildPlan;
  planned: PlannedStage;
  /** Where the instruction stands. */
  at: Position;
  /** So far; instructions change it. */
  config: ConfigDocument;
  /** ENV and ARG so far; instructions change it. */
  environment: Map<string, string>;
  /** ARG so far; instructions change it. */
  args: Map<string, string | undefined>;
  /** Expands variables, takes quotes and escapes away. */
  expand(word: string): string;
  /** Expands variables in what is no word: quotes are letters. */
  expandText(text: string): string;
  /** As {@link expand}, split at spaces that are not quoted. */
  expandWords(word: string): string[];
  /** For progress: the instruction with variables expanded where it can be. */
  title(): string;
}

const DEFAULT_SHELL = ["/bin/sh", "-c"];

/** SHELL of a stage, or what is meant without one. */
export function shellOf({ config }: StageContext): string[] {
  const shell = config.config?.["Shell"];
  return isTexts(shell) && shell.length > 0 ? shell : DEFAULT_SHELL;
}

export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}
