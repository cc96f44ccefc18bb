// A disk of the test's own: a small file system in a mount namespace of its own, that can be filled, broken and mended.
//
// In memory (tmpfs), with as few inodes as wanted, or ext4 in a file, which does what kernels do after an I/O error:
// become read-only under its users.
// Linux and root only; a process holds the namespace, and its end takes everything away.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MountNamespace } from '../../support/postrider.ts'

/** Scripts that make and mount a file system on `$0`, of `$1` MiB and (tmpfs) with `$2` inodes, 0: without a bound. */
const mountScripts = {
  tmpfs: 'mount -t tmpfs -o size="$1"m,nr_inodes="$2",mode=0700 tmpfs "$0"',
  ext4: 'truncate -s "$1"M "$0.img" && mkfs.ext4 -q "$0.img" && mount -o loop "$0.img" "$0"',
} as const

/** See the head of the file. */
export class SmallDisk implements AsyncDisposable {
  readonly #holder: ChildProcess
  readonly #path: string

  private constructor(holder: ChildProcess, path: string) {
    this.#holder = holder
    this.#path = path
  }

  /** @param path an empty folder: the disk is there, for those who run in the namespace */
  static async mount(
    path: string,
    sizeMiB: number,
    kind: keyof typeof mountScripts = 'tmpfs',
    inodes: number = 0,
  ): Promise<SmallDisk> {
    const script = `${mountScripts[kind]} && echo mounted && exec sleep 100000`
    const args = ['--mount', 'sh', '-c', script, path, String(sizeMiB), String(inodes)]
    const holder = spawn('unshare', args, {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise<void>((resolve, reject) => {
      holder.stdout!.once('data', () => resolve())
      holder.once('exit', code => reject(new Error(`no file system of our own: unshare ended with ${code}`)))
    })
    return new SmallDisk(holder, path)
  }

  /** Has this machine loop devices that we may use? Containers often have not, whoever is root in them. */
  static canLoop(): boolean {
    const folder = mkdtempSync(join(tmpdir(), 'postrider-loop-'))
    try {
      execFileSync('unshare', ['--mount', 'sh', '-c', mountScripts.ext4, folder, '8'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    } finally {
      rmSync(folder, { recursive: true })
      rmSync(`${folder}.img`, { force: true })
    }
  }

  get namespace(): MountNamespace {
    const { pid } = this.#holder
    return { wrapper: ['nsenter', `--target=${pid}`, '--mount'], root: `/proc/${pid}/root` }
  }

  /** The disk as it is seen from outside. */
  get path(): string {
    return `${this.namespace.root}${this.#path}`
  }

  /** Fills it to the last byte. */
  fill(): void {
    const chunk = Buffer.alloc(64 * 1024)
    for (let sizeBytes = chunk.length; sizeBytes >= 1; ) {
      try {
        appendFileSync(this.#ballast, chunk.subarray(0, sizeBytes))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        sizeBytes >>= 1
      }
    }
  }

  /** Takes all inodes: room is left, and no further file can be made. */
  fillInodes(): void {
    mkdirSync(this.#ballast)
    for (let number = 0; ; number++) {
      try {
        writeFileSync(`${this.#ballast}/${number}`, '')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        return
      }
    }
  }

  /** Gives back what was filled. */
  free(): void {
    rmSync(this.#ballast, { recursive: true })
  }

  /** ext4 only: what the kernel does after an error of the disk. Nothing can be written any more, by whoever has it open. */
  fail(): void {
    this.#run('mount -o remount,abort "$0"')
  }

  /** ext4 only: nobody may use it. Checked, mended and mounted anew, as an operator would. */
  mend(): void {
    this.#run('umount "$0" && { e2fsck -fy "$0.img" || [ $? -lt 4 ]; } && mount -o loop "$0.img" "$0"')
  }

  get #ballast(): string {
    return `${this.path}/ballast`
  }

  #run(script: string): void {
    const [command, ...args] = this.namespace.wrapper
    execFileSync(command!, [...args, 'sh', '-c', script, this.#path], { stdio: 'pipe' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode === null && this.#holder.signalCode === null) {
      this.#holder.kill('SIGKILL')
      await once(this.#holder, 'exit')
    }
    rmSync(`${this.#path}.img`, { force: true })
  }
}
