// Keys at the top of postrider.toml, and the small sections: tls, http, store, dns, retry, retention, lab, dkim, log.
//
// Place on the path: off it. Each table is typed by its interface in types.ts.

import type { SocketAddress } from '../../base/index.ts'
import { parseServerAddress, parseSocketAddress } from '../address.ts'
import {
  choiceKey,
  countKey,
  durationKey,
  durationsKey,
  flagKey,
  type Keys,
  listKey,
  nameKey,
  optionalKey,
  parsedKey,
  pathKey,
  textKey,
} from '../key.ts'
import type {
  DnsConfig,
  GeneralConfig,
  HttpConfig,
  LabConfig,
  LogConfig,
  OperatorDkimConfig,
  RetentionConfig,
  RetryConfig,
  StoreConfig,
  TlsConfig,
} from '../types.ts'

const since = '0.1.0'

export const generalKeys: Keys<GeneralConfig> = {
  hostname: nameKey({
    name: 'hostname',
    text: 'The name of this server: in the greeting, in EHLO, in Received headers and in the self-signed certificate. Its A and PTR records should agree.',
    whenMissing: 'the name of the machine',
    since,
  }),
  dataDir: pathKey({
    name: 'data_dir',
    text: 'The folder of the queue, the event log, the keys and the control socket. Only one server may use it at a time. A service has it outside of the program: `/var/lib/postrider` under the systemd unit.',
    fallback: './data',
    since,
  }),
  user: optionalKey(
    textKey({
      name: 'user',
      text: 'The user to become when started as root: files are made as that user, and root is given up for good once the ports are bound.',
      whenMissing: 'the user who started it (as root: with a warning)',
      since,
    }),
  ),
  relayThreads: countKey(
    {
      name: 'relay_threads',
      text: 'Threads that run sessions and deliveries. 0 means one for each core less one, and at least one.',
      fallback: 0,
      unit: 'threads',
      since,
    },
    0,
    256,
  ),
}

export const tlsKeys: Keys<TlsConfig> = {
  certificatePath: pathKey({
    name: 'certificate',
    text: 'PEM file with the certificate of `hostname`, followed by the intermediate ones. Read again on SIGHUP.',
    since,
  }),
  keyPath: pathKey({ name: 'key', text: 'PEM file with the private key of the certificate.', since }),
  caPath: optionalKey(
    pathKey({
      name: 'ca',
      text: 'PEM file with further certificate authorities that are trusted where Postrider checks certificates: those of smarthosts with `tls = "verified"`. Read again on SIGHUP.',
      whenMissing: 'only the authorities that come with Node',
      since,
    }),
  ),
  ciphers: choiceKey(['modern', 'compatible'], {
    name: 'ciphers',
    text: 'What the listeners offer. `modern`: TLS 1.3, and of TLS 1.2 only what has forward secrecy and authenticated encryption. `compatible` adds CBC and RSA key exchange, last in order, for TLS 1.2 devices that know nothing else. Read again on SIGHUP.',
    reason:
      'Whoever records a session with RSA key exchange can read it once the key is known (RFC 9325 §4.1).',
    fallback: 'modern',
    since,
  }),
}

export const httpKeys: Keys<HttpConfig> = {
  address: parsedKey<SocketAddress | null>(
    text => (text === 'off' ? { ok: true, value: null } : parseSocketAddress(text)),
    {
      name: 'address',
      text: 'Where HTTP is served: health and metrics. `"off"` serves none.',
      fallback: '127.0.0.1:2580',
      since,
    },
  ),
}

export const storeKeys: Keys<StoreConfig> = {
  url: {
    ...parsedKey(
      text =>
        /^(sqlite:|postgres(ql)?:\/\/)/.test(text)
          ? { ok: true, value: text }
          : { ok: false, why: 'must start with "sqlite:" or "postgres://"' },
      {
        name: 'url',
        text: 'Where the queue and the event log are kept. `"sqlite:"` is a database in the data directory. A PostgreSQL URL is understood and not served yet.',
        fallback: 'sqlite:',
        since,
      },
    ),
    isSecret: true,
  },
}

export const dnsKeys: Keys<DnsConfig> = {
  servers: listKey(text => parseServerAddress(text, 53), {
    name: 'servers',
    text: 'DNS servers as `address` or `address:port`, asked in this order while they answer. Read again on SIGHUP, and so is /etc/resolv.conf.',
    whenMissing: 'those of /etc/resolv.conf',
    fallback: [],
    since,
  }),
  trustAnchor: listKey(text => ({ ok: true, value: text }), {
    name: 'trust_anchor',
    text: 'DNSSEC trust anchors as DS records in presentation form, for tests and private roots. Read for later use: this version does not check DNSSEC itself, and the key changes nothing yet.',
    fallback: [],
    since,
  }),
}

export const retryKeys: Keys<RetryConfig> = {
  scheduleMs: durationsKey({
    name: 'schedule',
    text: 'How long to wait after the first, second, … failed attempt; the last interval repeats until the message expires. Up to 10 % is added or taken away by chance.',
    fallback: ['1m', '5m', '15m', '30m', '1h', '2h', '4h'],
    reason: 'Soon enough for greylisting, rare enough not to count as hammering.',
    since,
  }),
  expireMs: durationKey(
    {
      name: 'expire',
      text: 'How long a message is tried before it is given up.',
      fallback: '5d',
      reason: 'RFC 5321 §4.5.4.1 asks for at least 4 to 5 days.',
      since,
    },
    1000,
  ),
}

export const retentionKeys: Keys<RetentionConfig> = {
  eventsMs: durationKey(
    {
      name: 'events',
      text: 'How long the event log keeps an event.',
      fallback: '30d',
      reason: 'Long enough to answer what became of last month’s mail.',
      since,
    },
    60_000,
  ),
}

export const labKeys: Keys<LabConfig> = {
  isEnabled: flagKey({
    name: 'enabled',
    text: 'Run the lab: a small internet on loopback that takes all mail to recipients under `.test`.',
    fallback: false,
    whenMissing: 'false with a configuration file, true without one',
    since,
  }),
  dnsPort: countKey(
    {
      name: 'dns_port',
      text: 'Port of the lab’s DNS server on 127.0.0.1. 0 takes any free one.',
      fallback: 0,
      unit: 'port',
      since,
    },
    0,
    65535,
  ),
  mxPort: countKey(
    {
      name: 'mx_port',
      text: 'Port of the lab’s receiving servers on loopback. 0 takes any free one.',
      fallback: 0,
      unit: 'port',
      since,
    },
    0,
    65535,
  ),
}

export const dkimKeys: Keys<OperatorDkimConfig> = {
  domain: nameKey({
    name: 'domain',
    text: 'The operator’s own domain: signs every message a second time, beside the sender’s domain.',
    since,
  }),
  selector: nameKey({ name: 'selector', text: 'The selector of the operator’s key.', since }),
  keyPath: pathKey({
    name: 'key_file',
    text: 'PEM file with the operator’s private key: RSA (2048 bits) or Ed25519.',
    since,
  }),
}

export const logKeys: Keys<LogConfig> = {
  level: choiceKey(['trace', 'debug', 'info', 'warn', 'error'], {
    name: 'level',
    text: 'The least serious log events that are written.',
    fallback: 'info',
    since,
  }),
}
