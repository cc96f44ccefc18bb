// Root, and the user that Postrider becomes: what is made in the data folder is made as the user from the start.
//
// States: root → lowered (the user, who can still become root for a moment: to read certificates and to bind ports) →
// dropped (the user for good), moved on by prepare.ts and serve.ts. Without `user`, or when not started as root, every
// step does nothing. A change holds for all threads at once: while `asRoot` runs, nothing else may
// make a file.

import { lstatSync, readFileSync } from 'node:fs'
import { handOver } from '../base/index.ts'
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

/** See the head of the file. */
export class Privileges {
  /** null: there is nothing to give away. */
  readonly #user: SystemUser | null
  readonly #rootGroups: readonly number[]

  /** @param user null when none is configured */
  constructor(user: SystemUser | null) {
    this.#user = process.getuid?.() === 0 ? user : null
    this.#rootGroups = this.#user === null ? [] : process.getgroups!()
  }

  /**
   * Hands the data folder to the user and goes on as that user. To be called before any thread runs. A problem when the
   * user cannot have it.
   */
  lower(dataDir: string): Problem | null {
    const user = this.#user
    if (user === null) return null
    const refused = handOver(dataDir, user)
    if (refused[0] !== undefined)
      return {
        where: refused[0],
        what: `the file belongs to somebody else, has further names, and is not given to the user ${user.name}`,
        hint: `is it yours? then put a copy in its place; see: find / -xdev -samefile ${refused[0]}`,
      }
    this.#lower(user)
    try {
      // Its parents may be closed to the user.
      lstatSync(dataDir)
      return null
    } catch (error) {
      this.#raise()
      const { code = String(error) } = error as NodeJS.ErrnoException
      return {
        where: dataDir,
        what: `the user ${user.name} cannot reach the data folder (${code})`,
        hint: 'give the folders above it the x permission for that user, or set data_dir, for instance to /var/lib/postrider',
      }
    }
  }

  /** Runs `work` as root, where we can be root, and is the user again when it is done. */
  async asRoot<T>(work: () => T | Promise<T>): Promise<T> {
    const user = this.#user
    if (user === null) return await work()
    this.#raise()
    try {
      return await work()
    } finally {
      this.#lower(user)
    }
  }

  /** The user for good. */
  drop(): void {
    const user = this.#user
    if (user === null) return
    this.#raise()
    takeGroups(user)
    process.setgid!(user.groupId)
    process.setuid!(user.userId)
  }

  #lower(user: SystemUser): void {
    takeGroups(user)
    process.setegid!(user.groupId)
    process.seteuid!(user.userId)
  }

  #raise(): void {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!([...this.#rootGroups])
  }
}

/** Not among the types of Node. */
interface GroupTaker {
  initgroups(user: string, extraGroup: number): void
}

/** All that the user is in: a renewed certificate may be readable by a group (Debian's ssl-cert). */
function takeGroups({ name, groupId }: SystemUser): void {
  const taker = process as unknown as GroupTaker
  taker.initgroups(name, groupId)
}
