// Many stories, many images of each: the crash-image campaign as a whole.
//
// A story is recorded, its images are judged, the next one is recorded. Stories differ in their load: few and many
// sessions, small and large contents, short lives and ones long enough for the write-ahead log to be checkpointed and
// begun anew. Every third story begins on an image of the one before: a power cut, and another one after it.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Random } from '../support/random.ts'
import { type ImageResult, type Moment, runImages, type Violation } from './images.ts'
import { type Expected, type Recording, record, type StoryOptions } from './recording.ts'
import { serveImage } from './serve-image.ts'

/** What the campaign has shown. */
export interface CampaignResult {
  readonly images: number
  readonly served: number
  readonly stories: number
  readonly operations: number
  readonly syncs: number
  readonly replies: number
  /** Pages copied from the write-ahead log into the database. */
  readonly checkpointWrites: number
  readonly segmentsBegun: number
  readonly segmentsDeleted: number
  readonly bytes: number
  readonly byCut: Readonly<Record<string, number>>
  readonly byPlace: Readonly<Record<string, number>>
  readonly violations: readonly Violation[]
}

export interface CampaignOptions {
  readonly images: number
  readonly imagesPerStory: number
  readonly serveEvery: number
  readonly keeps: boolean
  /** Asked now and then: true ends it early. */
  readonly isOver: () => boolean
  readonly onProgress?: (done: number, what: string) => void
}

type Base = NonNullable<StoryOptions['base']>

/** Runs stories until there are enough images. */
export async function runCampaign(options: CampaignOptions, random: Random): Promise<CampaignResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'postrider-campaign-'))
  const { keeps, isOver } = options
  let result = nothing
  let base: Base | undefined
  let number = 0
  try {
    while (result.images < options.images && !options.isOver()) {
      options.onProgress?.(result.images, 'recording')
      const isAgain = number % 3 === 2 && base !== undefined
      const recording = await record(story(random, isAgain ? base : undefined), random)
      const images = Math.min(options.imagesPerStory, options.images - result.images)
      let served = 0
      let seen = 0
      const baseAt = random.below(images)
      const andThen = async (folder: string, moment: Moment, expected: Expected): Promise<string[]> => {
        const nth = seen++
        if (nth === baseAt) base = keepAsBase(folder, expected, join(scratch, `base-${number}`))
        if (options.serveEvery === 0 || nth % options.serveEvery !== options.serveEvery - 1) return []
        served++
        options.onProgress?.(result.images + nth, `serving image ${moment.at}`)
        return await serveImage(folder, expected)
      }
      const onProgress = (done: number): void => options.onProgress?.(result.images + done, 'opening')
      const one = await runImages(recording, { images, keeps, isOver, andThen, onProgress }, random)
      result = add(result, recording, one, served)
      number++
    }
    return result
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** A folder in which everything was opened and recovered once is a disk like any other. */
function keepAsBase(folder: string, expected: Expected, path: string): Base {
  cpSync(folder, path, { recursive: true })
  const { ledger, arrived, acknowledged } = expected
  return {
    folder: path,
    expected: { ledger: ledger.copy(), arrived: new Set(arrived), acknowledged: new Set(acknowledged) },
  }
}

function story(random: Random, base: Base | undefined): StoryOptions {
  const isLong = random.chance(0.15)
  return {
    lives: 2 + random.below(isLong ? 2 : 4),
    messagesPerLife: isLong ? 900 : 30 + random.below(200),
    sessions: random.pick([1, 4, 8, 16]),
    bodyBytesMax: isLong ? 14_000 : random.pick([60_000, 200_000, 1_500_000]),
    ...(base === undefined ? {} : { base }),
  }
}

const nothing: CampaignResult = {
  images: 0,
  served: 0,
  stories: 0,
  operations: 0,
  syncs: 0,
  replies: 0,
  checkpointWrites: 0,
  segmentsBegun: 0,
  segmentsDeleted: 0,
  bytes: 0,
  byCut: {},
  byPlace: {},
  violations: [],
}

function add(sum: CampaignResult, recording: Recording, one: ImageResult, served: number): CampaignResult {
  const { operations } = recording
  const count = (kind: string, path: RegExp): number =>
    operations.filter(
      operation => operation.kind === kind && 'path' in operation && path.test(operation.path),
    ).length
  return {
    images: sum.images + one.images,
    served: sum.served + served,
    stories: sum.stories + 1,
    operations: sum.operations + operations.length,
    syncs: sum.syncs + count('sync', /./),
    replies: sum.replies + operations.filter(({ kind }) => kind === 'reply').length,
    checkpointWrites: sum.checkpointWrites + count('write', /postrider\.db$/),
    segmentsBegun: sum.segmentsBegun + count('create', /\.seg$/),
    segmentsDeleted: sum.segmentsDeleted + count('unlink', /\.seg$/),
    bytes: sum.bytes + one.bytes,
    byCut: addCounts(sum.byCut, one.byCut),
    byPlace: addCounts(sum.byPlace, one.byPlace),
    violations: [...sum.violations, ...one.violations],
  }
}

function addCounts(
  sum: Readonly<Record<string, number>>,
  more: ReadonlyMap<string, number>,
): Record<string, number> {
  const all = { ...sum }
  for (const [name, count] of more) all[name] = (all[name] ?? 0) + count
  return all
}
