// What a power cut leaves: a choice among everything that was not synced, made into a folder on this disk.
//
// Each way of choosing is a row of the table `cuts`. Files and folders choose independently of each other, so writes are
// reordered across files as well. Sizes may grow without their data (zeros, or what lay on the disk before).

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../support/random.ts'
import { applyNames, type DiskFile, type DiskFolder, type DiskNode } from './disk-model.ts'

/** How much of one pending write reached the disk: stretches of it. */
type Stretches = readonly (readonly [start: number, end: number])[]

/** A way in which unsynced changes survive. */
export interface Cut {
  readonly name: string
  readonly text: string
  /** Which parts of a pending write survive; `at` and `count` say which of how many of its file it is. */
  readonly write: (random: Random, sizeBytes: number, at: number, count: number, luck: number) => Stretches
  /** The file has the size that its lost writes would have given it. */
  readonly isGrown: boolean
  /** Which pending changes of names survive. */
  readonly names: 'none' | 'all' | 'some' | 'first'
}

const all = (sizeBytes: number): Stretches => [[0, sizeBytes]]
const none: Stretches = []

/** The stretches of sectors that survive, each with the given luck. */
function sectors(random: Random, sizeBytes: number, sectorBytes: number, luck: number): Stretches {
  const kept: [number, number][] = []
  for (let at = 0; at < sizeBytes; at += sectorBytes)
    if (random.next() < luck) kept.push([at, Math.min(sizeBytes, at + sectorBytes)])
  return kept
}

/** All ways. `luck` is drawn once an image: how likely each part is to survive. */
export const cuts: readonly Cut[] = [
  {
    name: 'dropped',
    text: 'nothing that was not synced is there',
    write: () => none,
    isGrown: false,
    names: 'none',
  },
  {
    name: 'data dropped, names kept',
    text: 'every name is there, and no unsynced byte',
    write: () => none,
    isGrown: false,
    names: 'all',
  },
  {
    name: 'names dropped, data kept',
    text: 'every byte is there, and no unsynced name',
    write: (_random, sizeBytes) => all(sizeBytes),
    isGrown: false,
    names: 'none',
  },
  {
    name: 'kept',
    text: 'everything is there, as after kill -9',
    write: (_random, sizeBytes) => all(sizeBytes),
    isGrown: false,
    names: 'all',
  },
  {
    name: 'in order',
    text: 'of each file the first writes, the last of them torn at any byte',
    write: (random, sizeBytes, at, count, luck) => {
      const end = luck * count
      if (at + 1 <= end) return all(sizeBytes)
      return at < end ? [[0, random.below(sizeBytes + 1)]] : none
    },
    isGrown: false,
    names: 'first',
  },
  {
    name: 'reordered',
    text: 'any of the writes, whole',
    write: (random, sizeBytes, _at, _count, luck) => (random.next() < luck ? all(sizeBytes) : none),
    isGrown: false,
    names: 'some',
  },
  {
    name: 'torn at 512',
    text: 'any sectors of 512 bytes of any writes',
    write: (random, sizeBytes, _at, _count, luck) => sectors(random, sizeBytes, 512, luck),
    isGrown: false,
    names: 'some',
  },
  {
    name: 'torn at 4096, grown',
    text: 'any sectors of 4 KiB of any writes, and files as large as they would have become',
    write: (random, sizeBytes, _at, _count, luck) => sectors(random, sizeBytes, 4096, luck),
    isGrown: true,
    names: 'some',
  },
  {
    name: 'torn anywhere',
    text: 'of any writes the beginning or the end, up to any byte',
    write: (random, sizeBytes, _at, _count, luck) => {
      if (random.next() > luck) return none
      const middle = random.below(sizeBytes + 1)
      return random.next() < 0.5 ? [[0, middle]] : [[middle, sizeBytes]]
    },
    isGrown: false,
    names: 'some',
  },
  {
    name: 'grown',
    text: 'files as large as they would have become, without the data',
    write: () => none,
    isGrown: true,
    names: 'all',
  },
]

/** Makes the folder that is found after the cut. @returns how many bytes it holds. */
export function makeImage(root: DiskFolder, cut: Cut, random: Random, target: string): number {
  const names = namesAfter(root, cut, random)
  mkdirSync(target, { mode: 0o700 })
  let sizeBytes = 0
  for (const [name, node] of names) {
    const path = join(target, name)
    sizeBytes +=
      node.kind === 'folder' ? makeImage(node, cut, random, path) : makeFile(node, cut, random, path)
  }
  return sizeBytes
}

function namesAfter(folder: DiskFolder, cut: Cut, random: Random): Map<string, DiskNode> {
  const names = new Map(folder.durable)
  const first = random.below(folder.pending.length + 1)
  for (const [at, { set }] of folder.pending.entries()) {
    const isKept =
      cut.names === 'all' ||
      (cut.names === 'some' && random.next() < 0.5) ||
      (cut.names === 'first' && at < first)
    if (isKept) applyNames(names, set)
  }
  return names
}

function makeFile(file: DiskFile, cut: Cut, random: Random, path: string): number {
  const luck = random.pick([0.1, 0.5, 0.9, 0.99, 1, random.next()])
  const { sizeBytes, roomBytes, changes } = survivors(file, cut, random, luck)
  let bytes = file.durable
  if (roomBytes > bytes.length || changes.length > 0) {
    bytes = Buffer.alloc(roomBytes)
    file.durable.copy(bytes)
    for (const change of changes) change(bytes)
  }
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    for (let at = 0; at < sizeBytes; ) at += writeSync(descriptor, bytes, at, sizeBytes - at, at)
  } finally {
    closeSync(descriptor)
  }
  return sizeBytes
}

/** The changes that survive, the size that the file has in the end, and the largest it has on the way. */
function survivors(
  { pending, durable }: DiskFile,
  cut: Cut,
  random: Random,
  luck: number,
): { sizeBytes: number; roomBytes: number; changes: ((bytes: Buffer) => void)[] } {
  const changes: ((bytes: Buffer) => void)[] = []
  let sizeBytes = durable.length
  let roomBytes = sizeBytes
  const reach = (endBytes: number): void => {
    sizeBytes = Math.max(sizeBytes, endBytes)
    roomBytes = Math.max(roomBytes, sizeBytes)
  }
  for (const [at, one] of pending.entries()) {
    if (one.kind === 'truncate') {
      const isKept = cut.write(random, 1, at, pending.length, luck).some(([start, end]) => end > start)
      if (!isKept) continue
      changes.push(bytes => void bytes.fill(0, one.sizeBytes))
      sizeBytes = one.sizeBytes
      reach(sizeBytes)
      continue
    }
    const { offset, data } = one
    for (const [start, end] of cut.write(random, data.length, at, pending.length, luck)) {
      if (end <= start) continue
      changes.push(bytes => void data.copy(bytes, offset + start, start, end))
      reach(offset + end)
    }
    if (cut.isGrown) reach(offset + data.length)
  }
  return { sizeBytes, roomBytes, changes }
}
