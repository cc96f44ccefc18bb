// The kill campaign: the real server under SMTP load, SIGKILL at a random moment, restart on
// the same data, again and again.
//
// In the end ledger, receiver and event log are held against each other (judge.ts), with what lay in data/marks at each
// kill; and each message that came is what was sent, byte for byte, behind the prefix that it was accepted with, whose
// signatures are good.

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatId } from '../../src/base/index.ts'
import { markDir, readMarks } from '../../src/store/marks/index.ts'
import { inlineMaxBytes } from '../../src/store/segments/index.ts'
import { waitForEvents } from '../scenario/support/house.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import type { Random } from '../support/random.ts'
import { isSettled, type JudgedCounts, judge, type Kill } from './judge.ts'
import { Ledger, runLoad } from './load.ts'
import type { Sent } from './message.ts'
import { keyRecordsIn } from './prefixes.ts'
import { CrashReceiver } from './receiver.ts'

export interface KillOptions {
  readonly rounds: number
  readonly sessions: number
  readonly bodyBytesMax: number
  /** The kill comes at most so long after the first acknowledged message of a round. */
  readonly lifeMsMax: number
  /** So many of the rounds begin with a start that is killed before the load comes. Default a quarter. */
  readonly startKillShare?: number
  /** Asked after each round: true makes it the last. */
  readonly isOver?: () => boolean
  /** Told after each round. */
  readonly onProgress?: (round: number, acknowledged: number) => void
}

/** What a campaign has shown. */
export interface KillResult extends JudgedCounts {
  readonly rounds: number
  /** Kills that came while a server was starting: before it was ready. */
  readonly killedStarting: number
  readonly acknowledged: number
  /** Of these: contents too large for the database, in segments. */
  readonly large: number
  /** Such contents that had begun to leave and were not acknowledged at a kill. */
  readonly largeInFlight: number
  readonly violations: readonly string[]
}

const account = 'acme'
const domain = 'acme.example'
/** Every so many rounds everything is delivered and checked, so that a loss is told soon. */
const checkEveryRounds = 25

