// The receiving side of a crash campaign: takes, defers or refuses by the recipient's name, and writes down what came.
//
// `later…` is deferred at RCPT the first time, `again…` after the content the first time, `gone…` is refused for good, all
// others are taken. Contents are checked on arrival and not kept: a campaign brings gigabytes.

import { type Received, Receiver } from '../scenario/support/receiver.ts'
import type { Ledger } from './load.ts'
import { recognise } from './message.ts'

/** One message that was taken (its recipients that were not refused). */
export interface Arrival {
  readonly id: string
  readonly to: readonly string[]
  /** Number of the session that brought it. */
  readonly session: number
}

export class CrashReceiver implements AsyncDisposable {
  readonly #receiver: Receiver
  /** In the order in which they were taken. */
  readonly arrivals: Arrival[]
  /** What came and must never have come: contents that differ from what was sent. */
  readonly damaged: string[]

  private constructor(receiver: Receiver, arrivals: Arrival[], damaged: string[]) {
    this.#receiver = receiver
    this.arrivals = arrivals
    this.damaged = damaged
  }

  static async start(ledger: Ledger): Promise<CrashReceiver> {
    const arrivals: Arrival[] = []
    const damaged: string[] = []
    const deferred = new Set<string>()
    const isFirst = (path: string): boolean => !deferred.has(path) && deferred.add(path) !== undefined
    const receiver: Receiver = await Receiver.start({
      rcpt: path => {
        if (path.startsWith('gone')) return '550 5.1.1 nobody of that name'
        return path.startsWith('later') && isFirst(path) ? '451 4.2.1 later' : '250 2.1.5 ok'
      },
      endOfData: message => {
        receiver.messages.length = 0
        receiver.commands.length = 0
        if (message.to.some(path => path.startsWith('again') && isFirst(path))) return '451 4.3.0 once more'
        note(message, ledger, arrivals, damaged)
        return '250 2.0.0 taken'
      },
    })
    return new CrashReceiver(receiver, arrivals, damaged)
  }

  get port(): number {
    return this.#receiver.port
  }

  /** Sessions so far. */
  get sessions(): number {
    return this.#receiver.sessions
  }

  get route(): string {
    return this.#receiver.route
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiver[Symbol.asyncDispose]()
  }
}

function note(
  { content, to, session }: Received,
  ledger: Ledger,
  arrivals: Arrival[],
  damaged: string[],
): void {
  const found = recognise(content, ledger.sent)
  if (typeof found === 'string') return void damaged.push(found)
  damaged.push(...ledger.prefixes.note(found))
  arrivals.push({ id: found.id, to, session })
}
