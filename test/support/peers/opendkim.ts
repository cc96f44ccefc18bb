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

export interface OpendkimOptions {
  /** `selector._domainkey.domain` and the record's text. */
  readonly dnsTxtRecords: Readonly<Record<string, string>>
}

/** Verify `bytes` (a whole message with CRLF line ends). */
export async function verifyWithOpendkim(bytes: Buffer, options: OpendkimOptions): Promise<OpendkimReport> {
  const [report] = await verifyAllWithOpendkim([bytes], options)
  return report!
}

/**
 * Verify many messages in one run, which is most of the cost. OpenDKIM stops at a message that it cannot read: then
 * the halves are tried, until that one is alone and has no signatures.
 */
export async function verifyAllWithOpendkim(
  messages: readonly Buffer[],
  options: OpendkimOptions,
): Promise<OpendkimReport[]> {
  const output = await runOpendkim(messages, options)
  const headers = [...output.matchAll(/hname='Authentication-Results' hvalue='([^']*)'/g)]
  if (headers.length === messages.length) return headers.map(header => readReport(header[1] ?? '', output))
  if (messages.length === 1) return [{ signatures: [], output }]
  const middle = Math.floor(messages.length / 2)
  const first = await verifyAllWithOpendkim(messages.slice(0, middle), options)
  return [...first, ...(await verifyAllWithOpendkim(messages.slice(middle), options))]
}

async function runOpendkim(messages: readonly Buffer[], options: OpendkimOptions): Promise<string> {
  await using scratch = await Scratch.create('opendkim')
  const [keys, configuration] = [join(scratch.path, 'keys'), join(scratch.path, 'opendkim.conf')]
  const records = Object.entries(options.dnsTxtRecords).map(([name, text]) => `${name} ${text}\n`)
  await writeFile(keys, records.join(''))
  const settings = [
    ...['Mode v', 'Syslog no', 'MinimumKeyBits 0', 'MaximumHeaders 0', 'AlwaysAddARHeader yes'],
    `TestDNSData file:${keys}`,
  ]
  await writeFile(configuration, `${settings.join('\n')}\n`)
  const files = messages.map((_, index) => join(scratch.path, `${index}.eml`))
  for (const [index, bytes] of messages.entries()) await writeFile(files[index]!, bytes)
  const args = ['-x', configuration, '-v', '-v', '-t', files.join(',')]
  const { stdout, stderr } = await run('/usr/sbin/opendkim', args)
  return stdout.toString('latin1') + stderr
}

function readReport(header: string, output: string): OpendkimReport {
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
