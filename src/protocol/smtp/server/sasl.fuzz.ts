// Fuzz target: the AUTH dialogue.

import assert from 'node:assert/strict'
import { type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import { SaslDialogue, type SaslStep } from './sasl.ts'

const encode = (text: string): string => Buffer.from(text).toString('base64')

function check(step: SaslStep): void {
  if (step.kind === 'reply') {
    must([334, 501, 535].includes(step.reply.code), 'a dialogue answers 334, 501 or 535')
    return
  }
  const { mechanism, authorizationId, username, password } = step.credentials
  for (const part of [username, password]) {
    must(part !== '' && Buffer.byteLength(part) <= 255, 'name and password are 1 to 255 octets')
    must(!part.includes('\0') && part.isWellFormed(), 'name and password are text without NUL')
  }
  const again = new SaslDialogue(mechanism)
  if (mechanism === 'PLAIN') {
    assert.deepEqual(again.start(encode(`${authorizationId}\0${username}\0${password}`)), step)
  } else {
    again.start(encode(username))
    assert.deepEqual(again.next(encode(password)), step)
  }
}

export const target: FuzzTarget = {
  name: 'sasl',
  invariants: [
    'the dialogue answers 334, 501 or 535, or gives credentials of 1 to 255 octets without NUL',
    'credentials that were read can be written and read again',
  ],
  dictionary: ['=', '*', 'AGEAYg==', 'YQ==', '\n', 'AAAA', 'AGEAYgA='],
  seeds: ['AGEAYg==', 'YQ==\nYg==', '=\n*', '\nAGEAYg==', encode('a\0a\0b'), encode('other\0a\0b')],
  inputBytesMax: 600,
  run(input) {
    const lines = input.toString('utf8').split('\n', 4)
    for (const mechanism of ['PLAIN', 'LOGIN'] as const) {
      const direct = new SaslDialogue(mechanism)
      check(direct.start(lines[0]!))
      const asked = new SaslDialogue(mechanism)
      check(asked.start(null))
      for (const line of lines) check(asked.next(line))
      // Text in front of base64, so that mutation reaches behind the decoding.
      const made = new SaslDialogue(mechanism)
      for (const line of lines) check(made.next(encode(line)))
    }
  },
}
