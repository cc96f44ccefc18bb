/**
 * Certificates for TLS tests, made by the openssl command: a CA of its own and leaves signed by it.
 * A leaf's common name is its first name; all names (DNS or IP) stand in subjectAltName, as verifying
 * clients read only that.
 */
import { writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { runOrThrow } from './process.ts'

export type KeyKind = 'rsa' | 'ecdsa'

/** Paths of PEM files. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

export interface CertificateOptions {
  /** An existing folder; files are named after the first name. */
  readonly directory: string
  /** DNS names and IP addresses; at least one. */
  readonly names: readonly string[]
  readonly ca: Certificate
  /** Default ecdsa (P-256), the quick one. */
  readonly keyKind?: KeyKind
  /** Default 30; negative makes one that has already ended. */
  readonly days?: number
}

const keyArguments: Record<KeyKind, readonly string[]> = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  ecdsa: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
}

/** Make a self-signed CA in `directory` as `<name>.pem` and `<name>.key`. */
export async function makeCertificateAuthority(options: {
  readonly directory: string
  readonly name?: string
  readonly keyKind?: KeyKind
}): Promise<Certificate> {
  const name = options.name ?? 'test-ca'
  const [certificate, key] = [join(options.directory, `${name}.pem`), join(options.directory, `${name}.key`)]
  await runOrThrow('openssl', ['genpkey', ...keyArguments[options.keyKind ?? 'ecdsa'], '-out', key])
  const about = ['-subj', `/CN=${name}`, '-days', '30']
  const uses = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]
  await runOrThrow('openssl', ['req', '-x509', '-new', '-key', key, '-out', certificate, ...about, ...uses])
  return { certificate, key }
}

/** Make a leaf certificate signed by `ca`. */
export async function makeCertificate(options: CertificateOptions): Promise<Certificate> {
  const name = options.names[0]
  if (name === undefined) throw new Error('makeCertificate needs at least one name')
  const base = join(options.directory, name.replaceAll(/[^a-z0-9.-]/gi, '_'))
  const [certificate, key, request, extensions] = [`${base}.pem`, `${base}.key`, `${base}.csr`, `${base}.ext`]
  const alternatives = options.names.map(one => `${isIP(one) > 0 ? 'IP' : 'DNS'}:${one}`).join(',')
  await runOrThrow('openssl', ['genpkey', ...keyArguments[options.keyKind ?? 'ecdsa'], '-out', key])
  await runOrThrow('openssl', ['req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', request])
  await writeFile(
    extensions,
    `subjectAltName=${alternatives}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n`,
  )
  const signer = ['-CA', options.ca.certificate, '-CAkey', options.ca.key, '-CAcreateserial']
  const validity = ['-days', String(options.days ?? 30), '-extfile', extensions]
  await runOrThrow('openssl', ['x509', '-req', '-in', request, '-out', certificate, ...signer, ...validity])
  return { certificate, key }
}
