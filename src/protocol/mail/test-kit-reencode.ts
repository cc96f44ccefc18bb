// For the tests of re-encoding: contents of lines, and what Python's email package sees in the result.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { type ReencodeMode, reencode } from './reencode.ts'

export const eightBit: ReencodeMode = { reason: 'eightbit' }
export const longLines: ReencodeMode = { reason: 'longlines' }

export function content(...lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n`, 'utf8')
}

export function reencoded(input: Buffer, mode: ReencodeMode): Buffer {
  const result = reencode(input, mode)
  if (result.kind !== 'reencoded') throw new Error(JSON.stringify(result))
  return Buffer.concat([result.header, result.body])
}

export function assertFits(output: Buffer, mode: ReencodeMode): void {
  for (const line of output.toString('latin1').split('\r\n'))
    assert.ok(line.length <= 998, 'a line is too long')
  if (mode === eightBit) assert.match(output.toString('latin1'), /^[\t\r\n\x20-\x7e]*$/)
}

const leafScript = `
import sys, email, base64
mail = email.message_from_bytes(sys.stdin.buffer.read())
for part in mail.walk():
    if not part.is_multipart():
        print(part.get_content_type(), base64.b64encode(part.get_payload(decode=True) or b'').decode())
`

/** Types and decoded bytes of all leaves, as Python's email package sees them. */
export function leavesByPython(message: Buffer): string {
  return execFileSync('python3', ['-c', leafScript], { input: message }).toString()
}
