// A secure load is fair when the server resumes TLS sessions on both sides.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyUnfair } from './resumption.ts'

const all = { handshakes: 1000, resumed: 1000 }
const few = { handshakes: 20, resumed: 0 }
const none = { handshakes: 1000, resumed: 0 }

test('a server that makes full handshakes for each message is not compared, and the side is named', () => {
  assert.match(whyUnfair({ door: all, sink: none }, 1000) ?? '', /at the sink only 0 of 1000/)
  assert.match(whyUnfair({ door: none, sink: all }, 1000) ?? '', /at the door only 0 of 1000/)
})

test('resumed ones are fair, and so are the few of kept connections', () => {
  assert.equal(whyUnfair({ door: all, sink: all }, 1000), undefined)
  assert.equal(whyUnfair({ door: all, sink: few }, 1000), undefined)
})
