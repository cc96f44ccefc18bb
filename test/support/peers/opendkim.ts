/**
 * OpenDKIM as a judge of signatures: it evaluates one message against the key records a test gives it, with
 * no DNS and no network. RSA and Ed25519.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'
import { Scratch } from './scratch.ts'

/** OpenDKIM's word about one DKIM-Signature header. */
export interface DkimVerdict {
  /** `pass`, `fail`, `neutral`, `policy`, `temperror` or `permerror` (RFC 8601 §2.7.1). */
  readonly result: string
  readonly domain: string
  readonly selector: string
  /** `rsa-sha256`, `ed25519-sha256`; empty when OpenDKIM does not say. */
  readonly algorithm: string
  /** What stood in parentheses, such as `2048-bit key` or the reason of a failure. */
  readonly comment: string
}

export interface OpendkimReport {
  /** One a signature, in the order of the header fields. Empty for an unsigned message. */
  readonly signatures: readonly DkimVerdict[]
  /** Everything it printed, for the failure message of a test. */
  readonly output: string
}

/**
 * Verify `bytes` (a whole message with CRLF line ends).
 * `dnsTxtRecords` maps `selector._domainkey.domain` to the record's text.
 */
export async function verifyWithOpendkim(
  bytes: Buffer,
  options: { readonly dnsTxtRecords: Readonly<Record<string, string>> },
): Promise<OpendkimReport> {
  await using scratch = await Scratch.create('opendkim')
  const [keys, configuration, message] = ['keys', 'opendkim.conf', 'message.eml'].map(name =>
    join(scratch.path, name),
  ) as [string, string, string]
  const records = Object.entries(options.dnsTxtRecords).map(([name, text]) => `${name} ${text}\n`)
  await writeFile(keys, records.join(''))
  await writeFile(
    configuration,
    `Mode v\nSyslog no\nMinimumKeyBits 0\nMaximumHeaders 0\nTestDNSData file:${keys}\nAlwaysAddARHeader yes\n`,
  )
  await writeFile(message, bytes)
  const result = await run('/usr/sbin/opendkim', ['-x', configuration, '-v', '-v', '-t', message])
  const output = result.stdout.toString('latin1') + result.stderr
  const header = /hname='Authentication-Results' hvalue='([^']*)'/.exec(output)?.[1] ?? ''
  const parts = header.split(';').map(part => part.replaceAll(/\s+/g, ' ').trim())
  const signatures = parts.filter(part => part.startsWith('dkim=')).map(readVerdict)
  return { signatures: signatures.filter(one => one.domain !== ''), output }
}

function readVerdict(part: string): DkimVerdict {
  const value = (pattern: RegExp): string => pattern.exec(part)?.[1] ?? ''
  return {
    result: value(/^dkim=(\w+)/),
    comment: value(/\(([^)]*)\)/),
    domain: value(/header\.d=(\S+)/),
    selector: value(/header\.s=(\S+)/),
    algorithm: value(/header\.a=(\S+)/),
  }
}
