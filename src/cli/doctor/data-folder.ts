// Checks of the data folder: there, ours, private, on a disk that has room and keeps its word.
//
// Nothing is changed but one small file, written, synced and removed to time the disk.

import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { bad, type Check, good, warn } from './check.ts'

const gibibyte = 1024 ** 3
const slowFsyncMs = 30

/** @param userId of this process; undefined where there are none */
export function checkDataFolder(dataDir: string, userId: number | undefined): Check[] {
  const found = statSync(dataDir, { throwIfNoEntry: false })
  if (found === undefined) return checkMissing(dataDir)
  if (!found.isDirectory())
    return [bad('data folder', `${dataDir} is not a folder`, 'move it away, or name another data_dir')]
  const checks = [checkOwner(dataDir, found, userId)]
  if (checks[0]?.state === 'fail') return checks
  checks.push(checkSecretKey(dataDir), ...checkHold(dataDir), checkFsync(dataDir), checkSpace(dataDir))
  return checks
}

function checkMissing(dataDir: string): Check[] {
  let parent = dirname(dataDir)
  while (statSync(parent, { throwIfNoEntry: false }) === undefined && parent !== dirname(parent))
    parent = dirname(parent)
  if (!isWritable(parent))
    return [
      bad(
        'data folder',
        `${dataDir} does not exist and cannot be made in ${parent}`,
        `as root: install -d -m 700 -o USER ${dataDir}`,
      ),
    ]
  return [good('data folder', `${dataDir} does not exist yet; the first start makes it`), checkSpace(parent)]
}

function checkOwner(
  dataDir: string,
  found: { uid: number; mode: number },
  userId: number | undefined,
): Check {
  const mode = (found.mode & 0o777).toString(8)
  if (!isWritable(dataDir))
    return bad(
      'data folder',
      `${dataDir} cannot be written by this user (owner ${found.uid}, mode ${mode})`,
      'run the server and this command as its owner',
    )
  if (userId !== undefined && userId !== 0 && found.uid !== userId)
    return warn(
      'data folder',
      `${dataDir} belongs to user ${found.uid}, we are ${userId}`,
      `chown -R ${userId} ${dataDir}`,
    )
  if ((found.mode & 0o077) !== 0)
    return warn('data folder', `others may look into ${dataDir} (mode ${mode})`, `chmod 700 ${dataDir}`)
  return good('data folder', `${dataDir} is writable and private`)
}

function checkSecretKey(dataDir: string): Check {
  const path = join(dataDir, 'secret.key')
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return good('secret key', 'not made yet; the first start makes it')
  const mode = found.mode & 0o777
  if ((mode & 0o077) !== 0)
    return bad(
      'secret key',
      `others than its owner may use ${path} (mode ${mode.toString(8)})`,
      `chmod 600 ${path}`,
    )
  return good('secret key', `${path} is private`)
}

/**
 * The lock of backups must be the server's to take, or no segment is ever deleted. The server is who owns the folder
 * around it. The file is not opened here: that would free the lock of who holds it in this process.
 */
function checkHold(dataDir: string): Check[] {
  const name = 'segments/hold'
  const folder = join(dataDir, 'segments')
  const path = join(folder, 'hold')
  const server = statSync(folder, { throwIfNoEntry: false })
  const found = statSync(path, { throwIfNoEntry: false })
  if (server === undefined || found === undefined || server.uid === 0) return []
  const kept = 'no segment of large contents is deleted'
  if (found.uid !== server.uid)
    return [
      warn(
        name,
        `${path} belongs to user ${found.uid}, and the folder to ${server.uid}: ${kept}`,
        `as root: chown ${server.uid}:${server.gid} ${path}`,
      ),
    ]
  if ((found.mode & 0o600) !== 0o600)
    return [warn(name, `its owner may not write ${path}: ${kept}`, `chmod 600 ${path}`)]
  return []
}

/** The median of seven small writes, each synced: what an acceptance costs at least. */
function checkFsync(dataDir: string): Check {
  const path = join(dataDir, `.doctor-${process.pid}`)
  try {
    const descriptor = openSync(path, 'wx', 0o600)
    const timesMs: number[] = []
    try {
      const block = Buffer.alloc(4096, 1)
      for (let i = 0; i < 7; i++) {
        const before = performance.now()
        writeSync(descriptor, block)
        fsyncSync(descriptor)
        timesMs.push(performance.now() - before)
      }
    } finally {
      closeSync(descriptor)
      rmSync(path, { force: true })
    }
    const medianMs = timesMs.sort((a, b) => a - b)[3] ?? 0
    const text = `a synced write takes ${medianMs.toFixed(medianMs < 10 ? 2 : 0)} ms`
    return medianMs > slowFsyncMs
      ? warn(
          'fsync',
          text,
          'mail is accepted slowly on this disk: an SSD with a write cache that survives power loss helps',
        )
      : good('fsync', text)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return bad(
      'fsync',
      `writing and syncing failed (${code ?? message})`,
      'no mail can be accepted: check the disk',
    )
  }
}

function checkSpace(folder: string): Check {
  const { bavail, bsize, blocks, ffree, files } = statfsSync(folder)
  const free = bavail * bsize
  const share = blocks === 0 ? 1 : bavail / blocks
  const text = `${(free / gibibyte).toFixed(1)} GiB free (${Math.round(share * 100)} %)`
  if (free < gibibyte / 4) return bad('disk space', text, 'mail will be refused with 452: make room')
  if (files > 0 && ffree / files < 0.02)
    return warn('disk space', `${text}, few inodes left`, 'remove some files')
  return free < 2 * gibibyte || share < 0.05
    ? warn('disk space', text, 'make room soon')
    : good('disk space', text)
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}
