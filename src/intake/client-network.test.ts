// Which addresses are counted together.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostOf, networkOf } from './client-network.ts'

const cases: readonly (readonly [address: string, host: string, network: string])[] = [
  ['192.0.2.7', '192.0.2.7', '192.0.2'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2', '2001:db8:1'],
  ['2001:db8::6', '2001:db8:0:0', '2001:db8:0'],
  ['2001:db8:1:2::', '2001:db8:1:2', '2001:db8:1'],
  ['::1', '0:0:0:0', '0:0:0'],
  ['::', '0:0:0:0', '0:0:0'],
]

for (const [address, host, network] of cases)
  test(`${address} belongs to the host ${host} and the network ${network}`, () => {
    assert.deepEqual([hostOf(address), networkOf(address)], [host, network])
  })
