// What tests of signatures have in common: key records, the judges with a name server that has them, another signer.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { dkimSign } from 'mailauth/lib/dkim/sign.js'
import type { House } from '../../scenario/support/house.ts'
import { freePort, startKnot } from '../../support/peers/index.ts'
import { type Judge, judgePrograms, openCourt, type Verdict } from './judges/index.ts'
import type { KeyRecords } from './key-records.ts'

/** TOML of a route. */
export function route(domain: string, port: number): string {
  return `[[route]]\nrecipient_domain = "${domain}"\nsmarthost = "127.0.0.1:${port}"\n`
}

/** The key records of a domain, as the operator is told to publish them. */
export async function recordsOf(house: House, domain: string): Promise<KeyRecords> {
  const shown = await house.server.json<{ records: { purpose: string; name: string; value: string }[] }>(
    'domain',
    'show',
    domain,
  )
  const keys = shown.records.filter(record => record.purpose === 'dkim')
  return Object.fromEntries(keys.map(({ name, value }) => [name, value]))
}

/** `selector._domainkey.domain` → `selector`. */
export function selectorsOf(records: KeyRecords): string[] {
  return Object.keys(records).map(name => name.split('.')[0]!)
}

/** The record of an RSA key that is not Postrider's. */
export function keyRecord(publicKey: KeyObject): string {
  const der = publicKey.export({ format: 'der', type: 'spki' })
  return `v=DKIM1; k=rsa; p=${der.toString('base64')}`
}

/** Judges with a Knot that has these records of these domains. */
export async function openCourtFor(
  owned: AsyncDisposableStack,
  domains: readonly string[],
  records: KeyRecords,
): Promise<readonly Judge[]> {
  const zones = domains.map(name => {
    const own = Object.entries(records).filter(([owner]) => owner.endsWith(`.${name}`))
    return { name, records: own.map(([owner, text]) => `${owner}. TXT ${quoted(text)}`) }
  })
  const knot = owned.use(await startKnot({ zones, port: await freePort() }))
  return await openCourt(owned, { records, dns: knot })
}

/** A string of a TXT record has at most 255 octets. */
function quoted(text: string): string {
  const parts = text.match(/.{1,250}/g) ?? []
  return parts.map(part => `"${part}"`).join(' ')
}

/** A verdict in one line. */
export function tell(verdict: Verdict): string {
  return `${verdict.domain} ${verdict.selector} ${verdict.result}`
}

/** The lines that a judge tells when both signatures are good, sorted. */
export function goodVerdicts(judge: Judge, domain: string, selectors: readonly string[]): string[] {
  const { knowsEd25519 } = judgePrograms[judge.name]
  const resultOf = (selector: string): string =>
    knowsEd25519 || !selector.endsWith('-ed') ? 'pass' : 'invalid (unsupported algorithm ed25519-sha256)'
  return selectors.map(selector => `${domain} ${selector} ${resultOf(selector)}`).sort()
}

/** Another signer, to hold a judge's error against: mailauth, which signs each field once. */
export class OtherSigner {
  static readonly selector = 'control'
  readonly #domain: string
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 })

  constructor(domain: string) {
    this.#domain = domain
  }

  get records(): KeyRecords {
    return { [`${OtherSigner.selector}._domainkey.${this.#domain}`]: keyRecord(this.#keys.publicKey) }
  }

  /** The mail with this signature instead of those that it had on top. */
  async sign(mail: Buffer): Promise<Buffer> {
    const unsigned = mail.toString('latin1').replace(/^(?:DKIM-Signature:.*\r\n(?:[ \t].*\r\n)*)+/, '')
    const content = Buffer.from(unsigned, 'latin1')
    const privateKey = this.#keys.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const key = { signingDomain: this.#domain, selector: OtherSigner.selector, privateKey }
    const { signatures } = await dkimSign(content, { ...key, signatureData: [key] })
    return Buffer.concat([Buffer.from(signatures), content])
  }
}
