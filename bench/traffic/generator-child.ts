/** The load generator as a child process; see generator.ts and child.ts. */
import { answerCalls } from './child.ts'
import { type Conversation, type ConversationOptions, openIdle } from './conversation.ts'
import { Generator, type LoadOptions, type LoadOutcome, type LoadProgress } from './generator.ts'

const generator = new Generator()
let idle: Conversation[] = []

const calls = {
  run: async (options: LoadOptions): Promise<LoadOutcome> => await generator.run(options),
  progress: (): LoadProgress => generator.progress(),
  stop: (): void => generator.stop(),
  openIdle: async (options: ConversationOptions, count: number): Promise<void> => {
    idle = [...idle, ...(await openIdle(options, count))]
  },
  closeIdle: (): void => {
    for (const one of idle) one.close()
    idle = []
  },
}

export type GeneratorCalls = typeof calls

answerCalls(calls)