/** Runs it. */
export async function runKills(options: KillOptions, random: Random): Promise<KillResult> {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-kills-'))
  try {
    return await new KillCampaign(folder, options, random).run()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

class KillCampaign {
  readonly #folder: string
  readonly #options: KillOptions
  readonly #random: Random
  readonly #ledger: Ledger = new Ledger()
  readonly #kills: Kill[] = []
  /** Files of marks that were looked at, as they were then. */
  readonly #seenMarks: Set<string> = new Set()
  #port = 0
  #route = ''
  #killedStarting = 0
  /** How long the last start took that was left alone. */
  #startMs = 1000

  constructor(folder: string, options: KillOptions, random: Random) {
    this.#folder = folder
    this.#options = options
    this.#random = random
  }

  async run(): Promise<KillResult> {
    await using receiver = await CrashReceiver.start(this.#ledger)
    this.#route = receiver.route
    const { rounds } = this.#options
    let result: KillResult | null = null
    for (let round = 1; round <= rounds; round++) {
      await this.#round(round, receiver)
      const isLast = round === rounds || this.#options.isOver?.() === true
      if (round % checkEveryRounds === 0 || isLast) {
        result = await this.#check(receiver, round)
        if (isLast || result.violations.length > 0) return result
      }
      this.#options.onProgress?.(round, this.#ledger.acknowledged.size)
    }
    if (result === null) throw new Error('a campaign needs a round')
    return result
  }

  async #start(): Promise<Postrider> {
    const startedMs = performance.now()
    const server = await this.#launch()
    await server.ready()
    this.#startMs = performance.now() - startedMs
    return server
  }

  async #launch(): Promise<Postrider> {
    // Another port each time: between two rounds somebody else may get the old one.
    this.#port = await freePort()
    const door = `[[listener]]\naddress = "127.0.0.1:${this.#port}"\nkind = "relay"\n`
    const rest = `networks = ["127.0.0.0/8"]\naccount = "${account}"\n[retry]\nschedule = ["1s"]\n[log]\nlevel = "warn"\n`
    return await Postrider.launch({ toml: this.#route + door + rest, folder: this.#folder })
  }

  async #round(round: number, receiver: CrashReceiver): Promise<void> {
    const { sessions, bodyBytesMax, lifeMsMax, startKillShare = 0.25 } = this.#options
    if (round > 1 && this.#random.next() < startKillShare) await this.#killStarting(receiver)
    const server = await this.#start()
    if (round === 1) await makeSigningAccount(server)
    const before = this.#ledger.acknowledged.size
    const load = runLoad(
      { port: this.#port, from: `ann@${domain}`, sessions, messagesMax: 5000, bodyBytesMax },
      this.#ledger,
      this.#random,
    )
    // A tenth of the kills come before any message was accepted: into the aftermath of the recovery.
    if (this.#random.next() > 0.1) while (this.#ledger.acknowledged.size === before) await sleep(2)
    await sleep(this.#random.below(lifeMsMax))
    await server.kill()
    await load
    this.#noteKill(server.dataDir, receiver.sessions)
  }

  /** A kill at any moment of a start: opening, migration, recovery, binding. The rest of the round is a further start. */
  async #killStarting(receiver: CrashReceiver): Promise<void> {
    const server = await this.#launch()
    await sleep(this.#random.below(Math.ceil(this.#startMs)))
    if (!(await isReady(server))) this.#killedStarting++
    await server.kill()
    this.#noteKill(server.dataDir, receiver.sessions)
  }

  /** A start that was killed before its recovery has left the marks of an earlier kill: they have been counted. */
  #noteKill(dataDir: string, sessions: number): void {
    const files = markFilesIn(markDir(dataDir))
    const isOfThisLife = files.some(file => !this.#seenMarks.has(file))
    for (const file of files) this.#seenMarks.add(file)
    if (!isOfThisLife) return
    const marked = readMarks(markDir(dataDir)).flatMap(({ messageId, recipientNumbers }) =>
      recipientNumbers.map(number => `${formatId('msg', messageId)}.${number}`),
    )
    this.#kills.push({ atMs: Date.now(), sessions, marked: new Set(marked) })
  }

  /** Lets everything come to its end, and judges. */
  async #check(receiver: CrashReceiver, rounds: number): Promise<KillResult> {
    const server = await this.#start()
    try {
      const events = await waitForEvents(server, isSettled, 120_000)
      const left = await server.json<never[]>('queue', 'list')
      const acknowledgedTo = new Map([...this.#ledger.acknowledged].map(([id, { to }]) => [id, to]))
      const { arrivals, damaged } = receiver
      const { wrong, counts } = judge({ acknowledged: acknowledgedTo, events, arrivals, kills: this.#kills })
      wrong.push(...damaged, ...(await this.#ledger.prefixes.verify(() => keyRecordsIn(server.dataDir))))
      if (left.length > 0) wrong.push(`${left.length} recipients are still queued without an open event`)
      const acknowledged = this.#ledger.acknowledged.size
      const killedStarting = this.#killedStarting
      const large = [...this.#ledger.acknowledged.values()].filter(isLarge).length
      const largeInFlight = [...this.#ledger.sent.values()].filter(isLarge).length - large
      const figures = { rounds, killedStarting, acknowledged, large, largeInFlight }
      return { ...figures, ...counts, violations: wrong }
    } finally {
      await server.stop()
    }
  }
}

const isLarge = ({ bodyBytes }: Sent): boolean => bodyBytes > inlineMaxBytes

/** Name, inode and time of the last write of each file: recovery deletes those that it found, so a later one differs. */
function markFilesIn(dir: string): string[] {
  return readdirSync(dir).map(name => {
    const { ino, mtimeNs } = statSync(join(dir, name), { bigint: true })
    return `${name} ${ino} ${mtimeNs}`
  })
}

async function isReady(server: Postrider): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${server.httpPort}/readyz`)).status === 200
  } catch {
    return false
  }
}

/** Sends as a domain that has both keys. */
async function makeSigningAccount(server: Postrider): Promise<void> {
  await server.json('account', 'create', account)
  await server.json('domain', 'add', '--account', account, '--trust', domain)
}
