// Who makes room: the rules one by one, and random comings and goings against a model that counts everything anew.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DoorCounts } from './door-counts.ts'
import { Places, type RunningSession } from './places.ts'

class Guest implements RunningSession {
  readonly name: string
  strangerMs: number | null = 0
  isSentAway = false

  constructor(name: string) {
    this.name = name
  }

  drain(): void {}
  destroy(): void {}
  makeRoom(): void {
    this.isSentAway = true
  }
}

/** One guest a letter, of the network that the letter names. */
function houseOf(networks: string): { places: Places; guests: Guest[]; gone: () => string } {
  const places = new Places(new DoorCounts(DoorCounts.allocate(1)))
  const guests = [...networks].map((network, index) => {
    const guest = new Guest(`${network}${index}`)
    places.add(guest, network)
    return guest
  })
  const gone = (): string =>
    guests
      .filter(guest => guest.isSentAway)
      .map(guest => guest.name)
      .join(' ')
  return { places, guests, gone }
}

test('the network with most strangers loses the one that is there longest, for a newcomer of another', () => {
  const { places, gone } = houseOf('abbbc')
  assert.equal(places.makeRoom('c', 3000), true)
  assert.equal(gone(), 'b1')
  assert.equal(places.size, 4)
})

test('a newcomer of a network that holds as many waits for its turn: nobody is pushed out in a circle', () => {
  const { places, guests, gone } = houseOf('aabb')
  assert.equal(places.makeRoom('a', 3000), false)
  assert.equal(places.makeRoom('b', 3000), false)
  guests[0]!.strangerMs = 3000
  assert.equal(places.makeRoom('b', 3000), true)
  assert.equal(gone(), 'a0')
})

test('a client that needs no login takes the place of a stranger at once', () => {
  const { places, gone } = houseOf('ab')
  assert.equal(places.makeRoom(null, 3000), true)
  assert.equal(gone(), 'a0')
})

test('who is no stranger any more neither goes nor counts', () => {
  const { places, guests, gone } = houseOf('aaab')
  for (const guest of guests.slice(0, 2)) places.change(guest, null)
  assert.equal(places.makeRoom('c', 3000), false)
  for (const guest of guests.slice(2)) places.change(guest, null)
  assert.equal(places.makeRoom(null, 0), false)
  assert.equal(gone(), '')
  assert.equal(places.size, 4)
})

test('whatever comes and goes, who makes room is whom a count of all would name', () => {
  const step = fc.record({
    kind: fc.constantFrom('add', 'add', 'trusted', 'known', 'move', 'end', 'newcomer', 'newcomer'),
    which: fc.nat(1000),
    network: fc.constantFrom('a', 'b', 'c', 'd'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), steps => {
      const places = new Places(new DoorCounts(DoorCounts.allocate(1)))
      const here: Guest[] = []
      /** Strangers with their networks, in the order in which these were known. */
      const networks = new Map<Guest, string>()
      const countOf = (network: string): number =>
        [...networks.values()].filter(other => other === network).length
      const leave = (guest: Guest): void => {
        networks.delete(guest)
        here.splice(here.indexOf(guest), 1)
      }
      for (const [index, { kind, which, network }] of steps.entries()) {
        const some = here[which % Math.max(here.length, 1)]
        if (kind === 'add' || kind === 'trusted') {
          const guest = new Guest(String(index))
          here.push(guest)
          if (kind === 'add') networks.set(guest, network)
          places.add(guest, networks.get(guest) ?? null)
        } else if (kind === 'newcomer') {
          const newcomer = which % 5 === 0 ? null : network
          const own = newcomer === null ? -1 : countOf(newcomer)
          const most = Math.max(0, ...[...networks.values()].map(countOf))
          const longest = [...networks.keys()][0]
          const hadTime = longest !== undefined && which % 2 === 0
          if (longest !== undefined) longest.strangerMs = hadTime ? 3000 : 2999
          const isUnequal = most >= own + 2
          assert.equal(places.makeRoom(newcomer, 3000), isUnequal || hadTime)
          const gone = here.filter(guest => guest.isSentAway)
          assert.equal(gone.length, isUnequal || hadTime ? 1 : 0)
          if (isUnequal) {
            const of = networks.get(gone[0]!)!
            assert.equal(countOf(of), most)
            assert.equal(gone[0], [...networks].find(([, other]) => other === of)![0])
          } else if (hadTime) assert.equal(gone[0], longest)
          gone.forEach(leave)
        } else if (some !== undefined && kind === 'end') {
          places.delete(some)
          leave(some)
        } else if (some !== undefined) {
          const isStranger = networks.delete(some)
          places.change(some, kind === 'known' ? null : network)
          if (isStranger && kind === 'move') networks.set(some, network)
        }
        assert.deepEqual([...places], here)
      }
    }),
    { numRuns: 1000 },
  )
})
