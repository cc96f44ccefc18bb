// Whose turn it is to ask DNS: so many domains at once, and no account keeps the others waiting.
//
// Place on the path: destinations take a turn before they ask the planner. A domain whose name servers are silent holds
// its place for many seconds, and an account may have thousands of such domains. So an account has some of the places
// at most, its retries fewer still; a place that becomes free goes to the accounts in turn, to first attempts before
// retries.
// Invariant: nobody waits while there is a free place that may be theirs.

/** Who wants to know. */
export interface LookupAsker {
  readonly accountKey: number
  /** For a first attempt, not a retry. */
  readonly isFirst: boolean
}

/** One domain that is asked for or waits for that. */
export class LookupTurn {
  /** Settles when the place is there; null when it is. */
  ready: Promise<void> | null = null
  go: () => void = () => {}
  /** Lines it stands in; more than one when other accounts want to know too. */
  lines: Set<LookupTurn>[] = []
  /** Whose place it has. */
  holder: Account | null = null
  isAgain = false
}

interface Account {
  readonly key: number
  readonly first: Set<LookupTurn>
  readonly again: Set<LookupTurn>
  held: number
  heldAgain: number
}

export interface LookupBounds {
  readonly placesMax: number
  readonly placesOfAccountMax: number
  /** Of these, for retries. */
  readonly placesOfRetriesMax: number
}

/** The places of a thread. */
export class LookupTurns {
  readonly #bounds: LookupBounds
  /** By key, who had a place last at the end; only accounts that hold or wait. */
  readonly #accounts = new Map<number, Account>()
  #used = 0

  constructor(bounds: LookupBounds) {
    this.#bounds = bounds
  }

  take({ accountKey, isFirst }: LookupAsker): LookupTurn {
    const account = this.#account(accountKey)
    const turn = new LookupTurn()
    if (this.#used < this.#bounds.placesMax && this.#mayHold(account, !isFirst)) {
      this.#give(turn, account, !isFirst)
      return turn
    }
    turn.ready = new Promise<void>(go => (turn.go = go))
    enter(turn, isFirst ? account.first : account.again)
    return turn
  }

  /** Somebody else wants to know the same: the turn comes when the first of them has one. */
  join(turn: LookupTurn, { accountKey, isFirst }: LookupAsker): void {
    if (turn.holder !== null) return
    const account = this.#account(accountKey)
    if (enter(turn, isFirst ? account.first : account.again)) this.#next()
  }

  release({ holder, isAgain }: LookupTurn): void {
    this.#used--
    holder!.held--
    if (isAgain) holder!.heldAgain--
    this.#next()
  }

  #next(): void {
    for (const [key, account] of this.#accounts) {
      if (this.#used >= this.#bounds.placesMax) return
      const turn = this.#firstOf(account)
      if (turn !== undefined) {
        this.#accounts.delete(key)
        this.#accounts.set(key, account)
        this.#give(turn, account, !account.first.has(turn))
      } else if (account.held === 0 && account.first.size === 0 && account.again.size === 0)
        this.#accounts.delete(key)
    }
  }

  #firstOf(account: Account): LookupTurn | undefined {
    for (const isAgain of [false, true]) {
      if (!this.#mayHold(account, isAgain)) continue
      for (const turn of isAgain ? account.again : account.first) return turn
    }
    return undefined
  }

  #mayHold({ held, heldAgain }: Account, isAgain: boolean): boolean {
    const { placesOfAccountMax, placesOfRetriesMax } = this.#bounds
    return held < placesOfAccountMax && (!isAgain || heldAgain < placesOfRetriesMax)
  }

  #give(turn: LookupTurn, account: Account, isAgain: boolean): void {
    for (const line of turn.lines) line.delete(turn)
    turn.lines = []
    turn.holder = account
    turn.isAgain = isAgain
    account.held++
    if (isAgain) account.heldAgain++
    this.#used++
    turn.go()
  }

  #account(key: number): Account {
    let account = this.#accounts.get(key)
    if (account === undefined) {
      account = { key, first: new Set(), again: new Set(), held: 0, heldAgain: 0 }
      this.#accounts.set(key, account)
    }
    return account
  }
}

/** False when it stands there already. */
function enter(turn: LookupTurn, line: Set<LookupTurn>): boolean {
  if (line.has(turn)) return false
  line.add(turn)
  turn.lines.push(line)
  return true
}
