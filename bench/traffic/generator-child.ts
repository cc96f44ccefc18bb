/** The load generator as a child process; see generator.ts and child.ts. */
import { answerCalls } from './child.ts'
import { Generator, type LoadOptions, type LoadOutcome, type LoadProgress } from './generator.ts'

const generator = new Generator()

const calls = {
  run: async (options: LoadOptions): Promise<LoadOutcome> => await generator.run(options),
  progress: (): LoadProgress => generator.progress(),
  stop: (): void => generator.stop(),
}

export type GeneratorCalls = typeof calls

answerCalls(calls)
