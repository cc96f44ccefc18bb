// The crash-image campaign: from one recording, as many moments of a power cut as wanted, each opened and judged.
//
// Moments are chosen where it is dangerous: during starts and recoveries, around syncs, around changes of names, and
// anywhere. They are visited in order, so that the model is played through once.

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Random } from '../support/random.ts'
import { checkImage } from './check-image.ts'
import { type Cut, cuts, makeImage } from './cuts.ts'
import type { Expected, Recording } from './recording.ts'
import type { DiskOperation } from './trace.ts'

/** A moment and what survives of it. */
export interface Moment {
  /** Number of the last operation that was done. */
  readonly at: number
  readonly where: string
  readonly cut: Cut
  readonly seed: number
}

/** An image that broke a promise. */
export interface Violation extends Moment {
  readonly wrong: readonly string[]
  /** Where the folder is kept, '' when it is not. */
  readonly folder: string
}

/** What a campaign over one recording has shown. */
export interface ImageResult {
  readonly images: number
  readonly byCut: ReadonlyMap<string, number>
  readonly byPlace: ReadonlyMap<string, number>
  readonly violations: readonly Violation[]
  readonly bytes: number
}

export interface ImageOptions {
  readonly images: number
  /** These, in order, instead of so many chosen at random. */
  readonly moments?: readonly Moment[]
  /** A look at each image before it is opened. */
  readonly before?: (folder: string) => void
  /** Asked before each image: true ends it early. */
  readonly isOver?: () => boolean
  /** Told after each image. */
  readonly onProgress?: (done: number) => void
  /** Further look at an image that has passed: a whole server, for a sample. */
  readonly andThen?: (folder: string, moment: Moment, expected: Expected) => Promise<string[]>
  /** Keep the folders of violations. */
  readonly keeps?: boolean
}

/** Visits moments of a recording. */
export async function runImages(
  recording: Recording,
  options: ImageOptions,
  random: Random,
): Promise<ImageResult> {
  const moments = options.moments ?? chooseMoments(recording.operations, options.images, random)
  const scratch = mkdtempSync(join(memoryFolder(), 'postrider-images-'))
  const model = recording.start()
  const byCut = new Map<string, number>()
  const byPlace = new Map<string, number>()
  const violations: Violation[] = []
  let played = 0
  let done = 0
  let bytes = 0
  try {
    for (const [number, moment] of moments.entries()) {
      if (options.isOver?.() === true) break
      done++
      while (played <= moment.at) model.play(recording.operations[played++]!)
      const folder = join(scratch, `image-${number}`)
      bytes += makeImage(model.root, moment.cut, new Random(moment.seed), folder)
      options.before?.(folder)
      const { ledger, arrived } = recording
      const expected = { acknowledged: model.acknowledged, ledger, arrived }
      const wrong = await checkImage(folder, expected)
      if (wrong.length === 0) wrong.push(...((await options.andThen?.(folder, moment, expected)) ?? []))
      if (wrong.length > 0) {
        // Opening has changed the folder: made again, it is what the power cut left.
        rmSync(folder, { recursive: true })
        if (options.keeps === true) makeImage(model.root, moment.cut, new Random(moment.seed), folder)
        violations.push({ ...moment, wrong, folder: options.keeps === true ? folder : '' })
      } else rmSync(folder, { recursive: true })
      count(byCut, moment.cut.name)
      count(byPlace, moment.where)
      options.onProgress?.(number + 1)
    }
  } finally {
    if (violations.length === 0 || options.keeps !== true) rmSync(scratch, { recursive: true, force: true })
  }
  return { images: done, byCut, byPlace, violations, bytes }
}

/** Where a moment may lie, and how many of the moments lie there. */
const places: readonly { readonly name: string; readonly share: number }[] = [
  { name: 'start and recovery', share: 0.3 },
  { name: 'around a sync', share: 0.25 },
  { name: 'around a change of names', share: 0.2 },
  { name: 'anywhere', share: 0.25 },
]

function chooseMoments(operations: readonly DiskOperation[], images: number, random: Random): Moment[] {
  const numbers = operations.map((_, at) => at)
  const isName = (at: number): boolean =>
    ['create', 'mkdir', 'unlink', 'rename', 'truncate'].includes(operations[at]?.kind ?? '')
  const candidates: Record<string, readonly number[]> = {
    'start and recovery': startsOf(operations),
    'around a sync': numbers.filter(at => [at, at + 1].some(one => operations[one]?.kind === 'sync')),
    'around a change of names': numbers.filter(at => [at - 2, at - 1, at, at + 1].some(isName)),
    anywhere: numbers,
  }
  const moments: Moment[] = []
  for (const [number, { name, share }] of places.entries()) {
    const isLast = number === places.length - 1
    const count = isLast ? images - moments.length : Math.round(images * share)
    for (let i = 0; i < count; i++)
      moments.push({
        at: random.pick(candidates[name]!),
        where: name,
        cut: random.pick(cuts),
        seed: random.below(0xffff_ffff),
      })
  }
  return moments.sort((a, b) => a.at - b.at)
}

/** Operations of each life before its first accepting reply; a life begins with taking the lock. */
function startsOf(operations: readonly DiskOperation[]): number[] {
  const starts: number[] = []
  let isStarting = true
  for (const [at, operation] of operations.entries()) {
    if (operation.kind === 'create' && operation.path === 'data/lock') isStarting = true
    if (operation.kind === 'reply') isStarting = false
    if (isStarting) starts.push(at)
  }
  return starts
}

/** Images are many and short-lived: memory, where there is some. */
function memoryFolder(): string {
  try {
    return statSync('/dev/shm').isDirectory() ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
