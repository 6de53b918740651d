/**
 * Tells what an engine is about to do, so that whoever outlives it knows what it died of: a program that a plugin cannot
 * stand ends the process by a signal.
 */
import type { Engine, Executable } from "./engine.ts";

/** Told what the engine is doing, in words such as "compiling the program amd_step". */
export type EngineListener = (doing: string) => void;

/**
 * Makes an engine tell, before it compiles a program and before each run of one.
 *
 * @returns The same engine.
 */
export function watchEngine<E extends Engine>(engine: E, onEngine: EngineListener = () => {}): E {
  const compile = engine.compile.bind(engine);
  engine.compile = async (program, ...options) => {
    onEngine(`compiling the program ${program.name}`);
    return watchRuns(await compile(program, ...options), onEngine);
  };
  return engine;
}

function watchRuns(executable: Executable, onEngine: EngineListener): Executable {
  const run = executable.run.bind(executable);
  // Runs are queued: what the engine does is at most one run behind what was told last.
  executable.run = (inputs) => {
    onEngine(`running the program ${executable.program.name}`);
    return run(inputs);
  };
  return executable;
}
