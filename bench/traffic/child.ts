/**
 * Child processes of the bench that answer calls: the load generator and the sink run in processes of their own, so
 * that neither waits for the other or for the bench, and their memory is not the server's. Both sides of the line stand
 * here. Monotonic times (`nowMs`) are the same clock in all processes of a machine.
 */
import { type ChildProcess, fork } from 'node:child_process'

/** What a child can be asked: async functions by name, arguments and answers as structured clones. */
export type Calls = Readonly<Record<string, (...args: never[]) => unknown>>

interface Call {
  readonly id: number
  readonly name: string
  readonly args: readonly unknown[]
}

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** Milliseconds on the machine's monotonic clock. */
export function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

/** In the child: answers calls until the parent lets go of the line, then ends. */
export function answerCalls(calls: Calls): void {
  process.on('message', (call: Call) => {
    const answer = async (): Promise<Answer> => {
      try {
        const made = calls[call.name] as ((...args: unknown[]) => unknown) | undefined
        if (made === undefined) throw new Error(`there is no call ${call.name}`)
        return { id: call.id, value: await made(...call.args) }
      } catch (error) {
        return { id: call.id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
      }
    }
    void answer().then(one => process.send?.(one))
  })
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
}

type Answered<F> = F extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never

/** In the parent: a running child. Disposing ends it. */
export class Child<C extends Calls> implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #ended: Promise<void>
  #lastId = 0

  constructor(file: URL, args: readonly string[] = []) {
    this.#child = fork(file, args, { serialization: 'advanced', execArgv: ['--max-semi-space-size=32'] })
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.error !== undefined) waiting?.reject(new Error(answer.error))
      else waiting?.resolve(answer.value)
    })
    this.#ended = new Promise(resolve => {
      this.#child.once('exit', code => {
        for (const one of this.#waiting.values()) one.reject(new Error(`${file.pathname} ended (${code})`))
        this.#waiting.clear()
        resolve()
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  call<N extends keyof C & string>(name: N, ...args: Parameters<C[N]>): ReturnType<Answered<C[N]>> {
    const id = ++this.#lastId
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    this.#child.send({ id, name, args } satisfies Call)
    return waiting.promise as ReturnType<Answered<C[N]>>
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}
