// Keys of [[listener]] and [[route]]: the doors that mail comes in by, and the ways it leaves by name.
//
// Place on the path: off it. Each table is typed by its interface in types.ts.

import { z } from 'zod'
import { checkName, isHostName } from '../../base/index.ts'
import {
  choiceKey,
  flagKey,
  type Key,
  type Keys,
  networksKey,
  optionalKey,
  parsedKey,
  smarthostKey,
  socketKey,
  textKey,
} from '../key.ts'
import type { ListenerConfig, RouteConfig } from '../types.ts'

const since = '0.1.0'

/** Where a proxy on the same machine calls from. */
const loopbackNetworks = ['127.0.0.0/8', '::1/128'] as const

const proxyNetworks = networksKey({
  name: 'proxy_protocol',
  text: 'Networks of the load balancers whose PROXY header (v1 or v2) tells the client’s address. A connection from one of them must start with the header; from anywhere else the header is an ordinary syntax error. `true` means a proxy on this machine: 127.0.0.0/8 and ::1. `false` means none. As with `networks`, none may be wider than a /8, IPv6: a /16.',
  fallback: [],
  since,
})

const proxyProtocol: Key<readonly string[]> = {
  ...proxyNetworks,
  form: 'flag or list',
  schema: z.preprocess(
    value => (value === true ? [...loopbackNetworks] : value === false ? [] : value),
    proxyNetworks.schema,
  ),
}

export const listenerKeys: Keys<ListenerConfig> = {
  address: socketKey({
    name: 'address',
    text: 'Where to listen, for instance `"0.0.0.0:587"` or `"[::]:25"`. Port 0 takes any free one.',
    since,
  }),
  kind: choiceKey(['submission', 'submissions', 'relay', 'mx'], {
    name: 'kind',
    text: '`submission`: STARTTLS and AUTH demanded (port 587). `submissions`: the same with TLS from the first byte (port 465). `relay`: takes mail without AUTH from `networks`, and asks all others for STARTTLS and AUTH (port 25 inside a network). `mx`: receives mail from the internet; understood and not served yet.',
    since,
  }),
  proxyProtocol,
  networks: networksKey({
    name: 'networks',
    text: 'Client networks that a `relay` listener takes mail from without AUTH; loopback is no exception. Their addresses are exempt from the limits for one address. None may be wider than a /8 (IPv6: a /16; fc00::/7 and fe80::/10 may): nobody has more, and it would be an open relay.',
    fallback: [],
    since,
  }),
  account: parsedKey(
    text => {
      const checked = checkName(text)
      return checked.ok ? { ok: true, value: checked.name } : checked
    },
    {
      name: 'account',
      text: 'The name of the account that mail from `networks` belongs to. It may be made later: until then MAIL is answered 451.',
      fallback: 'default',
      since,
    },
  ),
  senders: choiceKey(['own', 'any'], {
    name: 'senders',
    text: 'Which addresses mail from `networks` may be from: `own` are those of the account’s domains, `any` all (smarthost clients forward bounces and foreign senders).',
    fallback: 'own',
    since,
  }),
  bareLf: choiceKey(['refuse', 'mend'], {
    name: 'bare_lf',
    text: 'What becomes of a line that ends in LF without CR: refused, or mended for old devices. A bare CR is always refused.',
    fallback: 'refuse',
    reason: 'A lone LF is how messages are smuggled past a server that reads it differently.',
    since,
  }),
  longLines: choiceKey(['refuse', 'encode'], {
    name: 'long_lines',
    text: 'What becomes of a message with lines over 998 bytes: refused, or encoded again with shorter lines.',
    fallback: 'refuse',
    reason: 'Lines over 998 bytes break on the way (RFC 5322 §2.1.1), and signatures with them.',
    since,
  }),
  showsClientAddress: flagKey({
    name: 'show_client_address',
    text: 'Whether the Received header that leaves shows the client’s address. The event log always has it.',
    fallback: false,
    since,
  }),
}

export const routeKeys: Keys<RouteConfig> = {
  recipientDomain: parsedKey(
    text =>
      text === '*' || isHostName(text.replace(/^\./, ''))
        ? { ok: true, value: text.toLowerCase() }
        : {
            ok: false,
            why: `${JSON.stringify(text.slice(0, 80))} is neither "*" nor a domain name, nor one behind a dot`,
          },
    {
      name: 'recipient_domain',
      text: 'A domain; a domain behind a dot, `".example.com"`, for all of its sub-domains and not itself; or `"*"` for all that no other route names. The most specific one counts.',
      since,
    },
  ),
  smarthost: smarthostKey({
    name: 'smarthost',
    text: 'The server that takes the mail of this route, as `host:port`, with TLS by STARTTLS; or `smtps://host:465`, with TLS from the first byte. It may have a private address.',
    since,
  }),
  tls: choiceKey(['opportunistic', 'required', 'verified'], {
    name: 'tls',
    text: '`opportunistic`: TLS where it is offered, as towards MX hosts. `required`: no mail without TLS. `verified`: no mail without a certificate that is valid for the name (or address) in `smarthost`, by the authorities of Node and of `[tls] ca`. With `username`, and with `smtps://`, at least `required`.',
    fallback: 'opportunistic',
    since,
  }),
  username: optionalKey(
    textKey({
      name: 'username',
      text: 'The name to log in with (AUTH PLAIN or LOGIN), never without TLS. Needs `password`.',
      whenMissing: 'no AUTH',
      since,
    }),
  ),
  password: optionalKey({
    ...textKey({
      name: 'password',
      text: 'The password of `username`. Better kept in a file that `password_file` names.',
      whenMissing: 'no AUTH',
      since,
    }),
    isSecret: true,
  }),
}
