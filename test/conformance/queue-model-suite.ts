// Random histories against a simple model: whatever happens, no recipient is lost and none is owned twice.
//
// The model knows of each open recipient whether it is scheduled (and due when), leased or held. After each step the
// store's lease answers must match it; at the end its listing too.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  accepted,
  batch,
  newMessage,
  recipient,
  type StartStore,
  settlement,
  startMs,
  TestStore,
} from './support.ts'

interface Entry {
  readonly messageKey: number
  readonly message: ReturnType<typeof newMessage>
  readonly number: number
  state: 'scheduled' | 'leased' | 'held'
  dueAtMs: number
}

type Step =
  | {
      readonly do: 'accept'
      readonly recipients: number
      readonly start: 'leased' | 'scheduled'
      readonly account: number
    }
  | { readonly do: 'lease'; readonly most: number }
  | { readonly do: 'settle'; readonly pick: number; readonly kind: 'delivered' | 'deferred' | 'bounced' }
  | { readonly do: 'giveBack'; readonly pick: number }
  | { readonly do: 'act'; readonly action: 'hold' | 'release' | 'expire' | 'retry'; readonly account: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'restart' }

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('accept' as const),
      recipients: fc.integer({ min: 1, max: 4 }),
      start: fc.constantFrom('leased' as const, 'scheduled' as const),
      account: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), most: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      pick: fc.nat(),
      kind: fc.constantFrom('delivered' as const, 'deferred' as const, 'bounced' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('giveBack' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('act' as const),
      action: fc.constantFrom('hold' as const, 'release' as const, 'expire' as const, 'retry' as const),
      account: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 50_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
)

/** A store and what it should hold. */
class History {
  readonly #store: TestStore
  readonly #entries = new Map<string, Entry>()
  #nowMs = startMs

  constructor(store: TestStore) {
    this.#store = store
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'accept':
        return this.#accept(step.recipients, step.start, step.account)
      case 'lease':
        return this.#lease(step.most)
      case 'settle':
        return this.#settle(step.pick, step.kind)
      case 'giveBack':
        return this.#giveBack(step.pick)
      case 'act':
        return this.#act(step.action, step.account)
      case 'wait':
        this.#nowMs += step.ms
        return
      case 'restart':
        await this.#store.restart(this.#nowMs)
        for (const entry of this.#entries.values())
          if (entry.state === 'leased') Object.assign(entry, { state: 'scheduled', dueAtMs: this.#nowMs })
    }
  }

  /** The listing shows every open recipient in its state, and nothing else. */
  async check(): Promise<void> {
    const { rows } = await this.#store.line.control.list({}, '', 10_000)
    const found = rows.map(row => `${row.messageId.toString('hex')}.${row.recipientNumber} ${row.state}`)
    const expected = [...this.#entries].map(([id, entry]) => `${id} ${entry.state}`)
    assert.deepEqual(found.toSorted(), expected.toSorted())
    const messages = await this.#store.line.control.messages({}, '', 10_000)
    assert.equal(messages.rows.length, new Set([...this.#entries.values()].map(one => one.messageKey)).size)
  }

  async #accept(count: number, startState: 'leased' | 'scheduled', accountKey: number): Promise<void> {
    const recipients = Array.from({ length: count }, (_, number) => recipient(number))
    const message = newMessage({ accountKey, recipients, startState, firstAttemptAtMs: this.#nowMs })
    const messageKey = await accepted(this.#store.line, message)
    for (const { number } of recipients)
      this.#entries.set(`${message.id.toString('hex')}.${number}`, {
        messageKey,
        message,
        number,
        state: startState,
        dueAtMs: this.#nowMs,
      })
  }

  async #lease(recipientsMax: number): Promise<void> {
    const due = [...this.#entries.values()].filter(
      one => one.state === 'scheduled' && one.dueAtMs <= this.#nowMs,
    )
    const leased = await this.#store.line.queue.lease({ recipientsMax, nowMs: this.#nowMs })
    const ids = leased.flatMap(one => one.recipients.map(each => `${one.id.toString('hex')}.${each.number}`))
    assert.equal(ids.length, Math.min(recipientsMax, due.length))
    for (const id of ids) {
      const entry = this.#entries.get(id)
      assert.ok(entry?.state === 'scheduled' && entry.dueAtMs <= this.#nowMs, `${id} was not to be leased`)
      entry.state = 'leased'
    }
  }

  async #settle(pick: number, kind: 'delivered' | 'deferred' | 'bounced'): Promise<void> {
    const chosen = this.#leased(pick)
    if (chosen === null) return
    const [id, entry] = chosen
    const nextAttemptAtMs = kind === 'deferred' ? this.#nowMs + 20_000 : 0
    const one = settlement(
      entry.message,
      entry.messageKey,
      entry.number,
      entry.message.recipients.length,
      kind,
      { nextAttemptAtMs },
    )
    await this.#store.line.queue.settle(batch({ settlements: [one] }))
    if (kind === 'deferred') Object.assign(entry, { state: 'scheduled', dueAtMs: nextAttemptAtMs })
    else this.#entries.delete(id)
  }

  async #giveBack(pick: number): Promise<void> {
    const chosen = this.#leased(pick)
    if (chosen === null) return
    const { messageKey, number } = chosen[1]
    const nextAttemptAtMs = this.#nowMs + 1000
    await this.#store.line.queue.settle(
      batch({
        giveBacks: [{ messageKey, recipientNumber: number, nextAttemptAtMs, reason: 'ready-queue-full' }],
      }),
    )
    Object.assign(chosen[1], { state: 'scheduled', dueAtMs: nextAttemptAtMs })
  }

  async #act(kind: 'hold' | 'release' | 'expire' | 'retry', accountKey: number): Promise<void> {
    const action = kind === 'hold' ? ({ kind, note: '' } as const) : ({ kind } as const)
    for (let cursor: string | null = ''; cursor !== null; ) {
      const step: { cursor: string | null } = await this.#store.line.control.act(
        { accountKey },
        action,
        this.#nowMs,
        3,
        cursor,
      )
      cursor = step.cursor
    }
    for (const [id, entry] of this.#entries) {
      if (entry.message.accountKey !== accountKey || entry.state === 'leased') continue
      if (kind === 'expire') this.#entries.delete(id)
      else if (kind === 'hold') entry.state = 'held'
      else if (kind === 'release' && entry.state === 'held')
        Object.assign(entry, { state: 'scheduled', dueAtMs: this.#nowMs })
      else if (kind === 'retry' && entry.state === 'scheduled')
        entry.dueAtMs = Math.min(entry.dueAtMs, this.#nowMs)
    }
  }

  #leased(pick: number): [string, Entry] | null {
    const leased = [...this.#entries].filter(([, entry]) => entry.state === 'leased')
    return leased[pick % Math.max(1, leased.length)] ?? null
  }
}

/** Registers the property under the implementation's name. */
export function queueModelSuite(name: string, start: StartStore): void {
  suite(`queue histories, ${name}`, () => {
    test('in no history is a recipient lost, owned twice or leased before its time', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40 }), async history => {
          await using opened = await TestStore.open(start)
          const model = new History(opened)
          for (const step of history) await model.take(step)
          await model.check()
        }),
        { numRuns: 12 },
      )
    })
  })
}
