/**
 * The load of our own scenarios, over as many SMTP sessions as are asked for: as fast as replies come, or at an even
 * rate whether or not earlier messages were answered (then a message waits from the moment it is due, so that a server
 * that stalls cannot hide it). STARTTLS with session resumption, AUTH PLAIN, kept connections or one a message.
 */
import { nowMs } from './child.ts'
import { Conversation, type ConversationOptions } from './conversation.ts'

export interface LoadOptions extends ConversationOptions {
  readonly sessions: number
  /** Messages are numbered from here. */
  readonly firstMessage: number
  readonly messages: number
  /** Null: as fast as replies come. */
  readonly ratePerSecond: number | null
  /** Refusals and lost connections are counted and gone on from; else the first one ends the run. */
  readonly isTolerant: boolean
}

export interface LoadOutcome {
  readonly startedMs: number
  readonly endedMs: number
  readonly accepted: number
  readonly refused: number
  /** The content was sent to its end, and no reply was read. */
  readonly unknown: number
  readonly handshakes: number
  /** Handshakes that took up an earlier session. */
  readonly resumed: number
  /** By message, from 0: when it was due and when its 250 was read; 0 without one. */
  readonly dueMs: Float64Array
  readonly acceptedMs: Float64Array
}

/** How far a run is. */
export interface LoadProgress {
  readonly started: number
  readonly accepted: number
  readonly refused: number
  readonly unknown: number
}

/** One run at a time. */
export class Generator {
  #progress = { started: 0, accepted: 0, refused: 0, unknown: 0 }
  #stopAt = Number.POSITIVE_INFINITY

  progress(): LoadProgress {
    return { ...this.#progress }
  }

  /** Starts no further message. */
  stop(): void {
    this.#stopAt = 0
  }

  async run(options: LoadOptions): Promise<LoadOutcome> {
    const { messages, ratePerSecond, firstMessage } = options
    const dueMs = new Float64Array(messages)
    const acceptedMs = new Float64Array(messages)
    const progress = { started: 0, accepted: 0, refused: 0, unknown: 0 }
    this.#progress = progress
    this.#stopAt = messages
    const tls = { handshakes: 0, resumed: 0 }
    const idle: Conversation[] = []
    const all: Conversation[] = []
    const startedMs = nowMs()
    let endedMs = startedMs
    await new Promise<void>((resolve, reject) => {
      const isOver = (): boolean =>
        progress.started >= Math.min(messages, this.#stopAt) &&
        progress.accepted + progress.refused + progress.unknown >= progress.started
      const end = (error?: Error): void => {
        clearInterval(timer)
        for (const one of all) one.close()
        if (error === undefined) resolve()
        else reject(error)
      }
      const dispatch = (): void => {
        const now = nowMs()
        const due = ratePerSecond === null ? messages : Math.floor(((now - startedMs) * ratePerSecond) / 1000)
        const until = Math.min(messages, due, this.#stopAt)
        while (progress.started < until) {
          const conversation = idle.pop()
          if (conversation === undefined) return
          const index = progress.started++
          dueMs[index] = ratePerSecond === null ? now : startedMs + (index * 1000) / ratePerSecond
          conversation.send(firstMessage + index)
        }
        if (isOver()) end()
      }
      const timer = setInterval(dispatch, ratePerSecond === null ? 100 : 1)
      const count = (kind: 'accepted' | 'refused' | 'unknown', number: number, why: string): void => {
        endedMs = nowMs()
        progress[kind]++
        if (kind === 'accepted') acceptedMs[number - firstMessage] = endedMs
        else if (!options.isTolerant) end(new Error(`message ${number}: ${why}`))
        if (isOver()) end()
      }
      for (let index = 0; index < options.sessions; index++) {
        const conversation: Conversation = new Conversation(options, {
          onIdle: () => {
            idle.push(conversation)
            dispatch()
          },
          onResult: count,
          onFailure: error => {
            if (!options.isTolerant) end(error)
          },
          onSecure: isResumed => {
            tls.handshakes++
            if (isResumed) tls.resumed++
          },
        })
        all.push(conversation)
      }
      for (const one of all) one.open()
    })
    const { accepted, refused, unknown } = progress
    return { startedMs, endedMs, accepted, refused, unknown, ...tls, dueMs, acceptedMs }
  }
}
