// Becomes another user once every port is bound: needs no root afterwards.
//
// `process.setuid` from the main thread changes all threads (DESIGN section 4). The data folder is handed over first,
// so that the new user can go on writing it.

import { chownSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from '../config/index.ts'

/** A user of the system. */
export interface SystemUser {
  readonly name: string
  readonly userId: number
  readonly groupId: number
}

/** Looks a user up; a problem when there is none. */
export function findUser(name: string): SystemUser | Problem {
  let passwd = ''
  try {
    passwd = readFileSync('/etc/passwd', 'utf8')
  } catch {
    // Not a system with a passwd file: the user is then not found, which is said below.
  }
  for (const line of passwd.split('\n')) {
    const [user, , userId, groupId] = line.split(':')
    if (user === name && userId !== undefined && groupId !== undefined)
      return { name, userId: Number(userId), groupId: Number(groupId) }
  }
  return {
    where: 'user',
    what: `there is no user ${name} on this machine`,
    hint: `create it: useradd --system ${name}`,
  }
}

/**
 * Looks, as the user, whether the data folder can be reached: its parents may be closed to him. Called as root before any
 * thread runs, since it becomes the user for a moment; null when all is well.
 */
export function reachProblem(user: SystemUser, dataDir: string): Problem | null {
  if (process.getuid?.() !== 0) return null
  const groups = process.getgroups!()
  process.setgroups!([user.groupId])
  process.setegid!(user.groupId)
  process.seteuid!(user.userId)
  try {
    lstatSync(dataDir)
    return null
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    return {
      where: dataDir,
      what: `the user ${user.name} cannot reach the data folder (${code})`,
      hint: 'give the folders above it the x permission for that user, or set data_dir, for instance to /var/lib/postrider',
    }
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!(groups)
  }
}

/** Gives the data folder to the user and becomes it. Does nothing when we are not root. */
export function becomeUser(user: SystemUser, dataDir: string): void {
  if (process.getuid?.() !== 0) return
  handOver(dataDir, user)
  process.setgroups!([user.groupId])
  process.setgid!(user.groupId)
  process.setuid!(user.userId)
}

/** Links are not followed: a link in the data folder must not hand over what it points at. */
function handOver(path: string, user: SystemUser): void {
  const facts = lstatSync(path)
  if (facts.isSymbolicLink()) return
  chownSync(path, user.userId, user.groupId)
  if (!facts.isDirectory()) return
  for (const name of readdirSync(path)) handOver(join(path, name), user)
}
