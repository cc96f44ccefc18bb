// What a relay thread and its signing thread say to each other: the jobs of several messages in one packet, and their
// signatures in the same order. The keys of a packet go beside its bytes, each once, as handles: no key is copied.
// Invariant: there are as many answers as jobs, whatever the crypto library says to one of them.

import type { KeyObject } from 'node:crypto'
import { PackReader, PackWriter } from '../../base/index.ts'
import { type DkimAlgorithm, makeSignature, type SignatureJob } from '../../protocol/auth/dkim/index.ts'

/** Before each job and each answer; the buffers that are sent are larger than what was written. */
const tags = { end: 0, job: 1, signature: 2, failure: 3 } as const

const jobBytesTypical = 2048
const signatureBytesTypical = 320

interface PacketKey {
  readonly algorithm: DkimAlgorithm
  readonly privateKey: KeyObject
}

/** Jobs on their way to the signing thread; `jobs` is transferred. */
export interface SigningPacket {
  readonly jobs: ArrayBuffer
  readonly keys: readonly PacketKey[]
}

/** A signature, or why it could not be made. */
export type Signature = Buffer | Error

/** Gathers jobs into a packet. */
export class SigningPacketWriter {
  readonly #keys: PacketKey[] = []
  readonly #keyIndexes = new Map<KeyObject, number>()
  readonly #pack = new PackWriter(jobBytesTypical * 8)
  #jobs = 0

  /** Jobs so far. */
  get jobs(): number {
    return this.#jobs
  }

  add({ key, covered }: SignatureJob): void {
    let index = this.#keyIndexes.get(key.privateKey)
    if (index === undefined) {
      index = this.#keys.push({ algorithm: key.algorithm, privateKey: key.privateKey }) - 1
      this.#keyIndexes.set(key.privateKey, index)
    }
    this.#jobs++
    this.#pack.u8(tags.job)
    this.#pack.u32(index)
    this.#pack.bytes(covered)
  }

  /** The packet; nothing may be added any more. */
  finish(): SigningPacket {
    return { jobs: ended(this.#pack), keys: this.#keys }
  }
}

/** Makes the signatures of a packet, on the signing thread. */
export function signPacket({ jobs, keys }: SigningPacket): ArrayBuffer {
  const pack = new PackWriter(signatureBytesTypical * 16)
  const reader = new PackReader(Buffer.from(jobs))
  while (reader.u8() === tags.job) {
    const key = keys[reader.u32()]!
    const covered = reader.bytes()
    try {
      const signature = makeSignature({ key, covered })
      pack.u8(tags.signature)
      pack.bytes(signature)
    } catch (error) {
      pack.u8(tags.failure)
      pack.string(error instanceof Error ? error.message : String(error))
    }
  }
  return ended(pack)
}

/** The answers to a packet, in the order of its jobs. */
export function* readSignatures(answers: ArrayBuffer): Generator<Signature> {
  const reader = new PackReader(Buffer.from(answers))
  for (;;) {
    const tag = reader.u8()
    if (tag === tags.end) return
    yield tag === tags.signature ? reader.bytes() : new Error(reader.string())
  }
}

function ended(pack: PackWriter): ArrayBuffer {
  pack.u8(tags.end)
  return pack.view().buffer as ArrayBuffer
}
