// The disk as a power cut knows it: what is durable, and what was written and may or may not be there.
//
// The model is as strict as POSIX lets a file system be. fsync of a file makes its bytes and size durable and nothing
// else; fsync of a folder makes the names in it durable. Whatever was not synced may be there in part, in any order:
// that is for cuts.ts to choose. Stricter than ext4 or XFS are in practice, so that nobody has to know them.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskOperation } from './trace.ts'

/** A change of a file's bytes that no sync has covered yet. */
export type PendingBytes =
  | { readonly kind: 'write'; readonly at: number; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly at: number; readonly sizeBytes: number }

/** A change of a folder's names that no sync of the folder has covered yet. */
export interface PendingName {
  readonly at: number
  readonly set: readonly (readonly [name: string, node: DiskNode | null])[]
}

/** A file: its durable bytes and what waits. */
export class DiskFile {
  readonly kind = 'file'
  #bytes: Buffer = Buffer.alloc(0)
  #sizeBytes = 0
  pending: PendingBytes[] = []

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#bytes = bytes
    this.#sizeBytes = bytes.length
  }

  /** What is there for sure. A view: not to be changed. */
  get durable(): Buffer {
    return this.#bytes.subarray(0, this.#sizeBytes)
  }

  /** Makes everything durable that had ended when the sync began. */
  sync(begunAt: number): void {
    const covered = this.pending.filter(one => one.at < begunAt)
    if (covered.length === 0) return
    this.pending = this.pending.filter(one => one.at >= begunAt)
    for (const one of covered) {
      if (one.kind === 'write') this.#reach(one.offset + one.data.length)
      if (one.kind === 'truncate') {
        this.#reach(one.sizeBytes)
        this.#bytes.fill(0, one.sizeBytes, this.#sizeBytes)
        this.#sizeBytes = one.sizeBytes
      } else one.data.copy(this.#bytes, one.offset)
    }
  }

  #reach(sizeBytes: number): void {
    if (sizeBytes > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(sizeBytes, this.#bytes.length * 2, 8192))
      this.#bytes.copy(larger, 0, 0, this.#sizeBytes)
      this.#bytes = larger
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes)
  }
}

/** A folder: its durable names and what waits. */
export class DiskFolder {
  readonly kind = 'folder'
  readonly durable: Map<string, DiskNode> = new Map()
  /** With everything applied: what the running process sees. */
  readonly current: Map<string, DiskNode> = new Map()
  pending: PendingName[] = []

  change(at: number, set: PendingName['set']): void {
    this.pending.push({ at, set })
    applyNames(this.current, set)
  }

  sync(begunAt: number): void {
    for (const one of this.pending) if (one.at < begunAt) applyNames(this.durable, one.set)
    this.pending = this.pending.filter(one => one.at >= begunAt)
  }
}

export type DiskNode = DiskFile | DiskFolder

/** A folder of this disk as one that is durable with all that is in it. */
export function readFolder(path: string): DiskFolder {
  const folder = new DiskFolder()
  for (const name of readdirSync(path)) {
    const inner = join(path, name)
    const status = statSync(inner)
    if (!status.isFile() && !status.isDirectory()) continue
    const node = status.isFile() ? new DiskFile(readFileSync(inner)) : readFolder(inner)
    folder.durable.set(name, node)
    folder.current.set(name, node)
  }
  return folder
}

/** Another one with the same durable state, and nothing that waits. */
export function copyFolder(folder: DiskFolder): DiskFolder {
  const copied = new DiskFolder()
  for (const [name, node] of folder.durable) {
    const inner = node.kind === 'file' ? new DiskFile(Buffer.from(node.durable)) : copyFolder(node)
    copied.durable.set(name, inner)
    copied.current.set(name, inner)
  }
  return copied
}

/** Sets or removes names. */
export function applyNames(names: Map<string, DiskNode>, set: PendingName['set']): void {
  for (const [name, node] of set)
    if (node === null) names.delete(name)
    else names.set(name, node)
}

/** A folder tree that operations of a trace are played on. */
export class DiskModel {
  readonly root: DiskFolder
  /** Ids whose accepting reply has left. */
  readonly acknowledged: Set<string>

  /** Empty, or with what was there before. */
  constructor(root: DiskFolder = new DiskFolder(), acknowledged: Iterable<string> = []) {
    this.root = root
    this.acknowledged = new Set(acknowledged)
  }

  play(operation: DiskOperation): void {
    const { endedAt: at } = operation
    switch (operation.kind) {
      case 'create':
        this.#file(operation.path, at)
        break
      case 'write':
        this.#file(operation.path, at).pending.push({ ...operation, at })
        break
      case 'truncate':
        this.#file(operation.path, at).pending.push({ ...operation, at })
        break
      case 'sync':
        this.find(operation.path)?.sync(operation.begunAt)
        break
      case 'mkdir':
        this.#change(operation.path, at, new DiskFolder())
        break
      case 'unlink':
        this.#change(operation.path, at, null)
        break
      case 'rename':
        this.#rename(operation.path, operation.to, at)
        break
      case 'reply':
        for (const id of operation.ids) this.acknowledged.add(id)
    }
  }

  /** What has this name now; undefined when nothing has. */
  find(path: string): DiskNode | undefined {
    let node: DiskNode | undefined = this.root
    for (const name of path === '' ? [] : path.split('/'))
      node = node?.kind === 'folder' ? node.current.get(name) : undefined
    return node
  }

  #file(path: string, at: number): DiskFile {
    const found = this.find(path)
    if (found?.kind === 'file') return found
    const made = new DiskFile()
    this.#change(path, at, made)
    return made
  }

  #change(path: string, at: number, node: DiskNode | null): void {
    const [folder, name] = this.#place(path)
    folder.change(at, [[name, node]])
  }

  /** Atomic inside of a folder; from folder to folder either half may be there alone. */
  #rename(path: string, to: string, at: number): void {
    const node = this.find(path)
    if (node === undefined) throw new Error(`the model has no ${path} to rename`)
    const [from, oldName] = this.#place(path)
    const [into, newName] = this.#place(to)
    if (from === into) {
      from.change(at, [
        [oldName, null],
        [newName, node],
      ])
      return
    }
    into.change(at, [[newName, node]])
    from.change(at, [[oldName, null]])
  }

  #place(path: string): [folder: DiskFolder, name: string] {
    const slash = path.lastIndexOf('/')
    const folder = this.find(slash < 0 ? '' : path.slice(0, slash))
    if (folder?.kind !== 'folder') throw new Error(`the model has no folder for ${path}`)
    return [folder, path.slice(slash + 1)]
  }
}
