// What every store must do with large contents: they arrive in pieces, count only when accepted, and go when finished.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { NewContent } from '../../src/queue/index.ts'
import type { ThreadStore } from '../../src/store/index.ts'
import { accepted, batch, newMessage, type StartStore, settlement, startMs, TestStore } from './support.ts'

async function spooled(store: ThreadStore, bytes: Buffer, chunkBytes: number): Promise<NewContent> {
  const content = store.spool.begin()
  for (let at = 0; at < bytes.length; at += chunkBytes)
    await content.write(bytes.subarray(at, at + chunkBytes))
  return { kind: 'segments', ...(await content.finish()) }
}

const segmentsOf = (opened: TestStore): string[] =>
  readdirSync(join(opened.dataDir, 'segments')).filter(name => name.endsWith('.seg'))

/** Waits for a deletion that happens in the background. */
async function eventually(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 6000 && !isTrue(); i++) await delay(10)
  assert.ok(isTrue())
}

/** Registers the cases under the implementation's name. */
export function contentSuite(name: string, start: StartStore): void {
  suite(`contents, ${name}`, () => {
    test('large contents of many sessions at once are read back byte by byte, whole and in chunks', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const all = [20_000, 100_000, 262_144, 700_001, 3_000_000].map(size => randomBytes(size))
      const contents = await Promise.all(all.map((bytes, i) => spooled(store, bytes, 30_000 + i * 7777)))
      const keys = await Promise.all(
        contents.map(content => accepted(store, newMessage({ content, startState: 'scheduled' }))),
      )
      await opened.restart(startMs)
      const leased = await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs })
      assert.deepEqual(leased.map(one => one.key).toSorted(), keys.toSorted())
      for (const message of leased) {
        const expected = all[keys.indexOf(message.key)]!
        const whole = await opened.line.queue.readContent(message.key, message.content)
        assert.ok(whole?.equals(expected))
        const chunks: Buffer[] = []
        for await (const chunk of opened.line.queue.openContent(message.key, message.content))
          chunks.push(chunk)
        assert.ok(chunks.every(chunk => chunk.length <= 256 * 1024))
        assert.ok(Buffer.concat(chunks).equals(expected))
      }
    })

    test('a segment is deleted when its last content is final and nobody writes to it', async () => {
      await using opened = await TestStore.open(start)
      const store = opened.line
      const messages = await Promise.all(
        [1, 2].map(async () => newMessage({ content: await spooled(store, randomBytes(50_000), 10_000) })),
      )
      const keys = await Promise.all(messages.map(message => accepted(store, message)))
      const settle = (i: number, line: ThreadStore): Promise<void> =>
        line.queue.settle(batch({ settlements: [settlement(messages[i]!, keys[i]!, 0, 1, 'delivered')] }))
      await settle(0, store)
      await opened.restart(startMs)
      assert.equal(segmentsOf(opened).length, 1)
      await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs })
      await settle(1, opened.line)
      await eventually(() => segmentsOf(opened).length === 0)
    })

    test('what was uploaded and never accepted is reclaimed at the next start', async () => {
      await using opened = await TestStore.open(start)
      await spooled(opened.line, randomBytes(300_000), 65_536)
      assert.equal(segmentsOf(opened).length, 1)
      await opened.restart(startMs)
      await eventually(() => segmentsOf(opened).length === 0)
    })

    test('a start without the segments of contents that wait is refused and deletes nothing; with them it is as before', async () => {
      await using opened = await TestStore.open(start)
      const bytes = randomBytes(50_000)
      const content = await spooled(opened.line, bytes, 10_000)
      await accepted(opened.line, newMessage({ content, startState: 'scheduled' }))
      await opened.stop()
      const [name] = segmentsOf(opened)
      const folder = join(opened.dataDir, 'segments')
      const away = `${opened.dataDir}/away`
      renameSync(folder, away)
      // The folder that a disk was mounted on: empty, or with what came when it was not mounted before.
      mkdirSync(folder)
      writeFileSync(join(folder, '1.seg'), 'a leftover')
      const refused = {
        code: 'PR_STORE_INCOMPLETE',
        message: new RegExp(`^1 segment file is not in ${folder} \\(${name}\\).* mounted`),
      }
      for (let round = 0; round < 2; round++) await assert.rejects(opened.start(startMs), refused)
      assert.equal(readFileSync(join(folder, '1.seg'), 'utf8'), 'a leftover')
      rmSync(folder, { recursive: true })
      renameSync(away, folder)
      await opened.start(startMs)
      const [leased] = await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs })
      assert.ok((await opened.line.queue.readContent(leased!.key, leased!.content))?.equals(bytes))
    })

    test('the file given-up lets one start go on without segments that are lost, and their messages can end', async () => {
      await using opened = await TestStore.open(start)
      const [lost, kept] = [randomBytes(50_000), randomBytes(60_000)]
      const messages = [newMessage({ content: await spooled(opened.line, lost, 10_000) })]
      await accepted(opened.line, messages[0]!)
      await opened.restart(startMs)
      const [name] = segmentsOf(opened)
      messages.push(newMessage({ content: await spooled(opened.line, kept, 10_000) }))
      await accepted(opened.line, messages[1]!)
      await opened.stop()
      const folder = join(opened.dataDir, 'segments')
      rmSync(join(folder, name!))
      writeFileSync(join(folder, 'given-up'), '')
      await opened.restart(startMs)
      assert.deepEqual(readdirSync(folder).includes('given-up'), false, 'it counts once')
      await opened.restart(startMs)
      const leased = await opened.line.queue.lease({ recipientsMax: 10, nowMs: startMs })
      assert.equal(leased.length, 2)
      for (const [at, message] of messages.entries()) {
        const { key, content } = leased.find(({ id }) => id.equals(message.id))!
        const read = opened.line.queue.readContent(key, content)
        if (at === 0) await assert.rejects(read, /shorter than its contents/)
        else assert.ok((await read)?.equals(kept))
        await opened.line.queue.settle(batch({ settlements: [settlement(message, key, 0, 1, 'expired')] }))
      }
      await opened.restart(startMs)
      await eventually(() => segmentsOf(opened).length === 0)
    })

    test('aborted uploads do not keep a segment alive', async () => {
      await using opened = await TestStore.open(start)
      await using other = opened.another(1)
      const content = other.spool.begin()
      await content.write(randomBytes(300_000))
      content.abort()
      const late = other.spool.begin()
      await late.write(randomBytes(300_000))
      await late.finish()
      late.abort()
      await other[Symbol.asyncDispose]()
      await eventually(() => segmentsOf(opened).length === 0)
    })

    test('an accept that names a segment which is not there fails and is not kept', async () => {
      await using opened = await TestStore.open(start)
      const content = {
        kind: 'segments',
        extents: [{ segment: 4711, offsetBytes: 0, sizeBytes: 10 }],
        sizeBytes: 10,
      } as const
      const [bad, good] = await Promise.all([
        opened.line.queue.accept(newMessage({ content })),
        opened.line.queue.accept(newMessage()),
      ])
      assert.equal(bad.kind, 'failed')
      assert.equal(good.kind, 'stored')
      assert.equal((await opened.line.control.count({})).leased, 1)
    })

    test('a writer that is faster than the disk is told to wait', async () => {
      await using opened = await TestStore.open(start)
      const content = opened.line.spool.begin()
      const chunk = randomBytes(256 * 1024)
      let waits = 0
      for (let i = 0; i < 40; i++) {
        const wait = content.write(chunk)
        if (wait !== undefined) {
          waits++
          await wait
        }
      }
      const { sizeBytes } = await content.finish()
      assert.equal(sizeBytes, 40 * chunk.length)
      assert.ok(waits > 0)
    })
  })
}
