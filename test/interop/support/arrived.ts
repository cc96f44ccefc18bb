// Byte for byte: what came out at the far end is what was handed in, below the fields that Postrider puts in front.

import assert from 'node:assert/strict'

/** Fields that Postrider may add; nothing else may stand above the content. */
const ownFields: ReadonlySet<string> = new Set(['received', 'dkim-signature', 'message-id', 'date'])

/** Fails unless `bytes` are trace, signatures and missing fields, followed by exactly `content`. */
export function assertArrived(bytes: Buffer, content: Buffer, what: string = 'the content'): void {
  const at = bytes.length - content.length
  if (at < 0 || !bytes.subarray(at).equals(content))
    assert.fail(`${what} was changed: ${firstChange(bytes, content)}`)
  const names = fieldNames(bytes.subarray(0, at))
  assert.ok(names.includes('received'), `${what} came without a Received field of ours`)
  for (const name of names)
    assert.ok(ownFields.has(name), `${what} came with a field ${name} that was not there`)
}

/** Lower-case names of header fields, in order; folded lines belong to the field before. */
export function fieldNames(header: Buffer): string[] {
  return header
    .toString('latin1')
    .split('\r\n')
    .filter(line => line !== '' && !/^[ \t]/.test(line))
    .map(line => line.slice(0, Math.max(0, line.indexOf(':'))).toLowerCase())
}

/** The first difference seen from the end, where no added fields are in the way. */
export function firstChange(bytes: Buffer, content: Buffer): string {
  let same = 0
  while (same < content.length && bytes.at(-1 - same) === content.at(-1 - same)) same++
  const around = (all: Buffer): string =>
    JSON.stringify(
      all.subarray(Math.max(0, all.length - same - 60), all.length - same + 20).toString('latin1'),
    )
  return `${around(content)} became ${around(bytes)}`
}
