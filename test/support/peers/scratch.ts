/**
 * Temporary folders of peer programs. Unlike a plain mkdtemp they can be entered by the unprivileged users
 * those programs drop to (mode 0755), and they go away with their owner.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Scratch implements AsyncDisposable {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  static async create(name: string, parent: string = tmpdir()): Promise<Scratch> {
    const path = await mkdtemp(join(parent, `${name}-`))
    await chmod(path, 0o755)
    return new Scratch(path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}
