/**
 * Postfix with STARTTLS and AUTH on the way in (Cyrus SASL over a sasldb of its own) and STARTTLS on the way out, with
 * session caches and tickets on both sides. What is tuned and why stands in bench/README.md.
 */
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runOrThrow } from '../../test/support/peers/index.ts'
import type { Login, PeerStartOptions, SecureDoor } from './peer.ts'

const realm = 'bench.test'
const account = 'app'
const password = 'bench-secret'

export async function securePostfix(
  { directory, isKept }: PeerStartOptions,
  { certificate, key }: SecureDoor,
): Promise<{ readonly settings: readonly string[]; readonly login: Login }> {
  // Debian's Postfix looks for this below its configuration folder, whatever cyrus_sasl_config_path says.
  const sasl = join(directory, 'etc/sasl')
  await mkdir(sasl, { recursive: true })
  const database = join(sasl, 'sasldb2')
  await runOrThrow('/usr/sbin/saslpasswd2', ['-c', '-p', '-f', database, '-u', realm, account], {
    input: password,
  })
  await chown(database, Number(await runOrThrow('id', ['-u', 'postfix'])), 0)
  await writeFile(
    join(sasl, 'smtpd.conf'),
    [
      'pwcheck_method: auxprop',
      'auxprop_plugin: sasldb',
      'mech_list: PLAIN LOGIN',
      `sasldb_path: ${database}`,
      '',
    ].join('\n'),
  )
  const settings = [
    'smtpd_relay_restrictions = permit_sasl_authenticated, reject',
    'smtpd_tls_security_level = may',
    'smtpd_tls_auth_only = yes',
    `smtpd_tls_chain_files = ${key}, ${certificate}`,
    'smtpd_sasl_auth_enable = yes',
    'smtpd_sasl_path = smtpd',
    `smtpd_sasl_local_domain = ${realm}`,
    'smtpd_tls_session_cache_database = btree:$data_directory/smtpd_scache',
    'smtp_tls_security_level = encrypt',
    'smtp_tls_session_cache_database = btree:$data_directory/smtp_scache',
    // Kept connections with TLS on the way out go through tlsproxy.
    ...(isKept && process.env['POSTRIDER_BENCH_TLS_REUSE'] !== 'no'
      ? ['smtp_tls_connection_reuse = yes', 'smtp_connection_cache_on_demand = yes']
      : []),
  ]
  return { settings, login: { username: `${account}@${realm}`, password } }
}
