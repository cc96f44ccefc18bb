import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { type CertificatePair, makeCertificate } from './self-signed.ts'
import { loadTlsMaterial, serverTlsOptions, type TlsMaterial, type TlsRequest } from './tls-material.ts'

const folder = mkdtempSync(join(tmpdir(), 'postrider-tls-'))
after(() => rmSync(folder, { recursive: true }))
const dayMs = 86_400_000
const nowMs = Date.now()

function certificate(
  names: string[],
  more: { issuer?: CertificatePair; isAuthority?: boolean; endMs?: number } = {},
): CertificatePair {
  const { endMs = nowMs + 90 * dayMs, ...rest } = more
  return makeCertificate({
    commonName: names[0] ?? 'Test CA',
    names,
    notBeforeMs: nowMs - 100 * dayMs,
    notAfterMs: endMs,
    randomBytes,
    ...rest,
  })
}

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

function request(more: Partial<TlsRequest>): TlsRequest {
  return {
    tls: null,
    dataDir: mkdtempSync(join(folder, 'data-')),
    hostname: 'mx.example.com',
    nowMs,
    randomBytes,
    ...more,
  }
}

function files(pair: CertificatePair, caPem?: string): NonNullable<TlsRequest['tls']> {
  const caPath = caPem === undefined ? null : write('ca.pem', caPem)
  return {
    certificatePath: write('cert.pem', pair.certificatePem),
    keyPath: write('key.pem', pair.privateKeyPem),
    caPath,
    ciphers: 'modern',
  }
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8' })
}

/**
 * Does one TLS session with this material; the answer is the error's code, or the protocol,
 * and with `ciphers` the cipher.
 */
async function handshake(
  material: TlsMaterial,
  servername: string,
  ca: string,
  ciphers?: string,
): Promise<string> {
  const server = createServer(serverTlsOptions(material), socket => socket.end())
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const only = ciphers === undefined ? {} : { ciphers, maxVersion: 'TLSv1.2' as const }
  const socket = connect({ host: '127.0.0.1', port, servername, ca, ...only })
  try {
    await once(socket, 'secureConnect')
    return (ciphers === undefined ? socket.getProtocol() : socket.getCipher().name) ?? ''
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  } finally {
    socket.destroy()
    server.close()
  }
}

test('openssl reads a self-signed certificate and finds its names, use and validity as asked for', () => {
  const pair = certificate(['mx.example.com', '192.0.2.1', '2001:db8::1'])
  const path = write('self.pem', pair.certificatePem)
  const text = openssl('x509', '-in', path, '-noout', '-text')
  assert.match(text, /DNS:mx\.example\.com, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1/)
  assert.match(text, /ecdsa-with-SHA256/)
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/)
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/)
  assert.match(text, /TLS Web Server Authentication/)
  assert.match(openssl('verify', '-x509_strict', '-CAfile', path, path), /: OK/)
  const read = new X509Certificate(pair.certificatePem)
  assert.equal(read.validToDate.getTime(), Math.floor((nowMs + 90 * dayMs) / 1000) * 1000)
})

test('openssl accepts a certificate of our CA and refuses one that has ended', () => {
  const ca = certificate([], { isAuthority: true })
  const caPath = write('ca-verify.pem', ca.certificatePem)
  const good = write('good.pem', certificate(['a.example'], { issuer: ca }).certificatePem)
  assert.match(openssl('verify', '-x509_strict', '-CAfile', caPath, good), /: OK/)
  const ended = write(
    'ended.pem',
    certificate(['a.example'], { issuer: ca, endMs: nowMs - dayMs }).certificatePem,
  )
  assert.throws(
    () => execFileSync('openssl', ['verify', '-CAfile', caPath, ended], { stdio: 'pipe' }),
    /certificate has expired/,
  )
})

test('an end after 2049 is written as GeneralizedTime', () => {
  const pair = certificate(['a.example'], { endMs: Date.UTC(2055, 0, 2, 3, 4, 5) })
  assert.equal(new X509Certificate(pair.certificatePem).validToDate.toISOString(), '2055-01-02T03:04:05.000Z')
})

test('without [tls] a certificate is made once, its key readable by the owner only, and a client can check it', async () => {
  const first = loadTlsMaterial(request({}))
  assert.ok(first.ok)
  assert.match(first.warnings[0]!.what, /self-signed one for mx\.example\.com/)
  assert.match(await handshake(first.material, 'mx.example.com', first.material.certificatePem), /^TLSv1\.3$/)
  const dataDir = mkdtempSync(join(folder, 'data-'))
  const made = loadTlsMaterial(request({ dataDir }))
  const again = loadTlsMaterial(request({ dataDir }))
  assert.deepEqual(again, made)
  assert.equal(statSync(join(dataDir, 'tls', 'key.pem')).mode & 0o777, 0o600)
  assert.equal(statSync(join(dataDir, 'tls')).mode & 0o777, 0o700)
})

