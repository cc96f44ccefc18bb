/**
 * Debian's rspamd (3.4) as a judge of signatures: a worker on loopback that does nothing but DKIM, with DNS from
 * where a test says. Its folder is its own; the system's rspamd is neither configured nor started. Root drops to the
 * user of the package.
 */
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isListening, Program, runOrThrow } from './process.ts'
import { Scratch } from './scratch.ts'

export interface Rspamd extends AsyncDisposable {
  /** What rspamd says of a message, as its HTTP interface gives it. */
  check(bytes: Buffer): Promise<RspamdReport>
  output(): string
}

export interface RspamdReport {
  /** By name: `R_DKIM_ALLOW` with `domain:s=selector` of each signature, and so on. */
  readonly symbols: Readonly<Record<string, { readonly options?: readonly string[] }>>
}

/** Start an rspamd that asks `dns` and nobody else. */
export async function startRspamd(options: {
  readonly port: number
  readonly dns: { readonly address: string; readonly port: number }
}): Promise<Rspamd> {
  const address = '127.0.0.1'
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await Scratch.create('rspamd'))
  const uid = Number(await runOrThrow('id', ['-u', '_rspamd']))
  await chown(path, uid, 0)
  // The list of the package has ten thousand suffixes, which are compiled at each start for half a minute.
  await writeFile(join(path, 'suffixes'), 'com\nexample\ntest\n')
  const configuration = join(path, 'rspamd.conf')
  await writeFile(configuration, configurationText(path, `${address}:${options.port}`, options.dns))
  const identity = process.getuid?.() === 0 ? ['-u', '_rspamd', '-g', '_rspamd'] : []
  const program = owned.use(
    new Program({
      name: 'rspamd',
      command: '/usr/bin/rspamd',
      args: ['-f', ...identity, '-c', configuration],
      cwd: path,
    }),
  )
  await program.until('a listener', () => isListening(address, options.port))
  const done = owned.move()
  return {
    check: async bytes => {
      // A client address outside of loopback: mail of local clients is not judged.
      const answer = await fetch(`http://${address}:${options.port}/checkv2`, {
        method: 'POST',
        headers: { IP: '192.0.2.1', From: 'ann@signed.example' },
        body: new Uint8Array(bytes),
      })
      const text = await answer.text()
      if (answer.status !== 200) throw new Error(`rspamd answered ${answer.status}: ${text}`)
      return JSON.parse(text) as RspamdReport
    },
    output: () => program.output,
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}

function configurationText(
  path: string,
  listen: string,
  dns: { readonly address: string; readonly port: number },
): string {
  return `options {
  pidfile = "${path}/rspamd.pid";
  cache_file = "${path}/symbols.cache";
  dynamic_conf = "${path}/dynamic";
  history_file = "${path}/history";
  stats_file = "${path}/stats.ucl";
  control_socket = "${path}/rspamd.sock mode=0600";
  tempdir = "${path}";
  url_tld = "${path}/suffixes";
  filters = "dkim";
  allow_raw_input = true;
  dns { nameserver = ["${dns.address}:${dns.port}"]; timeout = 5s; retransmits = 3; sockets = 1; }
}
logging { type = "console"; level = "notice"; }
worker "normal" { bind_socket = "${listen}"; count = 1; task_timeout = 60s; max_tasks = 0; }
dkim { time_jitter = 6h; trusted_only = false; skip_multi = false; }
lua = "/usr/share/rspamd/rules/rspamd.lua";
`
}
