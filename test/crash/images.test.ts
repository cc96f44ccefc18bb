// Power cuts in short form; `npm run test:crash -- --images 10000` is the long one.
//
// A real server is recorded from its first run on, over kills and restarts, and the disk is rebuilt as power cuts would
// have left it. The same recording shows that each accepting reply had its syncs before it. With eatmydata, which makes
// every sync do nothing, both must find what is broken: else they would find nothing ever.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../support/random.ts'
import { runImages } from './images.ts'
import { hasCrashTools } from './needs.ts'
import { record } from './recording.ts'
import { serveImage } from './serve-image.ts'
import { checkReplies } from './synced-replies.ts'

const images = 300
/** One image of each kind of moment, roughly, for the whole server. */
const serveEvery = 100

test(
  'what was acknowledged survives a power cut at any moment, and its syncs came before its reply',
  hasCrashTools,
  async t => {
    const seed = freshSeed()
    t.diagnostic(`seed ${seed}`)
    const random = new Random(seed)
    const recording = await record(
      { lives: 4, messagesPerLife: 80, sessions: 8, bodyBytesMax: 200_000 },
      random,
    )
    const syncs = checkReplies(recording.operations, recording.ledger)
    assert.deepEqual(syncs.tooEarly, [])
    assert.ok(syncs.replies >= 100)
    assert.ok(syncs.large > 10, 'contents in segments were among them')
    assert.ok(syncs.largestGroup > 1, 'some syncs stood for several replies')
    let number = 0
    const result = await runImages(
      recording,
      {
        images,
        andThen: async (folder, _moment, expected) =>
          number++ % serveEvery === 0 ? await serveImage(folder, expected) : [],
      },
      random,
    )
    const shown = result.violations.map(({ at, where, cut, wrong }) => ({ at, where, cut: cut.name, wrong }))
    assert.deepEqual(shown, [])
    assert.equal(result.images, images)
  },
)

test(
  'without working syncs the same checks find lost messages and early replies',
  hasCrashTools,
  async () => {
    const recording = await record(
      { lives: 2, messagesPerLife: 40, sessions: 4, bodyBytesMax: 100_000, wrapper: ['eatmydata'] },
      new Random(1),
    )
    const syncs = checkReplies(recording.operations, recording.ledger)
    assert.equal(syncs.replies, 80)
    assert.ok(syncs.tooEarly.length >= 80, 'no reply had its sync')
    const result = await runImages(recording, { images: 40 }, new Random(2))
    const wrong = result.violations.flatMap(one => one.wrong)
    assert.ok(wrong.some(text => text.endsWith('was acknowledged and is lost')))
  },
)