test('the self-signed certificate is made anew for another hostname, near its end, and when it is broken', () => {
  const dataDir = mkdtempSync(join(folder, 'data-'))
  const material = (more: Partial<TlsRequest>) => {
    const result = loadTlsMaterial(request({ dataDir, ...more }))
    assert.ok(result.ok)
    return result.material
  }
  const first = material({})
  const renamed = material({ hostname: 'other.example' })
  assert.notEqual(renamed.certificatePem, first.certificatePem)
  const later = material({ hostname: 'other.example', nowMs: nowMs + 800 * dayMs })
  assert.notEqual(later.certificatePem, renamed.certificatePem)
  writeFileSync(join(dataDir, 'tls', 'key.pem'), 'broken')
  assert.match(material({ hostname: 'other.example' }).keyPem, /BEGIN PRIVATE KEY/)
})

test('configured files serve TLS 1.2 and up, with the names and the authority that the client checks', async () => {
  const ca = certificate([], { isAuthority: true })
  const result = loadTlsMaterial(
    request({ tls: files(certificate(['mx.example.com'], { issuer: ca }), ca.certificatePem) }),
  )
  assert.ok(result.ok)
  assert.deepEqual(result.warnings, [])
  assert.equal(await handshake(result.material, 'mx.example.com', ca.certificatePem), 'TLSv1.3')
  assert.equal(
    await handshake(result.material, 'wrong.example.com', ca.certificatePem),
    'ERR_TLS_CERT_ALTNAME_INVALID',
  )
  assert.equal(serverTlsOptions(result.material).minVersion, 'TLSv1.2')
})

test('old ciphers count only when "compatible" says so, and even then ours goes first', async () => {
  const ca = certificate(['authority.example'], { isAuthority: true })
  const pair = files(certificate(['mx.example.com'], { issuer: ca }))
  const material = (ciphers: 'modern' | 'compatible'): TlsMaterial => {
    const result = loadTlsMaterial(request({ tls: { ...pair, ciphers } }))
    assert.ok(result.ok)
    return result.material
  }
  const [old, strong] = ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES128-GCM-SHA256'] as const
  const shake = (ciphers: 'modern' | 'compatible', offered: string): Promise<string> =>
    handshake(material(ciphers), 'mx.example.com', ca.certificatePem, offered)
  assert.equal(await shake('modern', old), 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE')
  assert.equal(await shake('compatible', old), old)
  assert.equal(await shake('compatible', `${old}:${strong}`), strong)
})

test('a key of another certificate, missing files and files without PEM are refused with what to do', () => {
  const pair = certificate(['mx.example.com'])
  const other = certificate(['mx.example.com'])
  const why = (tls: TlsRequest['tls']) => {
    const result = loadTlsMaterial(request({ tls }))
    return result.ok ? '' : `${result.problem.where} ${result.problem.what}`
  }
  assert.match(
    why({ ...files(pair), keyPath: write('other.pem', other.privateKeyPem) }),
    /^\[tls\] key .* is not the key of /,
  )
  assert.match(
    why({ ...files(pair), keyPath: join(folder, 'gone') }),
    /^\[tls\] key .*gone cannot be read \(ENOENT\)/,
  )
  assert.match(why({ ...files(pair), keyPath: write('no-key', 'x') }), /holds no PEM private key/)
  assert.match(why({ ...files(pair), certificatePath: write('no-cert', 'x') }), /holds no PEM certificate/)
  assert.match(
    why({ ...files(pair), caPath: write('no-ca', 'x') }),
    /^\[tls\] ca .* holds no PEM certificate/,
  )
})

test('a certificate that OpenSSL makes no context of is refused with its reason', () => {
  const [weakCert, weakKey] = [join(folder, 'weak.pem'), join(folder, 'weak.key')]
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-days', '30', '-subj', '/CN=mx.example.com'],
    ...['-keyout', weakKey, '-out', weakCert],
  )
  const tls = files(certificate(['mx.example.com']))
  const weak = loadTlsMaterial(request({ tls: { ...tls, certificatePath: weakCert, keyPath: weakKey } }))
  assert.ok(!weak.ok)
  assert.equal(weak.problem.where, '[tls] certificate')
  assert.match(weak.problem.what, /weak\.pem .*\(ee key too small\)/)
  assert.match(weak.problem.hint, /2048 bits/)
})

test('a certificate that has ended or names another host is served with a warning', () => {
  const tls = files(certificate(['old.example'], { endMs: nowMs - dayMs }))
  const result = loadTlsMaterial(request({ tls }))
  assert.ok(result.ok)
  assert.match(
    result.warnings.map(one => one.what).join('\n'),
    /ended on .*\n.*does not name mx\.example\.com/,
  )
})

test('a data folder that cannot be written to is a problem and not a throw', () => {
  const result = loadTlsMaterial(request({ dataDir: write('a-file', '') }))
  assert.ok(!result.ok)
  assert.match(result.problem.what, /cannot be written to .* \((ENOTDIR|EEXIST)\)/)
})
