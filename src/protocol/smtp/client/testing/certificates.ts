// Certificates for tests, made by openssl in a temporary directory. For tests only.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { isIP } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key and a self-signed certificate for one DNS name or address, in PEM. */
export interface TestCertificate {
  readonly key: string
  readonly cert: string
}

const keys = { ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], rsa: ['rsa:2048'] } as const

/** Makes a certificate for `name`, by default with a P-256 key, valid for two days. */
export function makeCertificate(name: string, kind: keyof typeof keys = 'ec'): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-certificate-'))
  try {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    const args = ['req', '-x509', '-newkey', ...keys[kind], '-nodes', '-days', '2']
    execFileSync(
      'openssl',
      [
        ...args,
        '-subj',
        `/CN=${name}`,
        '-addext',
        `subjectAltName=${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`,
        '-keyout',
        key,
        '-out',
        cert,
      ],
      { stdio: 'pipe' },
    )
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
